//! `predict --pipeline`: the answers of transformers' question-answering pipeline.

use std::num::NonZeroUsize;
use std::path::Path;

use bert_qa::{PipelineAnswer, PipelineOptions, QuestionAnswerer};
use serde_json::json;
use squad_data::Example;
use trainer::{Error, print_result};

use super::args::Predict;
use super::files::check_output;
use super::{config_error, load, or_none, warn_about_numbered};

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
    let out = args.out.as_deref();
    let numbered = trainer::predict_pipeline(&answerer, &options, dataset, out)?;
    warn_about_numbered(numbered);
    Ok(())
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
