//! One prediction against its gold answers.

use crate::normalize::normalize_answer;

/// An answer's normalised text, made once and compared often.
pub(crate) struct Answer(String);

impl Answer {
    pub(crate) fn new(text: &str) -> Self {
        Self(normalize_answer(text))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Words in sorted order: F1 knows multisets only.
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

pub(crate) fn same_text(prediction: &Answer, gold: &Answer) -> bool {
    prediction.0 == gold.0
}

/// F1 of two multisets of words; 0 when they share none, as the v1.1 script has it (two empty answers included).
pub(crate) fn token_f1(prediction: &Answer, gold: &Answer) -> f64 {
    let (prediction, gold) = (prediction.sorted_tokens(), gold.sorted_tokens());
    let num_same = multiset_overlap(&prediction, &gold);
    if num_same == 0 {
        return 0.0;
    }
    // In the scripts' order of operations: a rearranged formula rounds differently.
    let precision = num_same as f64 / prediction.len() as f64;
    let recall = num_same as f64 / gold.len() as f64;
    (2.0 * precision * recall) / (precision + recall)
}

/// F1 as the v2.0 script has it: an empty answer says "no answer", and two of those agree.
pub(crate) fn token_f1_or_agreement(prediction: &Answer, gold: &Answer) -> f64 {
    if prediction.is_empty() || gold.is_empty() {
        return f64::from(prediction.is_empty() && gold.is_empty());
    }
    token_f1(prediction, gold)
}

/// Gold answers as the v2.0 script sees them: those that normalise to something, or else one empty answer.
pub(crate) fn gold_answers_v2(answers: &[&str]) -> Vec<Answer> {
    let mut gold: Vec<Answer> = answers.iter().map(|text| Answer::new(text)).collect();
    gold.retain(|answer| !answer.is_empty());
    if gold.is_empty() {
        gold.push(Answer::new(""));
    }
    gold
}

/// The best of a metric over several gold answers.
pub(crate) fn best(gold: &[Answer], metric: impl Fn(&Answer) -> f64) -> f64 {
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

/// Whether a prediction and a gold answer are the same text once normalised.
///
/// ```
/// use qa_metrics::exact_match;
///
/// assert!(exact_match("The Norse.", "norse"));
/// assert!(!exact_match("Norse", "Norsemen"));
/// ```
pub fn exact_match(prediction: &str, gold: &str) -> bool {
    same_text(&Answer::new(prediction), &Answer::new(gold))
}

/// F1 of the normalised words of a prediction and a gold answer, between 0 and 1.
///
/// Words count as often as they occur. An answer that normalises to nothing means "no answer": two of those score 1,
/// one of them 0, as in the v2.0 script (the v1.1 script gives 0 to both).
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
    token_f1_or_agreement(&Answer::new(prediction), &Answer::new(gold))
}

/// Whether a prediction matches any of a question's gold answers.
///
/// Gold answers that normalise to nothing are left out, and a question left with none expects "no answer", as in the
/// v2.0 script.
///
/// ```
/// use qa_metrics::max_exact_match;
///
/// assert!(max_exact_match("France", &["in France", "France"]));
/// assert!(max_exact_match("", &[]));
/// assert!(!max_exact_match("France", &[]));
/// ```
pub fn max_exact_match(prediction: &str, gold: &[&str]) -> bool {
    let prediction = Answer::new(prediction);
    gold_answers_v2(gold)
        .iter()
        .any(|gold| same_text(&prediction, gold))
}

/// The highest [`f1`] of a prediction over a question's gold answers, which are taken as by [`max_exact_match`].
///
/// ```
/// use qa_metrics::max_f1;
///
/// assert_eq!(max_f1("northern France", &["in the south", "France"]), 2.0 / 3.0);
/// assert_eq!(max_f1("", &[]), 1.0);
/// ```
pub fn max_f1(prediction: &str, gold: &[&str]) -> f64 {
    let prediction = Answer::new(prediction);
    best(&gold_answers_v2(gold), |gold| {
        token_f1_or_agreement(&prediction, gold)
    })
}
