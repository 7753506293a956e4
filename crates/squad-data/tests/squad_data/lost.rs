//! Every answerable question is labelled wherever a feature holds its answer, or listed as lost with the reason.
//!
//! The audit works from the tokenizer's offsets of the whole context, independently of the crate.

use std::collections::HashMap;
use std::ops::Range;

use squad_data::{
    Dataset, Example, Feature, FeatureOptions, FeatureStats, GoldAnswer, LostAnswer, LostReason,
    QaTokenizer, StrideKind, inspect, make_features,
};

use crate::common::{example, short, small_tokenizer};
use crate::real_data::{COUNTS, dataset, tokenizer};

/// A context as characters, and the characters of each of its tokens.
type Context = (Vec<char>, Vec<Range<usize>>);

fn context(example: &Example, tokenizer: &QaTokenizer) -> Context {
    let offsets = tokenizer.encode(&example.context).unwrap().offsets;
    let range = |(start, end): (u32, u32)| start as usize..end as usize;
    (
        example.context.chars().collect(),
        offsets.into_iter().map(range).collect(),
    )
}

/// The windows of a context of `num_context` tokens.
fn windows(question: usize, num_context: usize, options: &FeatureOptions) -> Vec<Range<usize>> {
    let room = options.max_seq_length - 3 - question;
    let step = match options.stride {
        StrideKind::Overlap => room - options.doc_stride,
        StrideKind::Step => options.doc_stride,
    };
    let mut windows = Vec::new();
    let mut start = 0;
    loop {
        let window = start..num_context.min(start + room);
        start += step;
        let last = window.end == num_context;
        windows.push(window);
        if last {
            return windows;
        }
    }
}

/// Checks a question's labels. Returns what must be listed: the reason, and the text that the labels stand for.
fn audit_example(
    example: &Example,
    (chars, tokens): &Context,
    features: &[&Feature],
    windows: &[Range<usize>],
) -> Result<Option<(LostReason, Option<String>)>, String> {
    let labels = |feature: &Feature| (feature.start_position, feature.end_position);
    let Some(answer) = example.answers().first() else {
        let all_none = features.iter().all(|feature| labels(feature) == (0, 0));
        return all_none
            .then_some(None)
            .ok_or_else(|| "labels without an answer".to_owned());
    };
    let mut gold = answer.char_range().unwrap();
    while chars[gold.start].is_whitespace() {
        gold.start += 1;
    }
    while chars[gold.end - 1].is_whitespace() {
        gold.end -= 1;
    }
    let touches = |token: &Range<usize>| token.start < gold.end && token.end > gold.start;
    let of_answer: Vec<usize> = (0..tokens.len())
        .filter(|&token| touches(&tokens[token]))
        .collect();
    let (Some(&first), Some(&last)) = (of_answer.first(), of_answer.last()) else {
        return Ok(Some((LostReason::NotTokenized, None)));
    };
    assert_eq!(features.len(), windows.len());
    let mut held = false;
    for (feature, window) in features.iter().zip(windows) {
        let holds = window.contains(&first) && window.contains(&last);
        let position = |token: usize| feature.context.start + token - window.start;
        let expected = if holds {
            (position(first), position(last))
        } else {
            (0, 0)
        };
        if labels(feature) != expected {
            return Err(format!(
                "labels {:?} of {window:?}, not {expected:?}",
                labels(feature)
            ));
        }
        held |= holds;
    }
    if !held {
        return Ok(Some((LostReason::CutByWindow, None)));
    }
    let decoded = tokens[first].start..tokens[last].end;
    let more = decoded.start < gold.start || decoded.end > gold.end;
    let reason = if more {
        LostReason::InsideToken
    } else {
        LostReason::NotTokenized
    };
    let text = || chars[decoded.clone()].iter().collect();
    Ok((decoded != gold).then(|| (reason, Some(text()))))
}

/// Checks the labels of every question and the list of lost answers.
fn audit(
    examples: &[Example],
    features: &[Feature],
    stats: &FeatureStats,
    tokenizer: &QaTokenizer,
    options: &FeatureOptions,
) -> Result<(), String> {
    let mut of_example: Vec<Vec<&Feature>> = vec![Vec::new(); examples.len()];
    for feature in features {
        of_example[feature.example_index].push(feature);
    }
    let mut contexts: HashMap<&str, Context> = HashMap::new();
    let mut listed = stats.lost.iter().peekable();
    let (mut answerable, mut labelled) = (0, 0);
    for (example, of_example) in examples.iter().zip(&of_example) {
        let context = contexts
            .entry(&example.context)
            .or_insert_with(|| context(example, tokenizer));
        let question = tokenizer
            .encode(example.stripped_question())
            .unwrap()
            .ids
            .len();
        let windows = windows(question, context.1.len(), options);
        let expected = audit_example(example, context, of_example, &windows)
            .map_err(|e| format!("{}: {e}", example.id))?;
        let found = listed.next_if(|lost| lost.id == example.id);
        if found.map(|lost| (lost.reason, lost.decoded.clone())) != expected {
            return Err(format!("{}: {found:?}, not {expected:?}", example.id));
        }
        if let Some(answer) = example.answers().first() {
            answerable += 1;
            labelled += usize::from(!matches!(expected, Some((_, None))));
            if found.is_some_and(|lost| lost.gold != answer.text) {
                return Err(format!("{}: listed with another answer", example.id));
            }
        }
    }
    match listed.next() {
        Some(lost) => Err(format!("{lost:?} is listed twice or out of order")),
        None if (stats.answerable, stats.labelled) != (answerable, labelled) => Err(format!(
            "{answerable} answerable and {labelled} labelled, not {stats:?}"
        )),
        None => Ok(()),
    }
}

