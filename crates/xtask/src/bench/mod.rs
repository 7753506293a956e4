//! `cargo xtask bench`: how quick this project is, and how quick PyTorch is beside it.

mod clusters;
mod data;
mod doc;
mod figures;
mod flops;
mod guard;
mod machine;
mod nodes;
mod ops;
mod options;
mod place;
mod plot;
mod process;
mod race;
mod ranks;
mod scaling;
mod side;
mod speedup;
mod table;
mod work;

use std::process::ExitCode;

use options::Options;
use work::Task;

/// 1 where a run failed or a ratio is too low, 2 where the arguments are wrong.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let Some((what, rest)) = arguments.split_first() else {
        eprintln!("{}", options::USAGE);
        return ExitCode::from(2);
    };
    let options = match Options::parse(rest) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let result = match what.as_str() {
        "train" => race::run(Task::Train, &options),
        "answer" => race::run(Task::Answer, &options),
        "scaling" => scaling::run(&options),
        "ops" => ops::run(&options),
        "ranks" => ranks::run(&options),
        "speedup" => speedup::run(&options),
        "guard" => guard::run(&options),
        _ => {
            eprintln!("no bench {what}; there are:\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
