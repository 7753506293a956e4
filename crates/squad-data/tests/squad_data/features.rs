//! Windows, offsets and labels of features.

use proptest::prelude::*;
use serde_json::json;
use squad_data::{
    Dataset, Example, Feature, FeatureOptions, GoldAnswer, QaTokenizer, inspect, make_features,
};

use crate::common::{example, features, short, small_tokenizer};

fn labelled_text<'e>(example: &'e Example, feature: &Feature) -> &'e str {
    let chars = feature.char_span(feature.start_position, feature.end_position);
    example.slice(chars.unwrap()).unwrap()
}

/// The only feature of an example.
fn feature(example: &Example) -> Feature {
    let mut features = features(std::slice::from_ref(example), &FeatureOptions::default());
    assert_eq!(features.len(), 1);
    features.remove(0)
}

#[test]
fn each_token_is_a_slice_of_the_context() {
    let context = "Zoë’s café 🙂 (1,250)\r\n漢字 한국 e\u{301}te\u{301}\u{200b}x";
    let example = Example::new("q", "?", context);
    let feature = feature(&example);
    let text = |token| example.slice(feature.char_span(token, token).unwrap());
    let texts: Vec<&str> = feature.context.clone().filter_map(text).collect();
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
        let example = example("q", "what?", context, answer);
        assert_eq!(labelled_text(&example, &feature(&example)), answer);
    }
}

#[test]
fn an_answer_that_begins_in_the_last_token_is_labelled_there() {
    let feature = feature(&example("q", "who?", "it was the king", "king"));
    let last = feature.context.end - 1;
    assert_eq!((feature.start_position, feature.end_position), (last, last));
}

#[test]
fn characters_without_a_token_are_left_out_of_labels() {
    let example = example("q", "what?", "a\0bread\0", "\0bread\0");
    assert_eq!(labelled_text(&example, &feature(&example)), "bread");
}

#[test]
fn features_without_the_answer_are_labelled_with_cls() {
    let context = format!("{} the king {}", "bread ".repeat(60), "fire ".repeat(60));
    let example = example("q", "who?", &context, "the king");
    let features = features(std::slice::from_ref(&example), &short());
    let (with, without): (Vec<_>, Vec<_>) = features.iter().partition(|f| f.has_answer());
    assert!(!with.is_empty() && !without.is_empty());
    for feature in with {
        assert_eq!(labelled_text(&example, feature), "the king");
    }
    for feature in without {
        assert_eq!((feature.start_position, feature.end_position), (0, 0));
    }
}

#[test]
fn questions_are_left_stripped() {
    let examples = ["\t who ate?", "who ate?"].map(|q| Example::new("q", q, "the cat"));
    let features = features(&examples, &FeatureOptions::default());
    assert_eq!(features[0].input_ids, features[1].input_ids);
}

