//! Scores of one prediction against its gold answers.

use crate::normalize::normalize_answer;

/// The normalized text of an answer.
#[derive(PartialEq)]
pub(crate) struct NormalizedAnswer(String);

impl NormalizedAnswer {
    pub(crate) fn new(text: &str) -> Self {
        Self(normalize_answer(text))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Words in sorted order, because F1 compares multisets.
    fn sorted_tokens(&self) -> Vec<&str> {
        let mut tokens: Vec<&str> = self
            .0
            .split(' ')
            .filter(|token| !token.is_empty())
            .collect();
        tokens.sort_unstable();
        tokens
    }
}

/// F1 of two multisets of words, as in the v1.1 script: 0 if they share none, also for two empty answers.
pub(crate) fn token_f1(prediction: &NormalizedAnswer, gold: &NormalizedAnswer) -> f64 {
    let (prediction, gold) = (prediction.sorted_tokens(), gold.sorted_tokens());
    let num_same = multiset_overlap(&prediction, &gold);
    if num_same == 0 {
        return 0.0;
    }
    // The scripts' order of operations: a rearranged formula rounds differently.
    let precision = num_same as f64 / prediction.len() as f64;
    let recall = num_same as f64 / gold.len() as f64;
    (2.0 * precision * recall) / (precision + recall)
}

/// F1 as in the v2.0 script: an empty answer means "no answer", and two of these score 1.
pub(crate) fn token_f1_v2(prediction: &NormalizedAnswer, gold: &NormalizedAnswer) -> f64 {
    if prediction.is_empty() || gold.is_empty() {
        return f64::from(prediction.is_empty() && gold.is_empty());
    }
    token_f1(prediction, gold)
}

/// Gold answers as in the v2.0 script: those that are not empty once normalized, or one empty answer if there are none.
pub(crate) fn gold_answers_v2(answers: &[&str]) -> Vec<NormalizedAnswer> {
    let mut gold: Vec<NormalizedAnswer> = answers
        .iter()
        .map(|text| NormalizedAnswer::new(text))
        .collect();
    gold.retain(|answer| !answer.is_empty());
    if gold.is_empty() {
        gold.push(NormalizedAnswer::new(""));
    }
    gold
}

/// The highest value of a metric over the gold answers.
pub(crate) fn best(gold: &[NormalizedAnswer], metric: impl Fn(&NormalizedAnswer) -> f64) -> f64 {
    gold.iter().map(metric).fold(0.0, f64::max)
}

fn multiset_overlap(left: &[&str], right: &[&str]) -> usize {
    let (mut i, mut j, mut num_same) = (0, 0, 0);
    while i < left.len() && j < right.len() {
        match left[i].cmp(right[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                num_same += 1;
                i += 1;
                j += 1;
            }
        }
    }
    num_same
}

/// Whether a prediction equals a gold answer once both are normalized.
///
/// ```
/// use qa_metrics::exact_match;
///
/// assert!(exact_match("The Norse.", "norse"));
/// assert!(!exact_match("Norse", "Norsemen"));
/// ```
pub fn exact_match(prediction: &str, gold: &str) -> bool {
    NormalizedAnswer::new(prediction) == NormalizedAnswer::new(gold)
}

/// F1 of the normalized words of a prediction and a gold answer, between 0 and 1.
///
/// Words count as often as they occur. An answer that is empty once normalized means "no answer". Two of these score 1,
/// one of them scores 0, as in the v2.0 script; in the v1.1 script both cases score 0.
///
/// ```
/// use qa_metrics::f1;
///
/// // 2 words in common, of 4 predicted and 2 gold: precision 1/2, recall 1.
/// assert_eq!(f1("10 or 11 centuries", "11 centuries"), 2.0 / 3.0);
/// assert_eq!(f1("nothing shared", "11 centuries"), 0.0);
/// assert_eq!(f1("", "the"), 1.0); // both are no answer
/// ```
pub fn f1(prediction: &str, gold: &str) -> f64 {
    token_f1_v2(
        &NormalizedAnswer::new(prediction),
        &NormalizedAnswer::new(gold),
    )
}

/// Whether a prediction matches any of a question's gold answers.
///
/// Gold answers that are empty once normalized are left out. If none is left, the expected answer is "no answer", as in
/// the v2.0 script.
///
/// ```
/// use qa_metrics::max_exact_match;
///
/// assert!(max_exact_match("France", &["in France", "France"]));
/// assert!(max_exact_match("", &[]));
/// assert!(!max_exact_match("France", &[]));
/// ```
pub fn max_exact_match(prediction: &str, gold: &[&str]) -> bool {
    let prediction = NormalizedAnswer::new(prediction);
    gold_answers_v2(gold).contains(&prediction)
}

/// The highest [`f1`] of a prediction over a question's gold answers. Empty ones count as in [`max_exact_match`].
///
/// ```
/// use qa_metrics::max_f1;
///
/// assert_eq!(max_f1("northern France", &["in the south", "France"]), 2.0 / 3.0);
/// assert_eq!(max_f1("", &[]), 1.0);
/// ```
pub fn max_f1(prediction: &str, gold: &[&str]) -> f64 {
    let prediction = NormalizedAnswer::new(prediction);
    best(&gold_answers_v2(gold), |gold| {
        token_f1_v2(&prediction, gold)
    })
}
