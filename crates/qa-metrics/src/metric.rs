//! The metrics by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::answer_scores::{NormalizedAnswer, best, gold_answers_v2};
use crate::error::Error;
use crate::mlqa::MlqaLanguage;
use crate::normalize::normalize_answer;
use crate::{cmrc, korquad, mlqa};

/// How answers are compared: the normalization of a dataset's official script and the units of its F1.
///
/// | name | exact match of | F1 of |
/// |---|---|---|
/// | `squad` | text without case, ASCII punctuation and English articles | words |
/// | `mlqa:ar`, `de`, `en`, `es`, `hi`, `vi`, `zh` | text without case, Unicode punctuation and the language's articles | words; for `zh` Han characters and words between them |
/// | `korquad` | text without case and ASCII punctuation; quotes and brackets separate words | characters |
/// | `cmrc` | text without case and CMRC's list of marks | the longest common run of Han characters and NLTK's words between them |
/// | `drcd` | as `cmrc`, with which DRCD is scored | as `cmrc` |
///
/// Scores equal those of the official scripts to the last digit, with one exception: a Python knows the characters of its
/// own version of Unicode, this crate those of the newest. Answers with a character that is younger than the Python may
/// have other scores there.
///
/// ```
/// use qa_metrics::{Metric, MlqaLanguage};
///
/// let metric: Metric = "mlqa:de".parse()?;
/// assert_eq!(metric, Metric::Mlqa(MlqaLanguage::De));
/// assert_eq!(metric.to_string(), "mlqa:de");
/// assert!(metric.exact_match("die Mühle", "Mühle"));
/// assert!("mlqa:fr".parse::<Metric>().is_err());
/// # Ok::<(), qa_metrics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// SQuAD's (Rajpurkar et al. 2016).
    #[default]
    Squad,
    /// MLQA's (Lewis et al. 2020).
    Mlqa(MlqaLanguage),
    /// KorQuAD 1.0's (Lim et al. 2019).
    Korquad,
    /// CMRC 2018's (Cui et al. 2019).
    Cmrc,
    /// DRCD's (Shao et al. 2018), which has no script of its own and is scored with that of CMRC 2018.
    Drcd,
}

