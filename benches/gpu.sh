#!/bin/sh
# What only a machine with a GPU can tell: whether it computes what the CPU computes, and how fast.
#
#   benches/gpu.sh build     # anywhere with a CUDA toolkit: two programs into target/gpu/
#   benches/gpu.sh run       # where a GPU is, with those programs: tests, then the speed at 8 billion weights
#   benches/gpu.sh           # both
#
# LD_LIBRARY_PATH has to name the folders of CUDA's libraries (cublas, curand, nvrtc, cudart) where it runs.
# MRX_TEST_DEVICE is the device (cuda); MRX_BENCH_LAYERS makes the measured model smaller (32).
set -eu
cd "$(dirname "$0")/.."
out=${CARGO_TARGET_DIR:-target}/gpu
export MRX_TEST_DEVICE="${MRX_TEST_DEVICE:-cuda}"

build() {
    mkdir -p "$out"
    for target in "--test it" "--bench gpu"; do
        # Two words.
        # shellcheck disable=SC2086
        program=$(cargo test --release --features cuda --no-run $target --message-format json |
            sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
        cp "$program" "$out/${target##* }"
    done
}

run() {
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
    "$out/it" gpu:: --test-threads 1
    "$out/gpu" --bench
}

case ${1:-all} in
build) build ;;
run) run ;;
all) build && run ;;
*) echo "usage: benches/gpu.sh [build|run]" >&2 && exit 2 ;;
esac
