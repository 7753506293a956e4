//! Which features make up a batch, and in which order.

use serde::{Deserialize, Serialize};

use crate::batching::rng::SplitMix64;
use crate::error::Error;

/// The random order of an epoch, a function of these two numbers and the number of features.
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
    /// This many features, whatever their lengths.
    Features(usize),
    /// Consecutive features that have at most this many tokens together. A longer feature is a batch of its own.
    Tokens(usize),
}

impl BatchSize {
    /// Checks the size.
    ///
    /// # Errors
    ///
    /// The size is 0.
    pub fn validate(self) -> Result<(), Error> {
        let (size, unit) = match self {
            Self::Features(size) => (size, "feature"),
            Self::Tokens(size) => (size, "token"),
        };
        if size > 0 {
            return Ok(());
        }
        Err(Error::Option {
            option: "batch_size",
            value: "0".to_owned(),
            problem: format!("a batch needs at least one {unit}"),
        })
    }
}

/// Divides the features `0..num_features` into batches of `batch_size`. The last batch may be smaller.
///
/// Without `shuffle` the order is `0..num_features`. With it the order is a Fisher–Yates shuffle driven by SplitMix64
/// and seeded by (seed, epoch). It is the same on every machine and in every version of this crate, so the index of the
/// next batch is a position that can be saved.
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
/// `batch_size` is 0.
pub fn batches(
    num_features: usize,
    batch_size: usize,
    shuffle: Option<Shuffle>,
) -> Result<Vec<Vec<usize>>, Error> {
    BatchSize::Features(batch_size).validate()?;
    let order = order(num_features, shuffle);
    Ok(order.chunks(batch_size).map(<[usize]>::to_vec).collect())
}

/// `0..num_features`, shuffled if `shuffle` is given.
pub(super) fn order(num_features: usize, shuffle: Option<Shuffle>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..num_features).collect();
    if let Some(Shuffle { seed, epoch }) = shuffle {
        SplitMix64::stream(seed, epoch).shuffle(&mut order);
    }
    order
}

/// Divides features into batches of at most `max_tokens` tokens, longest features first. Meant for evaluation.
///
/// `lengths` are the features' lengths in tokens. A batch holds features of nearly equal length, and the first batch
/// needs the most memory. Features of equal length keep their order. A feature longer than `max_tokens` is a batch of
/// its own, so every feature is in exactly one batch.
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

/// Divides features, in the order given, into batches of at most `max_tokens` tokens.
pub(super) fn fill(order: &[usize], lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
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
    fn the_order_depends_on_seed_and_epoch_only() {
        let epoch = |seed, epoch| batches(100, 8, Some(Shuffle { seed, epoch })).unwrap();
        assert_eq!(epoch(0, 0), epoch(0, 0));
        assert_ne!(epoch(0, 0), epoch(0, 1));
        assert_ne!(epoch(0, 0), epoch(1, 0));
        assert_ne!(epoch(0, 1), epoch(1, 0));
    }

    #[test]
    fn empty_sets_and_sizes_of_zero() {
        let error = batches(5, 0, None).unwrap_err().to_string();
        assert!(error.starts_with("batch_size = 0: "), "{error}");
        assert!(batches(0, 4, None).unwrap().is_empty());
        assert_eq!(batches_by_tokens(&[5, 5], 0), [[0], [1]]);
        assert!(batches_by_tokens(&[], 9).is_empty());
    }
}