/// Bytes are tokens there, so a space counts.
#[test]
fn white_space_before_a_question_may_stay() {
    let folder = test_support::temp_dir();
    for (name, text) in [
        (
            "vocab.json",
            r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "Ġ": 5, "Ġa": 6}"#,
        ),
        ("merges.txt", "#version: 0.2\nĠ a\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let tokenizer = QaTokenizer::from_file(folder.path()).unwrap();
    let ids = |strip_questions| {
        let options = FeatureOptions {
            strip_questions,
            ..FeatureOptions::default()
        };
        let features = make_features(&[Example::new("q", " a", "a")], &tokenizer, &options);
        features.unwrap()[0].input_ids.clone()
    };
    assert_eq!(ids(true), [0, 4, 2, 2, 4, 2]);
    assert_eq!(ids(false), [0, 6, 2, 2, 4, 2]);
}

#[test]
fn a_context_without_tokens_gives_one_feature() {
    for context in ["\0\0", "\u{200b}", "\u{301}", " "] {
        let feature = feature(&Example::new("q", "who?", context));
        assert_eq!(feature.context.len(), 0, "{context:?}");
        let start = feature.context.start;
        assert_eq!(feature.char_span(start, start), None);
    }
}

#[test]
fn impossible_options_are_rejected() {
    let options = |max_seq_length, doc_stride, max_query_length| FeatureOptions {
        max_seq_length,
        doc_stride,
        max_query_length,
        ..FeatureOptions::default()
    };
    for (wrong, expected) in [
        (options(384, 380, None), "doc_stride = 380: "),
        (options(384, 128, Some(253)), "doc_stride = 128: "),
        (options(4, 0, None), "max_seq_length = 4: "),
        (options(0, 0, None), "max_seq_length = 0: "),
        (
            options(384, 128, Some(usize::MAX)),
            "max_seq_length = 384: ",
        ),
        (options(384, 128, Some(0)), "max_query_length = 0: "),
    ] {
        let message = wrong.validate().unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
        assert!(make_features(&[], &small_tokenizer(), &wrong).is_err());
    }
    options(384, 379, None).validate().unwrap();
    options(384, 128, Some(252)).validate().unwrap();
}

#[test]
fn questions_that_are_too_long_are_named() {
    let make = |id, question: String, context: String, options| {
        make_features(
            &[Example::new(id, question, context)],
            &small_tokenizer(),
            &options,
        )
    };
    let (long, default) = ("bread ".repeat(300), FeatureOptions::default());
    let message = make("q7", long.clone(), "fire ".repeat(200), default.clone());
    let message = message.unwrap_err().to_string();
    let expected = "question \"q7\": 300 tokens, but max_seq_length 384 then has room for 81";
    assert!(message.starts_with(expected), "{message}");
    // A context that fits into one feature needs no overlap.
    let fits = make("q7", long, "fire ".repeat(81), default.clone()).unwrap();
    assert_eq!(fits.len(), 1);
    for length in [381, 382, 1000] {
        assert!(
            make(
                "q7",
                "bread ".repeat(length),
                "fire".into(),
                default.clone()
            )
            .is_err()
        );
    }
    let limited = FeatureOptions {
        max_query_length: Some(4),
        ..default
    };
    let message = make("q8", "who ate the old bread".into(), "fire".into(), limited);
    assert_eq!(
        message.unwrap_err().to_string(),
        "question \"q8\": 5 tokens, but max_query_length is 4; shorten the question or raise the limit, or set long_questions to \"truncate\" or \"skip\""
    );
}

/// The dataset with a question for each answer, read from JSON.
fn dataset(context: &str, answers: &[&str]) -> Dataset {
    let question = |answer: &&str| {
        let start = context[..context.find(answer).unwrap()].chars().count();
        json!({"id": *answer, "question": "who?", "answers": [{"text": *answer, "answer_start": start}]})
    };
    let qas: Vec<_> = answers.iter().map(question).collect();
    let json = json!({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}).to_string();
    Dataset::from_json("f.json", json.as_bytes()).unwrap()
}

#[test]
fn unusual_characters_beside_answers() {
    let emoji = "fire 🙂 e\u{301} 👩\u{200d}🚀 ".repeat(12);
    for (context, answers) in [
        (
            format!(
                "\0the king\0 ate\0\0 old bread {}in peace\0",
                "\0water ".repeat(30)
            ),
            &["king", "old bread", "in peace"][..],
        ),
        (
            format!(
                "🙂the king🙂 {emoji}“bread”🙂 n\u{303}o, {emoji}\u{1f1eb}\u{1f1f7} peace \u{1f1eb}\u{1f1f7}"
            ),
            &["the king", "bread", "n\u{303}o", "peace"],
        ),
        (
            format!(
                "the king\r\nate\r\n\r\nold bread\r\n{}in peace",
                "water\r\n".repeat(40)
            ),
            &["king", "ate", "old bread", "in peace"],
        ),
    ] {
        let examples = dataset(&context, answers).examples;
        let options = FeatureOptions {
            max_seq_length: 24,
            doc_stride: 8,
            ..FeatureOptions::default()
        };
        let features = features(&examples, &options);
        assert!(features.len() > 2 * answers.len(), "{}", features.len());
        for feature in features.iter().filter(|f| f.has_answer()) {
            let example = &examples[feature.example_index];
            assert_eq!(labelled_text(example, feature), example.answers()[0].text);
        }
        let stats = inspect(&examples, &features);
        assert_eq!((stats.labelled, stats.lost), (answers.len(), vec![]));
    }
}

#[test]
fn a_paragraph_of_ten_megabytes() {
    let (words, answer) = (1_430_000, "the old king of bread");
    let context = format!("é🙂 {}{answer}", "garden street ".repeat(words / 2));
    assert!(context.len() > 10_000_000 && context.chars().count() < context.len());
    let examples = dataset(&context, &[answer]).examples;
    let features = features(&examples, &FeatureOptions::default());
    // One token for each word, two for the first, and the answer's five.
    let tokens = 2 + words + 5;
    let room = 384 - 3 - features[0].num_question_tokens();
    assert_eq!(features.len(), 1 + (tokens - room).div_ceil(room - 128));
    let labelled = features.iter().find(|feature| feature.has_answer());
    assert_eq!(labelled_text(&examples[0], labelled.unwrap()), answer);
}

/// Texts of words, digits, punctuation and unusual Unicode.
fn text(max_pieces: usize) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "bread",
        "the",
        "king",
        "s",
        "x",
        "1,250",
        "é",
        "e\u{301}",
        "ß",
        "漢",
        "한국",
        "🙂",
        "👩\u{200d}👩",
        "İ",
        "\u{fb01}",
        " ",
        " ",
        " ",
        "\r\n",
        "\t",
        "\u{a0}",
        "\u{200b}",
        "\u{feff}",
        "\0",
        ".",
        "(",
        "’",
        "[SEP]",
        "[CLS",
        "\u{1e9e}",
        "½",
    ]);
    prop::collection::vec(piece, 1..max_pieces).prop_map(|pieces| pieces.concat())
}

