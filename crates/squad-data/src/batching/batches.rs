//! Which windows go together, in which order.

use serde::{Deserialize, Serialize};

use crate::batching::rng::SplitMix64;
use crate::error::Error;

/// The random order of an epoch: a function of these two numbers and the number of windows, and of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shuffle {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
}

/// How large a batch is.
///
/// ```
/// use squad_data::BatchSize;
///
/// assert!(BatchSize::Features(8).validate().is_ok());
/// assert_eq!(BatchSize::Tokens(0).validate().unwrap_err().to_string(), "batch_size = 0: a batch needs at least one token");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchSize {
    /// So many windows, whatever their lengths.
    Features(usize),
    /// As many windows as follow each other with at most so many tokens together. A window that is longer is a batch of
    /// its own.
    Tokens(usize),
}

impl BatchSize {
    /// Checks the size before any work.
    ///
    /// # Errors
    ///
    /// A size of 0.
    pub fn validate(self) -> Result<(), Error> {
        let (size, unit) = match self {
            Self::Features(size) => (size, "window"),
            Self::Tokens(size) => (size, "token"),
        };
        match size {
            0 => Err(Error::Option {
                option: "batch_size",
                value: "0".to_owned(),
                problem: format!("a batch needs at least one {unit}"),
            }),
            _ => Ok(()),
        }
    }
}

/// Windows `0..num_features` in batches of `batch_size`; the last batch holds what is left.
///
/// With `shuffle` the order is a Fisher–Yates shuffle driven by SplitMix64, seeded from (seed, epoch): the same on every
/// machine and in every version of this crate, so that an epoch's position is the index of its next batch. Without it
/// the order is `0..num_features`.
///
/// ```
/// use squad_data::{Shuffle, batches};
///
/// assert_eq!(batches(5, 2, None)?, [vec![0, 1], vec![2, 3], vec![4]]);
/// let epoch = batches(5, 2, Some(Shuffle { seed: 1, epoch: 0 }))?;
/// assert_eq!(epoch, batches(5, 2, Some(Shuffle { seed: 1, epoch: 0 }))?);
/// # Ok::<(), squad_data::Error>(())
/// ```
///
/// # Errors
///
/// A `batch_size` of 0.
pub fn batches(
    num_features: usize,
    batch_size: usize,
    shuffle: Option<Shuffle>,
) -> Result<Vec<Vec<usize>>, Error> {
    BatchSize::Features(batch_size).validate()?;
    let order = order(num_features, shuffle);
    Ok(order.chunks(batch_size).map(<[usize]>::to_vec).collect())
}

/// `0..num_features`, shuffled where that is asked for.
pub(crate) fn order(num_features: usize, shuffle: Option<Shuffle>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..num_features).collect();
    if let Some(Shuffle { seed, epoch }) = shuffle {
        SplitMix64::stream(seed, epoch).shuffle(&mut order);
    }
    order
}

/// Windows in batches of at most `max_tokens` tokens, longest windows first, for evaluation.
///
/// Windows of a batch have nearly the same length, which suits an attention that pads inside, and the first batch is the
/// one that needs most memory. Equal lengths keep their order. A window longer than `max_tokens` is a batch of its own,
/// so every window is in exactly one batch.
///
/// ```
/// use squad_data::batches_by_tokens;
///
/// assert_eq!(batches_by_tokens(&[3, 9, 4, 4], 8), [vec![1], vec![2, 3], vec![0]]);
/// ```
pub fn batches_by_tokens(lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    fill(&order, lengths, max_tokens)
}

/// Divides windows, without changing their order, into batches of at most `max_tokens` tokens.
pub(crate) fn fill(order: &[usize], lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0usize;
    for &index in order {
        tokens = tokens.saturating_add(lengths[index]);
        match batches.last_mut() {
            Some(batch) if tokens <= max_tokens => batch.push(index),
            _ => {
                batches.push(vec![index]);
                tokens = lengths[index];
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_differ_and_are_reproducible() {
        let epoch = |seed, epoch| batches(100, 8, Some(Shuffle { seed, epoch })).unwrap();
        assert_eq!(epoch(0, 0), epoch(0, 0));
        assert_ne!(epoch(0, 0), epoch(0, 1));
        assert_ne!(epoch(0, 0), epoch(1, 0));
        assert_ne!(epoch(0, 1), epoch(1, 0));
        assert_eq!(epoch(0, 0).len(), 13);
        assert_eq!(epoch(0, 0)[12].len(), 4);
    }

    #[test]
    fn degenerate_sizes() {
        assert!(
            batches(5, 0, None)
                .unwrap_err()
                .to_string()
                .starts_with("batch_size = 0: ")
        );
        assert!(
            batches(0, 4, Some(Shuffle { seed: 0, epoch: 0 }))
                .unwrap()
                .is_empty()
        );
        assert_eq!(batches_by_tokens(&[5, 5], 0), [[0], [1]]);
        assert!(batches_by_tokens(&[], 9).is_empty());
    }
}
