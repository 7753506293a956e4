#!/bin/sh
# Cargo as evcxr calls it. evcxr drops its Cargo.lock when a kernel starts and would then take the newest versions of
# everything; this gives it those of the workspace.
if grep -qs '^notebook-kit = ' Cargo.toml && ! grep -qs '^name = "notebook-kit"$' Cargo.lock; then
    [ -f "$NOTEBOOK_LOCK" ] && cp "$NOTEBOOK_LOCK" Cargo.lock
fi
exec "$NOTEBOOK_CARGO" "$@"
