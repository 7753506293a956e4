//! `predict --pipeline`: the answers of transformers' question-answering pipeline.

use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use bert_qa::{PipelineAnswer, PipelineOptions, QuestionAnswerer};
use serde_json::json;
use squad_data::{Dataset, Example};
use trainer::{Error, print_result};

use super::args::Predict;
use super::{file_error, load, or_none};

/// Questions that are answered together.
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

/// Answers the questions of a file, on a line for each an object of its id and its answers.
pub(super) fn dataset(args: &Predict, dataset: &Path) -> Result<(), Error> {
    if dataset == Path::new("-") || args.json {
        let message = "--pipeline with --dataset takes a file, and prints an object on each line without --json";
        return Err(Error::Config(vec![message.to_owned()]));
    }
    let (answerer, options) = answerer(args)?;
    let answer_all = |out: &mut dyn Write| {
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut outcome = Ok(());
        Dataset::for_each(dataset, &mut |example| {
            chunk.push(example);
            if chunk.len() == CHUNK {
                outcome = write(&answerer, &options, &mut chunk, out);
            }
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        outcome?;
        write(&answerer, &options, &mut chunk, out)
    };
    let Some(path) = &args.out else {
        return answer_all(&mut std::io::BufWriter::new(std::io::stdout().lock()));
    };
    let mut outcome = Ok(());
    let written = atomic_fs::write_file_with(path, |file| {
        outcome = answer_all(&mut std::io::BufWriter::new(file));
        // An error leaves no file behind.
        outcome
            .as_ref()
            .map_err(|_| std::io::Error::other("not answered"))?;
        Ok(())
    });
    outcome?;
    Ok(written?)
}

/// Answers the questions of a chunk, writes a line for each and empties the chunk.
fn write(
    answerer: &QuestionAnswerer,
    options: &PipelineOptions,
    chunk: &mut Vec<Example>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let answers = answerer.pipeline(chunk, options)?;
    for (example, answers) in chunk.iter().zip(answers) {
        let line = json!({ "id": example.id, "answers": answers });
        writeln!(out, "{line}").map_err(|error| file_error(Path::new("the answers"), error))?;
    }
    chunk.clear();
    out.flush()
        .map_err(|error| file_error(Path::new("the answers"), error))
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
