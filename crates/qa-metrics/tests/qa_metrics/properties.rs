//! Properties of scores of generated texts.

use proptest::prelude::*;
use qa_metrics::{exact_match, f1, max_exact_match, max_f1, normalize_answer};

/// Texts of pieces that normalization treats differently, and sometimes any text.
fn answer() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "an", "the", "A", "The", "river", "River", "Seine", "11", "x", " ", "  ", "\t",
        "\u{a0}", "\u{1c}", ".", "-", "_", "’", "—", "é", "e\u{301}", "\u{301}", "Σ", "ΑΣ", "İ",
        "²", "日本", "\u{200b}",
    ]);
    prop_oneof![
        9 => prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalizing_twice_changes_nothing(text in answer()) {
        let normal = normalize_answer(&text);
        prop_assert_eq!(normalize_answer(&normal), normal);
    }

    #[test]
    fn normalized_text_has_no_articles_punctuation_or_extra_space(text in answer()) {
        let normal = normalize_answer(&text);
        prop_assert!(!normal.contains(|c: char| c.is_ascii_punctuation()));
        for token in normal.split(' ') {
            prop_assert!(!matches!(token, "a" | "an" | "the"), "{:?}", normal);
            prop_assert!(!token.contains(char::is_whitespace));
            prop_assert!(!token.is_empty() || normal.is_empty());
        }
    }

    #[test]
    fn f1_is_a_symmetric_fraction(prediction in answer(), gold in answer()) {
        let score = f1(&prediction, &gold);
        prop_assert!((0.0..=1.0).contains(&score));
        // Equal up to the rounding of one sum and one product.
        prop_assert!((score - f1(&gold, &prediction)).abs() <= 2.0 * f64::EPSILON);
    }

    #[test]
    fn an_exact_match_has_an_f1_of_one(prediction in answer(), gold in answer()) {
        prop_assert!(exact_match(&prediction, &prediction));
        prop_assert_eq!(f1(&prediction, &prediction), 1.0);
        if exact_match(&prediction, &gold) {
            prop_assert_eq!(f1(&prediction, &gold), 1.0);
        }
    }

    #[test]
    fn normalizing_first_changes_no_score(prediction in answer(), gold in answer()) {
        let normal = normalize_answer(&prediction);
        prop_assert_eq!(exact_match(&prediction, &gold), exact_match(&normal, &gold));
        prop_assert_eq!(f1(&prediction, &gold), f1(&normal, &gold));
    }

    #[test]
    fn f1_counts_words_as_often_as_they_occur(prediction in answer(), gold in answer()) {
        prop_assert!((f1(&prediction, &gold) - f1_by_removing(&prediction, &gold)).abs() <= 4.0 * f64::EPSILON);
    }

    #[test]
    fn more_gold_answers_never_hurt(prediction in answer(), gold in prop::collection::vec(answer(), 1..4)) {
        let gold: Vec<&str> = gold.iter().map(String::as_str).collect();
        let of_gold: Vec<&str> = gold.iter().copied().filter(|text| !normalize_answer(text).is_empty()).collect();
        for one in &of_gold {
            prop_assert!(max_f1(&prediction, &gold) >= f1(&prediction, one));
            prop_assert!(max_exact_match(&prediction, &gold) || !exact_match(&prediction, one));
        }
        if of_gold.is_empty() {
            prop_assert_eq!(max_f1(&prediction, &gold), f1(&prediction, ""));
        }
    }
}

/// F1 by removing each predicted word from the gold words.
fn f1_by_removing(prediction: &str, gold: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        normalize_answer(text)
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let (predicted, mut left) = (words(prediction), words(gold));
    let num_gold = left.len();
    if predicted.is_empty() && left.is_empty() {
        return 1.0;
    }
    for word in &predicted {
        if let Some(position) = left.iter().position(|other| other == word) {
            left.remove(position);
        }
    }
    2.0 * (num_gold - left.len()) as f64 / (predicted.len() + num_gold) as f64
}
