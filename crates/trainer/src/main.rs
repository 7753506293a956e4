//! The `trainer` command: see `trainer --help`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    trainer::keep_freed_memory();
    #[cfg(feature = "parquet")]
    trainer::quiet_parquet_panics();
    cli::run()
}
