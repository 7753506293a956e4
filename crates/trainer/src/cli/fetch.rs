use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use trainer::{DatasetFile, DownloadEvent, Error, FetchOptions, Manifest, fetch_file};

use super::args::{FetchDataset, FetchWhat};
use super::notice;

/// The environment variable with more mirrors, separated by white space.
const MIRRORS: &str = "SQUAD_BURN_MIRRORS";

pub(super) fn run(what: FetchWhat) -> Result<(), Error> {
    match what {
        FetchWhat::Dataset(args) => dataset(args),
        FetchWhat::Model { name } => model(&name),
    }
}

fn model(name: &str) -> Result<(), Error> {
    let folder = trainer::model_folder(name, &notice)?;
    trainer::print_result(&format!("{}\n", folder.display()))
}

fn dataset(args: FetchDataset) -> Result<(), Error> {
    let manifest = match &args.manifest {
        Some(path) => Manifest::read(path)?,
        None => Manifest::official(),
    };
    let files = manifest.find(&args.name)?;
    let mut mirrors = args.mirror;
    let more = std::env::var(MIRRORS).unwrap_or_default();
    mirrors.extend(more.split_whitespace().map(str::to_owned));
    let options = FetchOptions {
        mirrors,
        last_mirrors: manifest.mirrors.clone(),
        ..Default::default()
    };
    for file in files {
        let mut bar = Bar::new(file);
        let path = fetch_file(file, &args.to, &options, &mut |event| bar.on_event(event))?;
        bar.bar.finish_and_clear();
        trainer::print_result(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// A progress bar on standard error; where that is no terminal, a line for each tenth of the file.
struct Bar {
    bar: ProgressBar,
    /// Whether standard error is no terminal.
    is_plain: bool,
    /// Tenths of the file that have arrived.
    tenths: u64,
}

impl Bar {
    fn new(file: &DatasetFile) -> Self {
        let bar = ProgressBar::with_draw_target(Some(file.size), ProgressDrawTarget::stderr());
        let template = "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("the template is a constant"));
        bar.set_message(trainer::escape_controls(&file.name).into_owned());
        Self {
            is_plain: bar.is_hidden(),
            bar,
            tenths: 0,
        }
    }

    fn on_event(&mut self, event: DownloadEvent<'_>) {
        match event {
            DownloadEvent::Bytes { file, bytes, size } => {
                self.bar.set_position(bytes);
                let size = size.unwrap_or(bytes).max(1);
                let tenths = 10 * bytes / size;
                if self.is_plain && tenths > self.tenths {
                    notice(&format!("{file}: {bytes} of {size} bytes"));
                }
                self.tenths = tenths;
            }
            DownloadEvent::Message(line) if self.is_plain => notice(line),
            DownloadEvent::Message(line) => self.bar.println(trainer::escape_controls(line)),
        }
    }
}
