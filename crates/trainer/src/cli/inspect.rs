use std::path::Path;

use serde_json::{Value, json};
use squad_data::{
    Dataset, Feature, Flaws, LongQuestions, OnBadAnswer, QaTokenizer, ReadOptions, counted,
    make_features,
};
use trainer::{Error, FeatureConfig, print_result};

use super::args::Inspect;
use super::files::{check_output, check_twice};
use super::{file_error, notice, print_object};

/// Maximum number of too long questions that are listed.
const MAX_LISTED: usize = 10;

impl Inspect {
    fn features(&self) -> FeatureConfig {
        self.labels
            .over(self.features.over(FeatureConfig::default()))
    }
}

/// Reads the whole file and prints what is in it, what is wrong in it, and what a model cannot reach.
pub(super) fn run(args: &Inspect) -> Result<(), Error> {
    let options = args.features().options();
    options.validate()?;
    if let Some(out) = &args.fix {
        check_output(out, &args.dataset)?;
        args.dataset.iter().try_for_each(|file| check_twice(file))?;
    }
    let tokenizer = args.tokenizer.as_deref().map(QaTokenizer::from_file);
    let tokenizer = tokenizer.transpose()?;
    for warning in tokenizer.iter().flat_map(QaTokenizer::warnings) {
        tracing::warn!("{warning}");
    }
    let read_options = |on_bad_answer| ReadOptions {
        on_bad_answer,
        unique_ids: args.unique_ids,
        keep_going: true,
        keep_empty: false,
    };
    let read = |on_bad_answer| Dataset::read_with_size(&args.dataset, &read_options(on_bad_answer));
    let (dataset, text_bytes) = read(OnBadAnswer::Keep)?;
    let mut report = json!({});
    let mut lines = flaw_lines(&dataset.flaws);
    match &tokenizer {
        Some(tokenizer) => add_features(args, &dataset, tokenizer, &mut report, &mut lines)?,
        None => add_counts(&dataset, &mut report),
    }
    report["unlabelled"] = dataset.num_unlabelled().into();
    report["text_bytes"] = text_bytes.into();
    report["peak_memory_bytes"] = trainer::peak_memory_bytes().into();
    report["flaws"] = json!(dataset.flaws);
    if let Some(other) = &args.against {
        let (other, _) = Dataset::read_with_size(&[other], &read_options(OnBadAnswer::Keep))?;
        add_overlap(&dataset, &other, &mut report, &mut lines);
    }
    // Before a file that cannot be repaired ends the command.
    if !args.json {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        print_result(&lines)?;
    }
    if let Some(out) = &args.fix {
        drop(dataset);
        let (fixed, _) = read(OnBadAnswer::Repair)?;
        fix(fixed, out, &mut report)?;
    }
    print_object(&report, args.json)
}

/// A line for each kind of flaw, with the first ones below it.
fn flaw_lines(flaws: &Flaws) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, count) in &flaws.counts {
        lines.push(format!("{count} x {}:", kind.description()));
        lines.extend(flaws.of(*kind).map(|flaw| format!("  {flaw}")));
    }
    lines
}

fn add_counts(dataset: &Dataset, report: &mut Value) {
    let examples = &dataset.examples;
    let answerable = examples.iter().filter(|e| !e.answers().is_empty()).count();
    let unanswerable = examples.iter().filter(|e| e.is_impossible()).count();
    report["questions"] = examples.len().into();
    report["answerable"] = answerable.into();
    report["unanswerable"] = unanswerable.into();
}

/// Counts features, and lists the answers that labels lose or that no model can give.
fn add_features(
    args: &Inspect,
    dataset: &Dataset,
    tokenizer: &QaTokenizer,
    report: &mut Value,
    lines: &mut Vec<String>,
) -> Result<(), Error> {
    let mut options = args.features().options();
    if options.long_questions == LongQuestions::Error {
        options.long_questions = LongQuestions::Skip;
    }
    let examples = &dataset.examples;
    let features = make_features(examples, tokenizer, &options)?;
    let stats = squad_data::inspect(examples, &features);
    let reach = squad_data::reach(examples, &features, args.max_answer_length);
    let mut has_features = vec![false; examples.len()];
    features
        .iter()
        .for_each(|f| has_features[f.example_index] = true);
    let long = examples.iter().zip(has_features).filter(|(_, has)| !has);
    let long: Vec<&str> = long.map(|(example, _)| example.id.as_str()).collect();
    let feature_bytes: usize = features.iter().map(Feature::memory_bytes).sum();
    for lost in &stats.lost {
        lines.push(format!("answer lost: {}", json!(lost)));
    }
    for answer in &reach.first_too_long {
        lines.push(format!(
            "answer longer than max_answer_length: {}",
            json!(answer)
        ));
    }
    for answer in &reach.first_unlabelled {
        lines.push(format!(
            "answer in a feature labelled \"no answer\": {}",
            json!(answer)
        ));
    }
    for id in long.iter().take(MAX_LISTED) {
        lines.push(format!("question too long: {id:?}"));
    }
    *report = json!(stats);
    report["feature_bytes"] = feature_bytes.into();
    report["long_questions"] = long.len().into();
    report["first_long_questions"] = json!(long[..long.len().min(MAX_LISTED)]);
    report["reach"] = json!(reach);
    Ok(())
}

fn add_overlap(dataset: &Dataset, other: &Dataset, report: &mut Value, lines: &mut Vec<String>) {
    let overlap = squad_data::overlap(dataset, other);
    for shared in &overlap.first {
        lines.push(format!("context in both: {}", json!(shared)));
    }
    report["overlap"] = json!(overlap);
}

fn fix(fixed: Dataset, out: &Path, report: &mut Value) -> Result<(), Error> {
    if fixed.is_empty() {
        return Err(file_error(out, "no question can be repaired"));
    }
    fixed.write(out)?;
    let flaws = &fixed.flaws;
    let dropped = flaws.unlocated_answers;
    report["fixed"] = json!({
        "questions": fixed.len(),
        "skipped_questions": flaws.skipped_questions,
        "repaired_answers": flaws.repaired_answers,
        "dropped_answers": dropped,
    });
    notice(&format!(
        "{}: {}; {} repaired, {dropped} dropped, {} left out",
        out.display(),
        counted(fixed.len(), "question"),
        counted(flaws.repaired_answers, "answer"),
        counted(flaws.skipped_questions, "question")
    ));
    Ok(())
}
