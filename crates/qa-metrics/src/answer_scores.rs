//! Scores of one prediction against its gold answers.

use crate::metric::Metric;

/// The normalized text of an answer.
pub(crate) struct NormalizedAnswer {
    text: String,
    metric: Metric,
}

impl NormalizedAnswer {
    pub(crate) fn new(text: &str, metric: Metric) -> Self {
        let text = metric.normalize(text);
        Self { text, metric }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Exact match, 0 or 1.
    pub(crate) fn exact(&self, gold: &Self) -> f64 {
        f64::from(self.text == gold.text)
    }

    /// F1 as in the scripts without unanswerable questions: 0 if nothing is shared, also for two empty answers.
    pub(crate) fn f1_v1(&self, gold: &Self) -> f64 {
        self.metric.overlap_f1(&self.text, &gold.text)
    }

    /// F1 as in the v2.0 script: an empty answer means "no answer", and two of these score 1.
    pub(crate) fn f1_v2(&self, gold: &Self) -> f64 {
        if self.is_empty() || gold.is_empty() {
            return f64::from(self.is_empty() && gold.is_empty());
        }
        self.f1_v1(gold)
    }
}

/// Gold answers as in the v2.0 script: those that are not empty once normalized, or one empty answer if there are none.
pub(crate) fn gold_answers_v2(answers: &[&str], metric: Metric) -> Vec<NormalizedAnswer> {
    let mut gold: Vec<NormalizedAnswer> = answers
        .iter()
        .map(|text| NormalizedAnswer::new(text, metric))
        .collect();
    gold.retain(|answer| !answer.is_empty());
    if gold.is_empty() {
        gold.push(NormalizedAnswer::new("", metric));
    }
    gold
}

/// The highest value of a metric over the gold answers.
pub(crate) fn best(gold: &[NormalizedAnswer], metric: impl Fn(&NormalizedAnswer) -> f64) -> f64 {
    gold.iter().map(metric).fold(0.0, f64::max)
}

/// Whether a prediction equals a gold answer once both are normalized as for SQuAD. [`Metric`] has other metrics.
///
/// ```
/// use qa_metrics::exact_match;
///
/// assert!(exact_match("The Norse.", "norse"));
/// assert!(!exact_match("Norse", "Norsemen"));
/// ```
pub fn exact_match(prediction: &str, gold: &str) -> bool {
    Metric::Squad.exact_match(prediction, gold)
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
    Metric::Squad.f1(prediction, gold)
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
    Metric::Squad.max_exact_match(prediction, gold)
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
    Metric::Squad.max_f1(prediction, gold)
}
