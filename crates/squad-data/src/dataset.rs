//! A set of questions.

use std::collections::HashSet;

use qa_metrics::Question;

use crate::batching::rng::SplitMix64;
use crate::error::Error;
use crate::example::{Example, Gold};
use crate::read::Flaws;

/// Questions in file order.
///
/// ```
/// use squad_data::Dataset;
///
/// let json = r#"{"version": "v2.0", "data": [{"title": "Pies", "paragraphs": [{
///     "context": "Zoë ate a pie.",
///     "qas": [{"id": "q1", "question": "What did Zoë eat?", "is_impossible": false,
///              "answers": [{"text": "a pie", "answer_start": 8}]},
///             {"id": "q2", "question": "What did Bo eat?", "is_impossible": true, "answers": []}]}]}]}"#;
/// let dataset = Dataset::from_json("pies.json", json.as_bytes())?;
/// assert_eq!(dataset.len(), 2);
/// assert!(dataset.has_unanswerable());
/// assert_eq!(dataset.answerable().len(), 1);
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// The name that messages use: the file's name, or several names separated by commas.
    pub name: String,
    /// The questions, in file order.
    pub examples: Vec<Example>,
    /// The file's `version`, if it has one.
    pub version: Option<String>,
    /// What is wrong in the files, and what was done about it.
    pub flaws: Flaws,
}

impl Dataset {
    /// Number of questions.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there are no questions.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// Whether any question has no answer in its context, as in SQuAD 2.0.
    pub fn has_unanswerable(&self) -> bool {
        self.examples.iter().any(Example::is_impossible)
    }

    /// The first `count` questions, or all if there are fewer.
    #[must_use]
    pub fn take(mut self, count: usize) -> Self {
        self.examples.truncate(count);
        self
    }

    /// The questions that have an answer.
    #[must_use]
    pub fn answerable(mut self) -> Self {
        self.examples.retain(|e| !e.answers().is_empty());
        self
    }

    /// The questions of which it is known what answers them, or that nothing does. Only these can be scored.
    #[must_use]
    pub fn labelled(mut self) -> Self {
        self.examples.retain(|e| e.gold != Gold::Unknown);
        self
    }

    /// Number of questions whose gold answers are unknown, as in a test set without answers.
    pub fn num_unlabelled(&self) -> usize {
        let unknown = |e: &&Example| e.gold == Gold::Unknown;
        self.examples.iter().filter(unknown).count()
    }

    /// The id and the gold answers of each question in file order, as the official metrics take them.
    pub fn gold_answers(&self) -> Vec<Question<'_>> {
        let examples = self.examples.iter();
        examples
            .map(|example| Question {
                id: &example.id,
                answers: example.answers().iter().map(|a| a.text.as_str()).collect(),
            })
            .collect()
    }

    /// Splits the questions at random into `fraction` of them (rounded) and the rest, both in file order. The first part
    /// keeps the flaws.
    ///
    /// The split depends on `seed` and the number of questions only. Questions about one paragraph may land on both
    /// sides; use separate files if the two parts must not share contexts.
    ///
    /// # Errors
    ///
    /// `fraction` is not between 0 and 1.
    pub fn split(self, fraction: f64, seed: u64) -> Result<(Self, Self), Error> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(Error::Option {
                option: "train_fraction",
                value: fraction.to_string(),
                problem: "must be between 0 and 1".to_owned(),
            });
        }
        let count = (self.len() as f64 * fraction).round() as usize;
        let mut order: Vec<usize> = (0..self.len()).collect();
        SplitMix64::new(seed).shuffle(&mut order);
        let mut in_first = vec![false; self.len()];
        for &index in order.iter().take(count) {
            in_first[index] = true;
        }
        let part = |examples, flaws| Self {
            name: self.name.clone(),
            examples,
            version: self.version.clone(),
            flaws,
        };
        let (first, rest): (Vec<_>, Vec<_>) = self
            .examples
            .into_iter()
            .zip(in_first)
            .partition(|(_, in_first)| *in_first);
        let examples = |part: Vec<(Example, bool)>| part.into_iter().map(|(e, _)| e).collect();
        Ok((
            part(examples(first), self.flaws),
            part(examples(rest), Flaws::default()),
        ))
    }

    /// Appends the questions of another dataset. The version is kept if both have the same. A dataset without name and
    /// questions, such as [`Dataset::default`], takes name and version of the other.
    ///
    /// # Errors
    ///
    /// Both datasets have the same id, which the message names. This dataset is then unchanged.
    pub fn extend(&mut self, other: Self) -> Result<(), Error> {
        let seen: HashSet<&str> = self
            .examples
            .iter()
            .map(|example| example.id.as_str())
            .collect();
        if let Some(twice) = other
            .examples
            .iter()
            .find(|example| seen.contains(example.id.as_str()))
        {
            return Err(Error::DuplicateId {
                id: twice.id.clone(),
                first: self.name.clone(),
                second: other.name,
            });
        }
        if self.name.is_empty() && self.is_empty() {
            self.name = other.name;
            self.version = other.version;
        } else {
            if self.version != other.version {
                self.version = None;
            }
            self.name = format!("{}, {}", self.name, other.name);
        }
        self.flaws.extend(other.flaws);
        self.examples.extend(other.examples);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(name: &str, ids: std::ops::Range<usize>) -> Dataset {
        let examples = ids
            .map(|id| Example::new(id.to_string(), "?", "text"))
            .collect();
        Dataset {
            name: name.to_owned(),
            examples,
            version: Some("v2.0".to_owned()),
            flaws: Flaws::default(),
        }
    }

    fn ids(dataset: &Dataset) -> Vec<usize> {
        dataset
            .examples
            .iter()
            .map(|example| example.id.parse().unwrap())
            .collect()
    }

    #[test]
    fn split_is_a_partition_that_depends_on_the_seed() {
        let (train, dev) = dataset("a", 0..100).split(0.8, 3).unwrap();
        assert_eq!((train.len(), dev.len()), (80, 20));
        let (ids_train, ids_dev) = (ids(&train), ids(&dev));
        assert!(ids_train.is_sorted() && ids_dev.is_sorted());
        let mut all = [ids_train, ids_dev.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(ids(&dataset("a", 0..100).split(0.8, 3).unwrap().1), ids_dev);
        assert_ne!(ids(&dataset("a", 0..100).split(0.8, 4).unwrap().1), ids_dev);
        assert_eq!(dataset("a", 0..7).split(1.0, 0).unwrap().1.len(), 0);
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert!(
                dataset("a", 0..7)
                    .split(wrong, 0)
                    .unwrap_err()
                    .to_string()
                    .starts_with("train_fraction = ")
            );
        }
    }

    #[test]
    fn extend_appends_and_rejects_an_id_that_both_have() {
        let mut both = dataset("a.json", 0..10).take(4);
        both.extend(dataset("b.json", 10..12)).unwrap();
        assert_eq!(ids(&both), [0, 1, 2, 3, 10, 11]);
        let message = both
            .extend(dataset("c.json", 3..5))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("\"3\" occurs twice, in a.json, b.json and in c.json"),
            "{message}"
        );
        assert_eq!(both.len(), 6);
        let mut from_nothing = Dataset::default();
        from_nothing.extend(both.clone()).unwrap();
        assert_eq!(from_nothing, both);
        assert_eq!(dataset("a", 0..3).take(9).len(), 3);
    }
}
