#!/bin/bash
# Several machines under Slurm: `[trainer] launch = "bash slurm.sh"` in a job that has them, as of
#
#     salloc --nodes 4 --gpus-per-node 8 --ntasks-per-node 1 mrx run EXPERIMENT
#
# One launcher a machine starts a process a GPU; weights are shared by FSDP2 as in fsdp2_8_gpus.yaml, which has
# to lie beside this file. The store has to lie where all machines see it. Not tried on a cluster: tried with
# stand-ins for srun and scontrol, which show the launcher's words.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
nodes=${SLURM_JOB_NUM_NODES:?this is to run in a job of Slurm}
gpus=${SLURM_GPUS_ON_NODE:-8}
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=${hosts[0]}
export here nodes gpus first port=$((20000 + SLURM_JOB_ID % 20000))
# srun ends every launcher when one fails, and when it is ended itself.
exec srun --nodes "$nodes" --ntasks "$nodes" --ntasks-per-node 1 --kill-on-bad-exit=1 bash -c '
    exec accelerate launch --config_file "$here/fsdp2_8_gpus.yaml" --num_machines "$nodes" \
        --num_processes $((nodes * gpus)) --machine_rank "$SLURM_PROCID" --main_process_ip "$first" \
        --main_process_port "$port" "$@"' launch "$@"
