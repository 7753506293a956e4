//! Contexts that two datasets share, nearly or wholly: questions about a text that was trained on are no test.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use crate::dataset::Dataset;
use crate::example::Example;

/// Words in a row that are compared.
const SHINGLE: usize = 8;
/// Of the runs of words of a long text one in `SAMPLE` is kept, chosen by its hash.
const SAMPLE: u64 = 4;
/// Runs of words up to which all of them are kept.
const ALL_BELOW: usize = 64;
/// The share of common runs of words from which two texts are nearly the same.
const NEAR: f64 = 0.5;
/// Contexts that are remembered for a run of words. More share only what many texts have, such as a standard sentence.
const MAX_CONTEXTS: usize = 16;
/// Number of pairs that are listed.
const MAX_LISTED: usize = 10;

/// Contexts of one dataset that another one has too, nearly or wholly.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overlap {
    /// Distinct contexts that the other dataset has to at least one half, by runs of eight words.
    pub contexts: usize,
    /// Questions about them.
    pub questions: usize,
    /// The first ten.
    pub first: Vec<SharedContext>,
}

/// A context that both datasets have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SharedContext {
    /// Id of the first question about it.
    pub id: String,
    /// Id of the first question about the other dataset's context.
    pub other_id: String,
    /// The share of its runs of words that the other context has; 1 if it has all.
    pub share: f64,
}

/// The contexts of `dataset` that `other` has too, nearly or wholly. Case, punctuation and white space do not count.
pub fn overlap(dataset: &Dataset, other: &Dataset) -> Overlap {
    let mut known: HashMap<u64, Vec<u32>> = HashMap::new();
    let others = distinct(other);
    for (number, example) in (0u32..).zip(&others) {
        for shingle in sampled(&example.context) {
            let contexts = known.entry(shingle).or_default();
            if contexts.len() < MAX_CONTEXTS {
                contexts.push(number);
            }
        }
    }
    let mut overlap = Overlap::default();
    let mut shared: HashSet<&str> = HashSet::new();
    for example in distinct(dataset) {
        let shingles = sampled(&example.context);
        let mut common: HashMap<u32, usize> = HashMap::new();
        let contexts = shingles.iter().filter_map(|shingle| known.get(shingle));
        for number in contexts.flatten() {
            *common.entry(*number).or_default() += 1;
        }
        let best = common
            .into_iter()
            .max_by_key(|&(number, count)| (count, std::cmp::Reverse(number)));
        let Some((number, count)) = best else {
            continue;
        };
        let share = count as f64 / shingles.len() as f64;
        if share < NEAR {
            continue;
        }
        shared.insert(&example.context);
        if overlap.first.len() < MAX_LISTED {
            overlap.first.push(SharedContext {
                id: example.id.clone(),
                other_id: others[number as usize].id.clone(),
                share,
            });
        }
    }
    overlap.contexts = shared.len();
    let examples = dataset.examples.iter();
    overlap.questions = examples.filter(|e| shared.contains(&*e.context)).count();
    overlap
}

/// The first example of each context.
fn distinct(dataset: &Dataset) -> Vec<&Example> {
    let mut seen: HashSet<&str> = HashSet::new();
    let examples = dataset.examples.iter();
    examples
        .filter(|example| seen.insert(&example.context))
        .collect()
}

/// Hashes of runs of words: all of a short text, a sample of a long one.
fn sampled(text: &str) -> HashSet<u64> {
    let is_cjk = |c: char| matches!(c, '\u{3040}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}');
    let lower = text.to_lowercase();
    let mut words: Vec<&str> = Vec::new();
    for word in lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        if word.chars().any(is_cjk) {
            // These scripts have no spaces between words.
            words.extend(word.split_inclusive(|_| true));
        } else {
            words.push(word);
        }
    }
    let hash = |run: &[&str]| {
        let mut hasher = DefaultHasher::new();
        run.hash(&mut hasher);
        hasher.finish()
    };
    let all: HashSet<u64> = if words.len() < SHINGLE {
        HashSet::from([hash(&words)])
    } else {
        words.windows(SHINGLE).map(hash).collect()
    };
    if all.len() < ALL_BELOW {
        return all;
    }
    let sample: HashSet<u64> = all
        .iter()
        .copied()
        .filter(|hash| hash % SAMPLE == 0)
        .collect();
    if sample.is_empty() { all } else { sample }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(contexts: &[&str]) -> Dataset {
        let examples = contexts.iter().enumerate();
        let example =
            |(number, context): (usize, &&str)| Example::new(number.to_string(), "?", *context);
        Dataset {
            examples: examples.map(example).collect(),
            ..Dataset::default()
        }
    }

    #[test]
    fn near_copies_are_found_and_other_texts_are_not() {
        let text = |seed: usize| {
            let words = (0..300).map(|n| format!("w{}", (n * n * 7 + seed * 131) % 9973));
            words.collect::<Vec<_>>().join(" ")
        };
        let (a, b, c) = (text(1), text(2), text(3));
        // In capitals, with another end and two other words.
        let near = format!("{}. And more.", a.to_uppercase().replace("W7 ", "X "));
        let train = dataset(&[&b, &a]);
        let overlap = overlap(&dataset(&[&c, &near, &b]), &train);
        assert_eq!((overlap.contexts, overlap.questions), (2, 2));
        let pairs: Vec<_> = overlap
            .first
            .iter()
            .map(|s| (&*s.id, &*s.other_id))
            .collect();
        assert_eq!(pairs, [("1", "1"), ("2", "0")]);
        assert_eq!(overlap.first[1].share, 1.0);
        assert_eq!(super::overlap(&dataset(&[&c]), &train), Overlap::default());
        // Two other contexts have parts of the same text.
        let words: Vec<&str> = a.split(' ').collect();
        let parts = [words[..140].join(" "), words[140..].join(" ")];
        let train = dataset(&[&parts[0], &parts[1], &a]);
        let whole = super::overlap(&dataset(&[&a]), &train);
        assert_eq!(whole.first[0].other_id, "2");
        assert_eq!(whole.first[0].share, 1.0);
        // A short text and a text without spaces.
        let chinese = "世界尔福拉煤矿由安妮建造于一八七一年并且在一九〇二年被烧毁了";
        let train = dataset(&["Ane Holm.", chinese]);
        let found = super::overlap(
            &dataset(&["ane holm", &chinese[..chinese.len() - 6]]),
            &train,
        );
        assert_eq!(found.contexts, 2);
    }
}
