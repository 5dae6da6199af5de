#!/bin/sh
# llama.cpp's server for any checkpoint of the loop: it reads GGUF, so the folder is converted first, once.
# In an experiment, or in the machine's mrx.toml:
#
#   [engine]
#   preset = "llama-server"
#   command = "experiments/engines/llama_server.sh {model} {port} {name}"
#   version_command = "llama-server --version"
#
# It needs llama-server on the PATH, and convert_hf_to_gguf.py with its Python packages (of the llama.cpp
# repository, or of the package gguf): CONVERT says how that is called.
set -eu
model=$1 port=$2 name=$3
gguf=$(dirname "$model")/$name.gguf
if [ -f "$model" ]; then
    # The experiment begins with a GGUF file.
    gguf=$model
elif [ ! -e "$gguf" ]; then
    # Links are followed: the files themselves are in the store.
    ${CONVERT:-convert_hf_to_gguf.py} "$model" --outtype f32 --outfile "$gguf.part"
    mv "$gguf.part" "$gguf"
fi
exec llama-server --model "$gguf" --host 127.0.0.1 --port "$port" --alias "$name" --ctx-size 0
