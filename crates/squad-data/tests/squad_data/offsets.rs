//! Offsets, labels and answers read as text.

use squad_data::{Example, Feature, FeatureOptions, LostReason, inspect, make_features};

use crate::common::{example, small_tokenizer};

fn features(examples: &[Example]) -> Vec<Feature> {
    make_features(examples, &small_tokenizer(), &FeatureOptions::default()).unwrap()
}

fn labelled_text(example: &Example) -> String {
    let features = features(std::slice::from_ref(example));
    let chars = features[0]
        .char_span(features[0].start_position, features[0].end_position)
        .unwrap();
    example.slice(chars).unwrap().to_owned()
}

#[test]
fn every_token_is_a_slice_of_the_context() {
    let context = "Zoë’s café 🙂 (1,250)\r\n漢字 한국 e\u{301}te\u{301}\u{200b}x";
    let example = Example::new("q", "?", context);
    let feature = &features(std::slice::from_ref(&example))[0];
    let texts: Vec<&str> = feature
        .context
        .clone()
        .map(|token| {
            example
                .slice(feature.char_span(token, token).unwrap())
                .unwrap()
        })
        .collect();
    let expected = [
        "Z", "o", "ë", "’", "s", "c", "a", "f", "é", "🙂", "(", "1", ",", "2", "5", "0", ")", "漢",
        "字", "한국", "e", "t", "e", "x",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn labels_point_at_the_answer() {
    for (context, answer) in [
        ("The baker Zoë Müller sold bread.", "Zoë Müller"),
        ("🌊🌊 sea 🙂 baker 🙂 night", "baker"),
        ("🌊 sea\r\n\r\nbaker\r\nnight", "baker\r\nnight"),
        ("Jose\u{301} ate 漢字 in May", "漢字"),
        ("né\u{301}e in 1902", "1902"),
        ("It cost (40,000) crowns", "40,000"),
        ("“the best bread”", "the best bread"),
        ("only", "only"),
        ("null\0byte bridge", "bridge"),
        ("\u{feff}mark bridge", "bridge"),
    ] {
        assert_eq!(
            labelled_text(&example("q", "what?", context, answer)),
            answer,
            "{context:?}"
        );
    }
}

#[test]
fn an_answer_that_begins_in_the_last_token_is_labelled_there() {
    let example = example("q", "who?", "it was the king", "king");
    let feature = &features(std::slice::from_ref(&example))[0];
    assert_eq!(feature.start_position, feature.context.end - 1);
    assert_eq!(feature.end_position, feature.context.end - 1);
}

#[test]
fn windows_without_the_answer_point_at_cls() {
    let context = format!("{} the king {}", "bread ".repeat(60), "fire ".repeat(60));
    let example = example("q", "who?", &context, "the king");
    let options = FeatureOptions {
        max_seq_length: 40,
        doc_stride: 10,
        ..FeatureOptions::default()
    };
    let features =
        make_features(std::slice::from_ref(&example), &small_tokenizer(), &options).unwrap();
    let labelled: Vec<&Feature> = features
        .iter()
        .filter(|feature| feature.has_answer())
        .collect();
    assert!(!labelled.is_empty() && labelled.len() < features.len());
    for feature in &labelled {
        let chars = feature
            .char_span(feature.start_position, feature.end_position)
            .unwrap();
        assert_eq!(example.slice(chars), Some("the king"));
    }
    assert!(
        features
            .iter()
            .filter(|f| !f.has_answer())
            .all(|f| (f.start_position, f.end_position) == (0, 0))
    );
}

#[test]
fn the_report_names_lost_answers() {
    let long = format!("{} sea", "bread ".repeat(60));
    let mut combining = example("dropped", "who?", "Jose\u{301} ate", "Jose\u{301}");
    combining.answers[0].start = 0;
    let examples = [
        example("kept", "who?", "the king ate", "the king"),
        example("cut", "what?", &long, &"bread ".repeat(50)),
        example("inside", "how many?", "the bakers ate", "aker"),
        combining,
    ];
    let options = FeatureOptions {
        max_seq_length: 40,
        doc_stride: 10,
        ..FeatureOptions::default()
    };
    let features = make_features(&examples, &small_tokenizer(), &options).unwrap();
    let stats = inspect(&examples, &features);
    let lost: Vec<_> = stats
        .lost
        .iter()
        .map(|lost| (lost.id.as_str(), lost.reason, lost.decoded.as_deref()))
        .collect();
    assert_eq!(
        lost,
        [
            ("cut", LostReason::CutByWindow, None),
            ("inside", LostReason::InsideToken, Some("baker")),
            ("dropped", LostReason::NotTokenised, Some("Jose")),
        ]
    );
    assert_eq!(
        (stats.questions, stats.answerable, stats.labelled),
        (4, 4, 3)
    );
}

#[test]
fn questions_are_left_stripped() {
    let features = features(&[
        Example::new("a", " \t who ate?", "the cat"),
        Example::new("b", "who ate?", "the cat"),
    ]);
    assert_eq!(features[0].input_ids, features[1].input_ids);
}
