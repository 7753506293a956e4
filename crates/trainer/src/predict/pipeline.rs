use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use bert_qa::{PipelineOptions, QuestionAnswerer};
use serde_json::json;
use squad_data::FlawKind;

use super::{STANDARD_OUTPUT, for_each_chunk, is_closed};
use crate::Error;
use crate::logging::output::ResultWriter;

/// Answers the questions of a file as [`QuestionAnswerer::pipeline`] does, and writes a line for each: an object with its
/// `id` and its `answers`. The lines go to `out`, which appears whole or not at all, or without one to standard output as
/// they come. Returns the number of questions without an id; their number in the file, from 0, takes its place.
///
/// # Errors
/// If the dataset cannot be read, a question cannot be answered, or the answers cannot be written. A reader that closes the
/// pipe ends the answers without an error.
pub fn predict_pipeline(
    answerer: &QuestionAnswerer,
    options: &PipelineOptions,
    dataset: &Path,
    out: Option<&Path>,
) -> Result<usize, Error> {
    let answer = |place: &Path, out: &mut dyn Write| -> Result<usize, Error> {
        let flaws = for_each_chunk(dataset, 0..usize::MAX, |examples| {
            let answers = answerer.pipeline(examples, options)?;
            let lines = examples.iter().zip(answers).map(|(example, answers)| {
                let object = json!({ "id": example.id, "answers": answers });
                format!("{object}\n")
            });
            let written = out.write_all(lines.collect::<String>().as_bytes());
            if is_closed(written.and_then(|()| out.flush()), place)? {
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(flaws.count(FlawKind::IdMissing))
    };
    let Some(path) = out else {
        return answer(STANDARD_OUTPUT.as_ref(), &mut ResultWriter::new());
    };
    let mut answered = Ok(0);
    let written = atomic_fs::write_file_with(path, |file| {
        answered = answer(path, file);
        // An error leaves no file behind.
        let failed = |_: &Error| io::Error::other("not answered");
        answered.as_ref().map(|_| ()).map_err(failed)
    });
    let numbered = answered?;
    Ok(written.map(|()| numbered)?)
}
