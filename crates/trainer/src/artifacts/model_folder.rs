use std::path::PathBuf;

use bert_qa::{Hub, ModelSource, model_cache};
use download::DownloadEvent;
use indicatif::{ProgressBar, ProgressStyle};

use crate::Error;
use crate::logging::output::escape_controls;

/// The local folder of a model, downloaded if it is not there. If standard error is a terminal, downloads have a progress
/// bar.
///
/// # Errors
/// If the name is not valid, or the model cannot be downloaded.
pub fn model_folder(model: &str, notice: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let mut bar = None;
    let mut on_event = |event: DownloadEvent<'_>| match (event, &bar) {
        (DownloadEvent::Message(line), Some((_, bar))) => {
            ProgressBar::suspend(bar, || notice(line));
        }
        (DownloadEvent::Message(line), None) => notice(line),
        (DownloadEvent::Bytes { file, bytes, size }, _) => {
            show(&mut bar, file, bytes, size.unwrap_or(0));
        }
    };
    let source = ModelSource::parse(model)?;
    Ok(source.resolve(&Hub::from_env(), &model_cache(), &mut on_event)?)
}

/// Draws the progress bar of a file; a new file gets a new bar.
fn show(bar: &mut Option<(String, ProgressBar)>, file: &str, arrived: u64, size: u64) {
    let (_, bar) = match bar {
        Some(of) if of.0 == file => of,
        other => {
            let template =
                "{msg}: {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template);
            let new = ProgressBar::new(size).with_message(escape_controls(file).into_owned());
            new.set_style(style.expect("the template is a constant"));
            other.insert((file.to_owned(), new))
        }
    };
    bar.set_position(arrived);
    if arrived == size {
        bar.finish_and_clear();
    }
}
