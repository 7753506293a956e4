use report::RunSettings;
use trainer::{Config, Error, read_eval_questions};

use super::args::Report;
use super::file_error;
use super::files::{check_output, is_same_file};

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
    if let Some(out) = &args.out {
        let questions: Vec<_> = config
            .train
            .files
            .iter()
            .chain([&config.eval.file])
            .collect();
        check_output(out, &questions)?;
        let own = [run_log::CONFIG, run_log::METRICS_LOG, run_log::METRICS];
        if own
            .iter()
            .any(|name| is_same_file(out, &args.run_dir.join(name)))
        {
            return Err(file_error(out, "is a file of the run: name another file"));
        }
    }
    let table = |config| toml::Table::try_from(config).expect("a configuration is a table");
    let settings = RunSettings {
        settings: table(&config),
        defaults: table(&Config::default()),
    };
    let read = || read_eval_questions(&config);
    let page = report::write_report(&args.run_dir, settings, read, args.out.as_deref())?;
    trainer::print_result(&format!("{}\n", page.display()))
}
