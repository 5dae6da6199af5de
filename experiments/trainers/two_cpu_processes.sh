#!/bin/bash
# Two processes on a CPU, which talk by gloo, to try what many do: `[trainer] launch = "bash two_cpu_processes.sh"`.
# (`accelerate launch --cpu --num_processes 2` starts one.) Tried: with torch 2.15 and accelerate 1.15.
exec torchrun --standalone --nproc_per_node 2 "$@"
