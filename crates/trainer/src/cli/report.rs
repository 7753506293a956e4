use report::RunConfig;
use squad_data::Dataset;
use trainer::{Config, Error, read_questions};

use super::args::Report;
use super::file_error;

/// Writes the page and prints its path.
pub(super) fn run(args: &Report) -> Result<(), Error> {
    let path = args.run_dir.join(run_log::CONFIG);
    if !path.is_file() {
        return Err(file_error(
            &args.run_dir,
            "is not a run folder: it has no config.toml",
        ));
    }
    let config = Config::resolve(&path, &[])?;
    let table = |config| toml::Table::try_from(config).expect("a configuration is a table");
    let settings = RunConfig {
        settings: table(&config),
        defaults: table(&Config::default()),
    };
    let read = || eval_questions(config);
    let page = report::write_report(&args.run_dir, settings, read, args.out.as_deref())?;
    trainer::print_result(&format!("{}\n", page.display()))
}

/// The evaluation set of a run. The training files are read only if the set was split from them.
fn eval_questions(mut config: Config) -> Result<Dataset, Error> {
    if config.train.train_fraction == 0.0 {
        config.train.files = vec![config.eval.file.clone()];
        (config.train.answerable_only, config.train.max_train_samples) = (false, 1);
    }
    Ok(read_questions(&config)?.1)
}