impl Metric {
    /// All of them: each name once.
    ///
    /// ```
    /// assert!(qa_metrics::Metric::all().any(|metric| metric.to_string() == "mlqa:de"));
    /// ```
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Squad, Self::Korquad, Self::Cmrc, Self::Drcd]
            .into_iter()
            .chain(MlqaLanguage::ALL.map(Self::Mlqa))
    }

    /// The text that exact match compares.
    ///
    /// ```
    /// use qa_metrics::Metric;
    ///
    /// assert_eq!(Metric::Korquad.normalize("‘서울’(수도)"), "서울 수도");
    /// assert_eq!(Metric::Cmrc.normalize("《红楼梦》"), "红楼梦");
    /// ```
    pub fn normalize(self, text: &str) -> String {
        match self {
            Self::Squad => normalize_answer(text),
            Self::Mlqa(language) => mlqa::normalize(text, language),
            Self::Korquad => korquad::normalize(text),
            Self::Cmrc | Self::Drcd => cmrc::normalize(text),
        }
    }

    /// Whether a prediction equals a gold answer once both are normalized.
    ///
    /// ```
    /// assert!(qa_metrics::Metric::Cmrc.exact_match("1871年", "1871年。"));
    /// ```
    pub fn exact_match(self, prediction: &str, gold: &str) -> bool {
        self.normalize(prediction) == self.normalize(gold)
    }

    /// F1 of a prediction and a gold answer, from 0 to 1, in the metric's units. As with [`f1`](crate::f1), answers that are
    /// empty once normalized mean "no answer".
    ///
    /// ```
    /// use qa_metrics::Metric;
    ///
    /// assert_eq!(Metric::Korquad.f1("서울시", "서울"), 0.8); // 2 of 3 characters
    /// assert_eq!(Metric::Squad.f1("서울시", "서울"), 0.0); // no word in common
    /// assert_eq!(Metric::Cmrc.f1("楼红", "红楼"), 0.5); // the longest common run is 1 of 2
    /// ```
    pub fn f1(self, prediction: &str, gold: &str) -> f64 {
        NormalizedAnswer::new(prediction, self).f1_v2(&NormalizedAnswer::new(gold, self))
    }

    /// Whether a prediction matches any of a question's gold answers; see [`max_exact_match`](crate::max_exact_match).
    pub fn max_exact_match(self, prediction: &str, gold: &[&str]) -> bool {
        let prediction = NormalizedAnswer::new(prediction, self);
        best(&gold_answers_v2(gold, self), |gold| prediction.exact(gold)) == 1.0
    }

    /// The highest [`Metric::f1`] of a prediction over a question's gold answers; see [`max_f1`](crate::max_f1).
    pub fn max_f1(self, prediction: &str, gold: &[&str]) -> f64 {
        let prediction = NormalizedAnswer::new(prediction, self);
        best(&gold_answers_v2(gold, self), |gold| prediction.f1_v2(gold))
    }

    /// Metrics that fit answers for which words between spaces do not: those of Chinese for Han characters, and `korquad`,
    /// which counts characters, for Korean, Japanese, Thai, Lao, Khmer, Burmese and Tibetan. Empty if most answers have
    /// none of these scripts.
    ///
    /// ```
    /// use qa_metrics::Metric;
    ///
    /// assert_eq!(Metric::for_unspaced(["1871年", "红楼梦"])[0], Metric::Cmrc);
    /// assert_eq!(Metric::for_unspaced(["ไทย", "กรุงเทพ"]), [Metric::Korquad]);
    /// assert!(Metric::for_unspaced(["1871", "Ane Holm"]).is_empty());
    /// ```
    pub fn for_unspaced<'a>(answers: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let (mut with_letters, mut chinese, mut others) = (0_usize, 0, 0);
        for answer in answers {
            if answer.is_ascii() {
                with_letters += usize::from(answer.bytes().any(|c| c.is_ascii_alphabetic()));
                continue;
            }
            if answer.contains(is_unspaced) {
                others += 1;
            } else if answer.contains(is_ideograph) {
                chinese += 1;
            }
            with_letters += usize::from(answer.contains(char::is_alphabetic));
        }
        if 2 * (chinese + others) <= with_letters {
            Vec::new()
        } else if 8 * others >= chinese {
            // Many Japanese answers have Han characters alone.
            vec![Self::Korquad]
        } else {
            vec![Self::Cmrc, Self::Drcd, Self::Mlqa(MlqaLanguage::Zh)]
        }
    }

    /// F1 of two normalized answers as the official script computes it: 0 if they share nothing.
    pub(crate) fn overlap_f1(self, prediction: &str, gold: &str) -> f64 {
        match self {
            Self::Squad | Self::Mlqa(_) => multiset_f1(words(prediction), words(gold)),
            Self::Korquad => multiset_f1(characters(prediction), characters(gold)),
            Self::Cmrc | Self::Drcd => {
                let (prediction, gold) = (cmrc::segments(prediction), cmrc::segments(gold));
                let num_same = cmrc::longest_common_run(&prediction, &gold);
                f1_of_counts(num_same, prediction.len(), gold.len())
            }
        }
    }
}

/// Han characters, with those beyond what [`cmrc`] splits.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters of Thai, Lao, Tibetan, Burmese, Khmer, Korean and kana.
fn is_unspaced(c: char) -> bool {
    let is_in_script = matches!(
        c,
        '\u{e00}'..='\u{fff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1100}'..='\u{11ff}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3041}'..='\u{30fa}'
            | '\u{ac00}'..='\u{d7af}'
    );
    is_in_script && c.is_alphabetic()
}

fn words(normalized: &str) -> Vec<&str> {
    normalized
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect()
}

fn characters(normalized: &str) -> Vec<char> {
    normalized.chars().filter(|&c| c != ' ').collect()
}

/// F1 of two multisets.
fn multiset_f1<T: Ord>(mut prediction: Vec<T>, mut gold: Vec<T>) -> f64 {
    prediction.sort_unstable();
    gold.sort_unstable();
    let num_same = multiset_overlap(&prediction, &gold);
    f1_of_counts(num_same, prediction.len(), gold.len())
}

fn multiset_overlap<T: Ord>(left: &[T], right: &[T]) -> usize {
    let (mut i, mut j, mut num_same) = (0, 0, 0);
    while i < left.len() && j < right.len() {
        match left[i].cmp(&right[j]) {
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

fn f1_of_counts(num_same: usize, num_predicted: usize, num_gold: usize) -> f64 {
    if num_same == 0 {
        return 0.0;
    }
    // The scripts' order of operations: a rearranged formula rounds differently.
    let precision = num_same as f64 / num_predicted as f64;
    let recall = num_same as f64 / num_gold as f64;
    (2.0 * precision * recall) / (precision + recall)
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Squad => f.write_str("squad"),
            Self::Mlqa(language) => write!(f, "mlqa:{language}"),
            Self::Korquad => f.write_str("korquad"),
            Self::Cmrc => f.write_str("cmrc"),
            Self::Drcd => f.write_str("drcd"),
        }
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::all()
            .find(|metric| metric.to_string() == name)
            .ok_or_else(|| Error::UnknownMetric {
                name: name.to_owned(),
            })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}
