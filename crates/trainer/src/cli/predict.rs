use std::num::NonZeroUsize;
use std::path::Path;

use squad_data::SpanAnswer;
use trainer::{Error, answer_object};

use super::args::Predict;
use super::{config_error, file_error, load, or_none, pipeline, predict_dataset};

pub(super) fn run(args: Predict) -> Result<(), Error> {
    let device = args.device.clone();
    device.run(|| predict(args))
}

fn predict(args: Predict) -> Result<(), Error> {
    match &args.dataset {
        Some(dataset) if args.pipeline.pipeline => return pipeline::dataset(&args, dataset),
        Some(dataset) => return predict_dataset::run(&args, dataset),
        None => {}
    }
    let question = args.question.clone().unwrap_or_default();
    let context = match (&args.context, args.context_file.as_deref()) {
        (Some(context), _) => context.clone(),
        (None, Some(path)) if path == Path::new("-") => read_standard_input()?,
        (None, Some(path)) => atomic_fs::read_text(path)?,
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    for (what, text) in [("question", &question), ("context", &context)] {
        if text.trim().is_empty() {
            return Err(config_error(format!("the {what} is empty")));
        }
    }
    if args.pipeline.pipeline {
        return pipeline::question(&args, &question, &context);
    }
    let top_k = args.top_k.map_or(1, NonZeroUsize::get);
    let loaded = load(&args.model, &args.device, &args.features, &args.answers)?;
    let mut options = loaded.options(args.must_answer);
    options.n_best_size = options.n_best_size.max(top_k);
    let answerer = loaded.answerer(options);
    let prediction = answerer.answer(&question, &context)?;
    if args.json {
        return trainer::print_result(&format!("{}\n", answer_object(&prediction, top_k)));
    }
    let lines: String = prediction.answers(top_k).iter().map(line).collect();
    trainer::print_result(&lines)
}

fn read_standard_input() -> Result<String, Error> {
    let text = atomic_fs::read_text_from(std::io::stdin());
    text.map_err(|e| file_error(Path::new("standard input"), e))
}

fn line(span: &SpanAnswer) -> String {
    let range = &span.chars;
    format!(
        "{:6.3}  {:8.3}  {}  [{}..{}]\n",
        span.probability,
        span.score,
        or_none(&span.text),
        range.start,
        range.end
    )
}
