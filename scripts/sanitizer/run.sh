#!/bin/sh
# Runs the tests of the kernels under AddressSanitizer, after a program with an error that it must see.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
RUSTC_BOOTSTRAP=1 rustc --edition=2024 -Zsanitizer=address -o "$folder/control" scripts/sanitizer/control.rs
if "$folder/control" 2>"$folder/output" || ! grep -q heap-buffer-overflow "$folder/output"; then
    echo "AddressSanitizer does not see an error" >&2
    exit 1
fi
# The test processes keep allocations of their threads until they end.
ASAN_OPTIONS=detect_leaks=0 RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/sanitizer/rustc.sh \
    cargo test --locked --workspace --test fused_ops
