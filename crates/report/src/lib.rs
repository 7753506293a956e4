//! A training run's folder as one HTML page, and scores by question word and length.
//!
//! The page needs no other file, no script and no network. Equal folders give equal pages: [`write_report`] reads
//! the run's files and its evaluation set, and no clock.
#![deny(missing_docs)]

mod answer_kind;
mod answered;
mod answers_section;
mod calibration;
mod curves;
mod error;
mod excerpt;
mod format;
mod groups;
mod page;
mod run;

use std::fmt::Display;
use std::path::{Path, PathBuf};

use squad_data::Dataset;
use toml::Table;

pub use error::Error;
pub use groups::{Group, ScoredExample, by_answer_length, by_context_length, by_question_word};

use answered::Answers;
use run::Run;

/// The configuration of a run: a table of settings for each section.
#[derive(Clone, Debug, Default)]
pub struct RunSettings {
    /// The run's settings.
    pub settings: Table,
    /// The default settings; the page marks those that differ.
    pub defaults: Table,
}

/// Writes a page about a run, finished or not, and returns its path: `out`, or `report.html` in the run's folder.
///
/// `eval_questions` reads the evaluation set; it is called if the run has written its answers. If it fails, or the set
/// is not what the run answered, the page says so and leaves out the sections of questions.
///
/// # Errors
/// If a file of the run is damaged (the message names file and line), or the page cannot be written.
pub fn write_report<E: Display>(
    run_dir: &Path,
    config: RunSettings,
    eval_questions: impl FnOnce() -> Result<Dataset, E>,
    out: Option<&Path>,
) -> Result<PathBuf, Error> {
    let run = Run::read(run_dir, config)?;
    let answers = Answers::read(run_dir, eval_questions)?;
    let page = page::page(&run, &answers);
    let path = out.map_or_else(|| run_dir.join(run_log::REPORT), Path::to_path_buf);
    atomic_fs::write_file(&path, &page).map_err(|e| Error::file(&e.path, e.source))?;
    Ok(path)
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    /// The style sheet gives each colour of the charts another one on a dark page.
    #[test]
    fn the_style_sheet_knows_every_colour_of_the_charts() {
        let style = include_str!("style.css");
        for colour in [
            plots::COLOURS[0],
            plots::COLOURS[1],
            plots::INK,
            plots::GRID,
        ] {
            let colour = format!("=\"{}\"]", plots::hex(colour));
            assert!(style.contains(&colour), "{colour}");
        }
    }
}
