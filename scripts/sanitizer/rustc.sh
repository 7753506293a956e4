#!/bin/sh
# A RUSTC_WORKSPACE_WRAPPER: compiles fused-ops and its tests with AddressSanitizer, whose runtime comes with stable Rust. Everything else
# is as in every other command; its memory is watched too, because the sanitizer replaces `malloc`.
case $CARGO_PKG_NAME:$* in
*"--crate-name build_script_"*) exec "$@" ;;
fused-ops:*) RUSTC_BOOTSTRAP=1 exec "$@" -Zsanitizer=address ;;
*) exec "$@" ;;
esac
