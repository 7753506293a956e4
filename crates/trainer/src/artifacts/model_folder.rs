use std::cell::RefCell;
use std::path::PathBuf;

use bert_qa::{Hub, ModelSource, Watch, model_cache};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Error;

/// The local folder of a model as a user names it, fetched if need be: with a bar on standard
/// error for each file that takes long, if that is a terminal.
///
/// # Errors
/// If the name means nothing, or the model cannot be had from there.
pub fn model_folder(model: &str, notice: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let bar = RefCell::new(None);
    let watch = Watch {
        notice: &|line| match &*bar.borrow() {
            Some((_, bar)) => ProgressBar::suspend(bar, || notice(line)),
            None => notice(line),
        },
        progress: &|file, arrived, size| show(&mut bar.borrow_mut(), file, arrived, size),
    };
    let source = ModelSource::parse(model)?;
    Ok(source.resolve_with(&Hub::from_env(), &model_cache(), &watch)?)
}

/// A bar for the file that is on its way; `None` before and after.
fn show(bar: &mut Option<(String, ProgressBar)>, file: &str, arrived: u64, size: u64) {
    let (_, bar) = match bar {
        Some(of) if of.0 == file => of,
        other => {
            let template =
                "{msg}: {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template);
            let new = ProgressBar::new(size).with_message(file.to_owned());
            new.set_style(style.expect("the template is a constant"));
            other.insert((file.to_owned(), new))
        }
    };
    bar.set_position(arrived);
    if arrived == size {
        bar.finish_and_clear();
    }
}
