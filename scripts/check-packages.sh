#!/usr/bin/env bash
# Packages every library crate and builds them from the packages, so that a file outside a crate's folder is missed. The packages stand in for
# crates.io's in a workspace with this one's profile and versions, which therefore shares its build of Burn.
#
#   scripts/check-packages.sh [CARGO COMMAND…]      default: check
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
target=${CARGO_TARGET_DIR:-target}
rm -rf "$target/package"
cargo package --workspace --exclude fuzz-targets --exclude notebook-kit --exclude test-support --exclude xtask --no-verify --allow-dirty --quiet

# With the time of now: a package's files have one fixed time, by which cargo would take an earlier build for theirs.
for package in "$target"/package/*.crate; do tar -xmzf "$package" -C "$folder"; done
{
    printf '[workspace]\nresolver = "3"\nmembers = ["*"]\nexclude = ["target"]\n\n[patch.crates-io]\n'
    for crate in "$folder"/*/; do
        name=$(basename "$crate")
        echo "${name%-*} = { path = \"$name\" }"
    done
    # The profile, to the end of the file.
    sed -n '/^\[profile\.dev\]/,$p' Cargo.toml
} >"$folder/Cargo.toml"
cp Cargo.lock "$folder/"
(($#)) || set -- check
CARGO_TARGET_DIR=$(realpath "$target") cargo "$@" --workspace --manifest-path "$folder/Cargo.toml"
echo "$(ls -d "$folder"/*/ | wc -l) packages: cargo $*"
