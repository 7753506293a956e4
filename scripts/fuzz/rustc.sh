#!/bin/sh
# A RUSTC_WORKSPACE_WRAPPER for `cargo xtask fuzz`: compiles the crates that read foreign data with libFuzzer's coverage counters.
# Only this workspace's crates pass through it, so Burn and the other dependencies are those of every other command.
case $CARGO_PKG_NAME:$* in
*"--crate-type proc-macro"* | *"--crate-name build_script_"*) exec "$@" ;;
atomic-fs:* | bert-qa:* | download:* | qa-metrics:* | report:* | run-log:* | squad-data:* | trainer:*)
    exec "$@" -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac
