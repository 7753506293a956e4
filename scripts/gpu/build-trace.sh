#!/usr/bin/env bash
# Compiles cupti_trace.c against the CUPTI of the CUDA libraries that PyTorch's wheel comes with.
#   scripts/gpu/build-trace.sh TORCH_FOLDER OUTPUT
set -euo pipefail
torch=$1 output=$2
source=$(dirname "${BASH_SOURCE[0]}")/cupti_trace.c
nvidia=$(dirname "$torch")/nvidia
header=$(find -L "$nvidia" -name cupti.h -path '*include*' | head -n 1)
library=$(find -L "$nvidia" -name 'libcupti.so.*' | head -n 1)
[[ -n $header && -n $library ]] || { echo "error: $nvidia has no CUPTI, which comes with PyTorch's wheel for CUDA" >&2 && exit 2; }
include=$(dirname "$header")
# The records grow from release to release: their newest form is the one that CUPTI writes.
newest() { grep -ohE "CUpti_Activity$1[0-9]*\b" "$include"/cupti_activity.h | sort -uV | tail -n 1; }
flags=(-I"$include")
# What CUDA's headers include of its compiler comes with Triton.
for folder in "$nvidia"/*/include "$(dirname "$torch")"/triton/backends/nvidia/include; do flags+=(-I"$folder"); done
"${CC:-cc}" -O2 -shared -fPIC -w "-DKERNEL=$(newest Kernel)" "-DMEMCPY=$(newest Memcpy)" "-DMEMSET=$(newest Memset)" \
    "-DSYNC=$(newest Synchronization)" "${flags[@]}" "$source" "$library" -o "$output"
