//! Every answerable question is labelled wherever a window holds its answer, or listed with the reason why not.

use std::collections::BTreeMap;

use squad_data::{
    Dataset, Example, Feature, FeatureOptions, FeatureStats, GoldAnswer, LostAnswer, LostReason,
    QaTokenizer, StrideKind, inspect, make_features,
};

use crate::audit::audit;
use crate::common::{example, small_tokenizer};
use crate::real_data::{COUNTS, dataset, tokenizer};

/// A token of BERT's never holds white space, and each character that its tokenizer drops is no letter or digit.
fn check_granularity(lost: &LostAnswer, doc_stride: usize) {
    let gold = lost.gold.trim();
    match (lost.reason, &lost.decoded) {
        (LostReason::InsideToken, Some(decoded)) => {
            let words = |text: &str| text.split_whitespace().count();
            assert_eq!(words(decoded), words(gold), "{lost:?}");
        }
        // One token of an answer is one character at least, and what all windows cut is longer than their overlap.
        (LostReason::CutByWindow, None) => assert!(gold.chars().count() > doc_stride, "{lost:?}"),
        (LostReason::NotTokenised, decoded) => {
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
fn every_answerable_question_is_labelled_or_listed() {
    let usual = [FeatureOptions::default()];
    // Windows that are apart by steps, and windows so short that they do cut answers.
    let short = FeatureOptions {
        max_seq_length: 128,
        doc_stride: 8,
        ..FeatureOptions::default()
    };
    let step = |options: &FeatureOptions| FeatureOptions {
        stride: StrideKind::Step,
        ..options.clone()
    };
    let all = [
        usual[0].clone(),
        step(&usual[0]),
        short.clone(),
        step(&short),
    ];
    for (file, ..) in COUNTS {
        for casing in ["uncased", "cased"] {
            let (Some(dataset), Some(tokenizer)) = (dataset(file), tokenizer(casing)) else {
                return;
            };
            let options = match (file, casing) {
                ("dev-v2.0", "uncased") => &all[..],
                _ => &usual[..],
            };
            for options in options {
                audit_aloud(&dataset, &tokenizer, options, file);
            }
        }
    }
}

fn audit_aloud(dataset: &Dataset, tokenizer: &QaTokenizer, options: &FeatureOptions, file: &str) {
    let features = make_features(&dataset.examples, tokenizer, options).unwrap();
    let stats = inspect(&dataset.examples, &features);
    audit(&dataset.examples, &features, &stats, tokenizer, options)
        .unwrap_or_else(|problem| panic!("{} {options:?}: {problem}", tokenizer.name()));
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for lost in &stats.lost {
        check_granularity(lost, options.doc_stride);
        *reasons.entry(format!("{:?}", lost.reason)).or_default() += 1;
    }
    let short = options.max_seq_length < 384 && options.stride == StrideKind::Overlap;
    assert_eq!(short, reasons.contains_key("CutByWindow"), "{reasons:?}");
    assert!(stats.lost.len() * 50 < dataset.len(), "{reasons:?}");
    eprintln!(
        "{file} {:?} {}/{}: {} of {} labelled, not given back: {reasons:?}",
        options.stride,
        options.max_seq_length,
        options.doc_stride,
        stats.labelled,
        stats.answerable
    );
}

/// The audit on made-up texts with each reason, and as negative control with each kind of mistake.
#[test]
fn the_audit_sees_what_is_wrong() {
    let tokenizer = small_tokenizer();
    let options = FeatureOptions {
        max_seq_length: 40,
        doc_stride: 10,
        ..FeatureOptions::default()
    };
    let long = "bread ".repeat(60);
    let mut examples = vec![
        example("whole", "who?", "the cat ate the bread", "the cat"),
        example("inside", "who?", "the bakers ate", "aker"),
        example("cut", "what?", &long, long.trim()),
        example("spaces", "who?", "the cat ate", " cat "),
        Example::new("none", "who?", "the cat ate"),
    ];
    // A character that the tokenizer drops.
    examples.push(Example {
        answers: vec![GoldAnswer {
            text: "\u{0}".into(),
            start: 4,
        }],
        is_impossible: false,
        ..Example::new("dropped", "what?", "the \u{0} cat")
    });
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
            ("dropped", LostReason::NotTokenised)
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
            LostReason::CutByWindow => LostReason::NotTokenised,
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
