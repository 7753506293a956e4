use std::path::Path;

use bert_qa::{Pretrained, QuestionAnswerer};
use squad_data::SpanAnswer;
use trainer::{Error, answer_object, best_answers};

use super::args::Predict;
use super::{file_error, load, or_none, predict_dataset, read_text};

pub(super) fn run(args: Predict) -> Result<(), Error> {
    let device = args.device.clone();
    device.run(|| predict(args))
}

fn predict(args: Predict) -> Result<(), Error> {
    if let Some(dataset) = &args.dataset {
        return predict_dataset::run(&args, dataset);
    }
    let question = args.question.unwrap_or_default();
    let context = match (args.context, args.context_file.as_deref()) {
        (Some(context), _) => context,
        (None, Some(path)) if path == Path::new("-") => read_standard_input()?,
        (None, Some(path)) => read_text(path)?,
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    for (what, text) in [("question", &question), ("context", &context)] {
        if text.trim().is_empty() {
            return Err(Error::Config(vec![format!("the {what} is empty")]));
        }
    }
    let top_k = args.top_k.get();
    let mut options = args.answers.config()?.options(!args.must_answer);
    options.n_best_size = options.n_best_size.max(top_k);
    let feature_config = args.features.config();
    let (loaded, device) = load(&args.model, &args.device, &feature_config)?;
    let Pretrained { model, assets, .. } = loaded;
    let feature_options = feature_config.options();
    let answerer = QuestionAnswerer::new(model, assets.tokenizer, feature_options, options, device);
    let prediction = answerer.answer(&question, &context)?;
    if args.json {
        return trainer::print_result(&format!("{}\n", answer_object(&prediction, top_k)));
    }
    let lines: String = best_answers(&prediction, top_k)
        .into_iter()
        .map(line)
        .collect();
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
