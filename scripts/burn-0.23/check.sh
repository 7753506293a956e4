#!/usr/bin/env bash
# Compiles the trainer with Burn 0.23.0-pre.1 on flex: a copy of this tree with burn-0.23.patch, which is the step to 0.23
# (docs/decisions/0012-burn-0.23.md).
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/burn-0.23
source=$folder/source
rm -rf "$source"
mkdir -p "$source"
# Files keep their times, so that what the patch leaves alone is not compiled again.
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$source"
# Little context, and git's exactness: a patch that no longer fits fails here, and is mended with the change that broke it.
git -C "$source" init --quiet
git -C "$source" apply "$PWD/scripts/burn-0.23/burn-0.23.patch"
cd "$source"
# Nothing but proc macros is compiled to run.
CARGO_TARGET_DIR=$folder/target cargo check -p trainer --config 'profile.dev.package."*".opt-level=0'