/// Checks that a lost answer is plausible: BERT's tokens hold no white space, and its tokenizer drops no letters or digits.
fn check_granularity(lost: &LostAnswer, doc_stride: usize) {
    let gold = lost.gold.trim();
    match (lost.reason, &lost.decoded) {
        (LostReason::InsideToken, Some(decoded)) => {
            let words = |text: &str| text.split_whitespace().count();
            assert_eq!(words(decoded), words(gold), "{lost:?}");
        }
        // Only an answer longer than the overlap is cut by all windows, and a token has at least one character.
        (LostReason::CutByWindow, None) => assert!(gold.chars().count() > doc_stride, "{lost:?}"),
        (LostReason::NotTokenized, decoded) => {
            let kept = decoded.as_deref().unwrap_or_default();
            let letters = |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric()).count();
            assert!(
                gold.contains(kept) && letters(kept) == letters(gold),
                "{lost:?}"
            );
        }
        _ => panic!("{lost:?}"),
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn every_answerable_question_is_labelled_or_listed() {
    let default = FeatureOptions::default();
    // Short windows, which cut answers.
    let short = FeatureOptions {
        max_seq_length: 128,
        doc_stride: 8,
        ..FeatureOptions::default()
    };
    let with_steps = |options: &FeatureOptions| FeatureOptions {
        stride: StrideKind::Step,
        ..options.clone()
    };
    for (file, ..) in COUNTS {
        let dataset = dataset(file);
        for casing in ["uncased", "cased"] {
            let tokenizer = tokenizer(casing);
            audit_dataset(&dataset, &tokenizer, &default);
            if (file, casing) == ("dev-v2.0", "uncased") {
                for options in [with_steps(&default), short.clone(), with_steps(&short)] {
                    audit_dataset(&dataset, &tokenizer, &options);
                }
            }
        }
    }
}

fn audit_dataset(dataset: &Dataset, tokenizer: &QaTokenizer, options: &FeatureOptions) {
    let features = make_features(&dataset.examples, tokenizer, options).unwrap();
    let stats = inspect(&dataset.examples, &features);
    audit(&dataset.examples, &features, &stats, tokenizer, options)
        .unwrap_or_else(|problem| panic!("{} {options:?}: {problem}", tokenizer.name()));
    for lost in &stats.lost {
        check_granularity(lost, options.doc_stride);
    }
    let is_cut = |lost: &LostAnswer| lost.reason == LostReason::CutByWindow;
    let short = options.max_seq_length < 384 && options.stride == StrideKind::Overlap;
    assert_eq!(short, stats.lost.iter().any(is_cut), "{options:?}");
    assert!(stats.lost.len() * 50 < dataset.len(), "{options:?}");
}

/// Lost answers with each reason, and as negative controls each kind of mistake.
#[test]
fn the_audit_notices_every_mistake() {
    let tokenizer = small_tokenizer();
    let options = short();
    let long = "bread ".repeat(60);
    let mut examples = vec![
        example("whole", "who?", "the cat ate the bread", "the cat"),
        example("inside", "who?", "the bakers ate", "aker"),
        example("cut", "what?", &long, long.trim()),
        example("spaces", "who?", "the cat ate", " cat "),
        Example::new("none", "who?", "the cat ate").with_answers(Vec::new()),
    ];
    // The tokenizer drops this character.
    let dropped = GoldAnswer {
        text: "\u{0}".into(),
        start: Some(4),
    };
    examples.push(Example::new("dropped", "what?", "the \u{0} cat").with_answers(vec![dropped]));
    let features = make_features(&examples, &tokenizer, &options).unwrap();
    let stats = inspect(&examples, &features);
    let listed: Vec<_> = stats
        .lost
        .iter()
        .map(|lost| (lost.id.as_str(), lost.reason))
        .collect();
    assert_eq!(
        listed,
        [
            ("inside", LostReason::InsideToken),
            ("cut", LostReason::CutByWindow),
            ("dropped", LostReason::NotTokenized)
        ]
    );
    let audit = |features: &[Feature], stats: &FeatureStats| {
        audit(&examples, features, stats, &tokenizer, &options)
    };
    audit(&features, &stats).unwrap();

    let mut wrong = features.clone();
    wrong[0].end_position += 1;
    assert!(
        audit(&wrong, &stats)
            .unwrap_err()
            .starts_with("whole: labels")
    );
    (wrong[0].start_position, wrong[0].end_position) = (0, 0);
    assert!(audit(&wrong, &inspect(&examples, &wrong)).is_err());
    for lost in 0..stats.lost.len() {
        let mut silent = stats.clone();
        silent.lost.remove(lost);
        assert!(audit(&features, &silent).is_err(), "{lost}");
        let mut other = stats.clone();
        other.lost[lost].reason = match other.lost[lost].reason {
            LostReason::CutByWindow => LostReason::NotTokenized,
            _ => LostReason::CutByWindow,
        };
        assert!(audit(&features, &other).is_err(), "{lost}");
    }
    let more = FeatureStats {
        labelled: stats.labelled + 1,
        ..stats.clone()
    };
    assert!(audit(&features, &more).is_err());
}
