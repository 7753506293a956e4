//! `trainer report`: a run's folder as one HTML page.

mod answered;
mod answers_section;
mod axis;
mod chart;
mod curves;
mod excerpt;
mod format;
mod groups;
mod outcome;
mod page;
mod run;
mod thinned;

use std::path::{Path, PathBuf};

use crate::Error;
pub use groups::{Group, ScoredExample, by_answer_length, by_context_length, by_question_word};
pub use thinned::thinned;

use answered::Answers;
use run::Run;

/// Writes a page about a run, finished or not, and gives its path: `out`, or `report.html` in the
/// run's folder. The page needs no other file, no script and no network. Equal folders give equal
/// pages: nothing is read but the run's files and its evaluation set, and no clock.
///
/// The evaluation set is read from where the configuration says, relative to the working directory. Where
/// it is gone, or is not what the run answered, the page says so and leaves out what needs it.
///
/// # Errors
/// If the folder holds no run, a file of it is damaged (the message names file and line), or the
/// page cannot be written.
pub fn report(run_dir: &Path, out: Option<&Path>) -> Result<PathBuf, Error> {
    let run = Run::read(run_dir)?;
    let answers = Answers::read(&run)?;
    let page = page::page(&run, &answers)?;
    let path = out.map_or_else(|| run_dir.join("report.html"), Path::to_path_buf);
    atomic_fs::write_file(&path, &page)?;
    Ok(path)
}
