//! The `trainer` command: see `trainer --help`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    trainer::keep_freed_memory();
    trainer::quiet_handled_panics();
    cli::run()
}
