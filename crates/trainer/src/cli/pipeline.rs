//! `predict --pipeline`: the answers of transformers' question-answering pipeline.

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use bert_qa::{PipelineAnswer, PipelineOptions, QuestionAnswerer};
use serde_json::json;
use squad_data::{Dataset, Example, FlawKind};
use trainer::{Error, ResultWriter, print_result};

use super::args::Predict;
use super::{check_output, config_error, file_error, load, or_none, warn_about_numbered};

/// Number of questions that are answered together.
const CHUNK: usize = 256;

/// Answers one question and prints the answers.
pub(super) fn question(args: &Predict, question: &str, context: &str) -> Result<(), Error> {
    let (answerer, options) = answerer(args)?;
    let example = Example::new("question", question, context);
    let answers = answerer.pipeline(&[example], &options)?.swap_remove(0);
    if args.json {
        return print_result(&format!("{}\n", json!({ "answers": answers })));
    }
    let line = |found: &PipelineAnswer| {
        let text = or_none(&found.answer);
        format!(
            "{:6.3}  {text}  [{}..{}]\n",
            found.score, found.start, found.end
        )
    };
    print_result(&answers.iter().map(line).collect::<String>())
}

/// Answers the questions of a file. Writes a line for each: an object with its id and its answers.
pub(super) fn dataset(args: &Predict, dataset: &Path) -> Result<(), Error> {
    if dataset == Path::new("-") || args.json {
        let message = "--pipeline with --dataset takes a file, and prints an object on each line without --json";
        return Err(config_error(message));
    }
    if let Some(out) = &args.out {
        check_output(out, &[dataset])?;
    }
    let (answerer, options) = answerer(args)?;
    let place = args
        .out
        .as_deref()
        .unwrap_or_else(|| Path::new("standard output"));
    // Whether the reader has closed the pipe, which is no error.
    let is_closed = Cell::new(false);
    let failed = |error: io::Error| {
        is_closed.set(error.kind() == ErrorKind::BrokenPipe);
        file_error(place, error)
    };
    // Writes a line for each question of a chunk and empties the chunk.
    let answer = |chunk: &mut Vec<Example>, out: &mut dyn Write| -> Result<(), Error> {
        let answers = answerer.pipeline(chunk, &options)?;
        let objects = chunk.iter().zip(answers);
        let lines = objects.map(|(example, answers)| {
            let object = json!({ "id": example.id, "answers": answers });
            format!("{object}\n")
        });
        let written = out.write_all(lines.collect::<String>().as_bytes());
        written.and_then(|()| out.flush()).map_err(failed)?;
        chunk.clear();
        Ok(())
    };
    let answer_all = |out: &mut dyn Write| {
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut outcome = Ok(());
        let flaws = Dataset::for_each(dataset, &mut |example| {
            chunk.push(example);
            if chunk.len() == CHUNK {
                outcome = answer(&mut chunk, out);
            }
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        outcome?;
        answer(&mut chunk, out)?;
        warn_about_numbered(flaws.count(FlawKind::IdMissing));
        Ok(())
    };
    let Some(path) = &args.out else {
        let written = answer_all(&mut ResultWriter::new());
        return if is_closed.get() { Ok(()) } else { written };
    };
    let mut outcome = Ok(());
    let written = atomic_fs::write_file_with(path, |file| {
        outcome = answer_all(file);
        // An error leaves no file behind.
        outcome
            .as_ref()
            .map_err(|_| io::Error::other("not answered"))?;
        Ok(())
    });
    outcome?;
    Ok(written?)
}

fn answerer(args: &Predict) -> Result<(QuestionAnswerer, PipelineOptions), Error> {
    let options = args
        .pipeline
        .options(args.top_k.map_or(1, NonZeroUsize::get));
    options.validate()?;
    let loaded = load(&args.model, &args.device, &args.features, &args.answers)?;
    let answers = loaded.options(true);
    Ok((loaded.answerer(answers), options))
}
