use std::io::{Read, Write};
use std::ops::ControlFlow;

use squad_data::{Dataset, Example, FlawKind, Flaws};

use super::{PredictedDataset, Predictor, STANDARD_OUTPUT, is_closed, num_too_long};
use crate::Error;
use crate::artifacts::predictions::{PredictionFormat, PredictionWriter};

impl Predictor {
    /// Answers the questions of a stream in any form but Parquet, and writes each answer as one line as soon as its question
    /// is read.
    ///
    /// # Errors
    /// If the stream is not as [`Dataset::for_each_from_reader`] takes it, a question cannot be answered, or the format is not one of
    /// lines. Questions before the wrong one are answered. A reader that closes the pipe ends the answers without an error.
    pub fn predict_lines(
        &self,
        questions: impl Read,
        out: impl Write,
        format: PredictionFormat,
    ) -> Result<PredictedDataset, Error> {
        if !matches!(format, PredictionFormat::Jsonl | PredictionFormat::Csv) {
            let message = "--format: questions from standard input are answered line by line, in jsonl or csv";
            return Err(Error::config(message));
        }
        let options = self.options(true);
        let mut writer = PredictionWriter::new(out, format.layout(), true);
        let (mut count, mut too_long) = (0, 0);
        let flaws = for_each_question(questions, &mut |example| {
            let records = self.predict(&[example], &options)?;
            for record in &records {
                let written = writer.write(record);
                if is_closed(written.and_then(|()| writer.flush()), STANDARD_OUTPUT)? {
                    return Ok(ControlFlow::Break(()));
                }
            }
            count += 1;
            too_long += num_too_long(&records);
            Ok(ControlFlow::Continue(()))
        })?;
        is_closed(writer.finish().map(drop), STANDARD_OUTPUT)?;
        Ok(PredictedDataset {
            questions: count,
            numbered: flaws.count(FlawKind::IdMissing),
            resumed: 0,
            too_long,
        })
    }
}

type OnQuestion<'a> = dyn FnMut(Example) -> Result<ControlFlow<()>, Error> + 'a;

/// Calls `each` with every question, until it breaks or fails.
fn for_each_question(questions: impl Read, each: &mut OnQuestion<'_>) -> Result<Flaws, Error> {
    let mut outcome = Ok(());
    let flaws = Dataset::for_each_from_reader("standard input", questions, &mut |example| {
        each(example).unwrap_or_else(|error| {
            outcome = Err(error);
            ControlFlow::Break(())
        })
    })?;
    outcome.map(|()| flaws)
}

/// Reads questions as [`Predictor::predict_lines`] does; for the fuzz targets.
///
/// # Errors
/// If a line has no question.
#[doc(hidden)]
pub fn check_question_lines(questions: impl Read) -> Result<usize, Error> {
    let mut count = 0;
    for_each_question(questions, &mut |_| {
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(count)
}
