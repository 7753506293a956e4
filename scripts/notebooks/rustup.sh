#!/bin/sh
# rust-analyzer inside evcxr calls `rustup component add` by itself; a notebook must not change the toolchain.
echo "rustup is not called from notebooks" >&2
exit 1