/// A question about a generated context; its answer is a random span of at most 40 characters, if that is not blank.
pub(crate) fn examples() -> impl Strategy<Value = Example> {
    let cut = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (text(120), text(12), cut).prop_map(|(context, question, (start, len))| {
        let chars: Vec<char> = context.chars().collect();
        let start = start.index(chars.len());
        let end = start + 1 + len.index((chars.len() - start).min(40));
        let text: String = chars[start..end].iter().collect();
        let answers = if text.trim().is_empty() {
            vec![]
        } else {
            vec![GoldAnswer {
                text,
                start: Some(start),
            }]
        };
        Example::new("q", question, context).with_answers(answers)
    })
}

fn options() -> impl Strategy<Value = FeatureOptions> {
    (100..160usize, 0..40usize).prop_map(|(max_seq_length, doc_stride)| FeatureOptions {
        max_seq_length,
        doc_stride,
        ..FeatureOptions::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_cover_the_context_and_overlap_by_doc_stride(example in examples(), options in options()) {
        let tokenizer = small_tokenizer();
        let all = tokenizer.encode(&example.context).unwrap();
        let features = make_features(std::slice::from_ref(&example), &tokenizer, &options).unwrap();
        let mut ids: Vec<u32> = Vec::new();
        let mut offsets = Vec::new();
        for (number, feature) in features.iter().enumerate() {
            prop_assert!(feature.len() <= options.max_seq_length);
            prop_assert_eq!(feature.input_ids[0], 2);
            prop_assert_eq!(feature.input_ids[feature.context.start - 1], 3);
            prop_assert_eq!(feature.input_ids[feature.len() - 1], 3);
            prop_assert_eq!(feature.context.end, feature.len() - 1);
            let shared = if number == 0 { 0 } else { options.doc_stride };
            prop_assert_eq!(&feature.offsets[..shared], &offsets[offsets.len() - shared..]);
            ids.extend(&feature.input_ids[feature.context.clone()][shared..]);
            offsets.extend(&feature.offsets[shared..]);
            if number + 1 < features.len() {
                prop_assert_eq!(feature.len(), options.max_seq_length);
            }
        }
        prop_assert_eq!(ids, all.ids);
        prop_assert_eq!(offsets, all.offsets);
    }

    #[test]
    fn labels_are_the_tokens_that_touch_the_answer(example in examples(), options in options()) {
        let tokenizer = small_tokenizer();
        let features = make_features(std::slice::from_ref(&example), &tokenizer, &options).unwrap();
        let gold = example.answers().first().map(|answer| {
            let start = answer.start.unwrap();
            let left = answer.text.chars().take_while(|c| c.is_whitespace()).count();
            start + left..start + left + answer.text.trim().chars().count()
        });
        let touches = |&(start, end): &(u32, u32)| {
            gold.as_ref().is_some_and(|gold| (start as usize) < gold.end && (end as usize) > gold.start)
        };
        let all = tokenizer.encode(&example.context).unwrap().offsets;
        let touching = all.iter().filter(|offset| touches(offset)).count();
        for feature in &features {
            let inside: Vec<usize> =
                feature.context.clone().filter(|&token| touches(&feature.offsets[token - feature.context.start])).collect();
            if touching > 0 && inside.len() == touching {
                prop_assert_eq!((feature.start_position, feature.end_position), (inside[0], inside[touching - 1]));
            } else {
                prop_assert_eq!((feature.start_position, feature.end_position), (0, 0));
            }
        }
    }
}

/// RoBERTa's four special tokens and its token types come from the post-processor, and the windows' budget follows.
#[test]
fn special_tokens_come_from_the_post_processor() {
    let json = std::fs::read_to_string(crate::common::fixture("tokenizer.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&json).unwrap();
    let example = Example::new("q", "who ate", "bread ".repeat(30));
    let options = FeatureOptions {
        max_seq_length: 20,
        doc_stride: 5,
        ..FeatureOptions::default()
    };
    let mut features = |processor: serde_json::Value| {
        file["post_processor"] = processor;
        let tokenizer = QaTokenizer::from_bytes("t.json", file.to_string().as_bytes()).unwrap();
        make_features(std::slice::from_ref(&example), &tokenizer, &options).unwrap()
    };
    let special =
        serde_json::json!({"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]});
    let of_bert = features(special.clone());
    let mut special = special;
    special["type"] = "RobertaProcessing".into();
    special["trim_offsets"] = true.into();
    special["add_prefix_space"] = false.into();
    let of_roberta = features(special);
    let ids = |ids: &[u32]| {
        ids.iter()
            .map(|id| (2..=3).contains(id))
            .collect::<Vec<_>>()
    };
    let (bert, roberta) = (&of_bert[0], &of_roberta[0]);
    assert_eq!((bert.len(), roberta.len()), (20, 20));
    assert_eq!(bert.context.len(), roberta.context.len() + 1);
    assert_eq!(bert.num_question_tokens(), roberta.num_question_tokens());
    let question = roberta.num_question_tokens();
    let expected = [
        vec![2],
        vec![9; question],
        vec![3, 3],
        vec![9; 20 - question - 4],
        vec![3],
    ]
    .concat();
    assert_eq!(ids(&roberta.input_ids), ids(&expected));
    assert!(roberta.token_type_ids().all(|kind| kind == 0));
    assert!(bert.token_type_ids().any(|kind| kind == 1));
    assert_eq!(roberta.offsets[0], (0, 5));
    assert!(of_roberta.len() >= of_bert.len());
}
