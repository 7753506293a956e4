#!/bin/sh
# The cargo that evcxr calls. evcxr deletes its Cargo.lock when a kernel starts and would then resolve the newest versions; this script
# copies the workspace's.
if grep -qs '^notebook-kit = ' Cargo.toml && ! grep -qs '^name = "notebook-kit"$' Cargo.lock; then
    [ -f "$NOTEBOOK_LOCK" ] && cp "$NOTEBOOK_LOCK" Cargo.lock
fi
exec "$NOTEBOOK_CARGO" "$@"
