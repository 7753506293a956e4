//! The batches of a training run, and a position in them that can be saved.

use serde::{Deserialize, Serialize};

use crate::batching::batches::{BatchSize, Shuffle, batches, fill, order};
use crate::error::Error;

/// The batches of a training run, epoch by epoch, in random order.
///
/// An epoch's batches are a function of the features' lengths, the batch size, the seed and the epoch. With
/// [`BatchSize::Features`] they are those of [`batches`]. With [`BatchSize::Tokens`] the order of features is the same,
/// and a batch ends where the next feature would exceed the budget, so epochs differ in their number of batches.
///
/// The sampler iterates over the rest of its epoch. [`BatchSampler::state`] returns its position, and a sampler of the
/// same features continues there after [`BatchSampler::restore`].
///
/// ```
/// use squad_data::{BatchSampler, BatchSize};
///
/// let lengths = vec![120, 384, 90, 200, 384, 60];
/// let mut sampler = BatchSampler::new(lengths.clone(), BatchSize::Tokens(512), 7)?;
/// sampler.start_epoch(1);
/// let first = sampler.next();
/// let state = sampler.state();
/// let rest: Vec<Vec<usize>> = sampler.collect();
///
/// let mut resumed = BatchSampler::new(lengths, BatchSize::Tokens(512), 7)?;
/// resumed.restore(&state)?;
/// assert!(first.is_some() && resumed.eq(rest));
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchSampler {
    lengths: Vec<usize>,
    batch_size: BatchSize,
    seed: u64,
    epoch: u64,
    batches: Vec<Vec<usize>>,
    next_batch: usize,
}

/// The position of a [`BatchSampler`], with what is needed to recognize a sampler of other features.
///
/// ```
/// use squad_data::{BatchSampler, BatchSize, SamplerState};
///
/// let state = BatchSampler::new(vec![5; 10], BatchSize::Features(4), 0)?.state();
/// let json = serde_json::to_string(&state).unwrap();
/// assert_eq!(serde_json::from_str::<SamplerState>(&json).unwrap(), state);
///
/// let mut other = BatchSampler::new(vec![5; 10], BatchSize::Features(4), 1)?;
/// let error = other.restore(&state).unwrap_err().to_string();
/// assert_eq!(error, "the saved sampler state does not match this run: seed: saved 0, here 1");
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerState {
    /// The run's seed.
    pub seed: u64,
    /// Number of features.
    pub num_features: usize,
    /// Number of tokens of all features.
    pub num_tokens: usize,
    /// How large a batch is.
    pub batch_size: BatchSize,
    /// The epoch.
    pub epoch: u64,
    /// Index of the epoch's next batch; the number of batches at the end of the epoch.
    pub next_batch: usize,
}

impl BatchSampler {
    /// A sampler at the start of epoch 0. `lengths` are the features' lengths in tokens.
    ///
    /// # Errors
    ///
    /// The batch size is 0.
    pub fn new(lengths: Vec<usize>, batch_size: BatchSize, seed: u64) -> Result<Self, Error> {
        batch_size.validate()?;
        let mut sampler = Self {
            lengths,
            batch_size,
            seed,
            epoch: 0,
            batches: Vec::new(),
            next_batch: 0,
        };
        sampler.start_epoch(0);
        Ok(sampler)
    }

    /// Moves to the start of an epoch.
    pub fn start_epoch(&mut self, epoch: u64) {
        self.batches = self.batches_of(epoch);
        self.epoch = epoch;
        self.next_batch = 0;
    }

    /// The current epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of batches of an epoch. With [`BatchSize::Tokens`], another epoch than the current one costs a shuffle.
    pub fn num_batches(&self, epoch: u64) -> usize {
        match self.batch_size {
            BatchSize::Features(size) => self.lengths.len().div_ceil(size),
            BatchSize::Tokens(_) if epoch == self.epoch => self.batches.len(),
            BatchSize::Tokens(_) => self.batches_of(epoch).len(),
        }
    }

    /// The current position.
    pub fn state(&self) -> SamplerState {
        SamplerState {
            seed: self.seed,
            num_features: self.lengths.len(),
            num_tokens: self.lengths.iter().sum(),
            batch_size: self.batch_size,
            epoch: self.epoch,
            next_batch: self.next_batch,
        }
    }

    /// Moves to the position of a sampler of the same features.
    ///
    /// # Errors
    ///
    /// The state has another seed, batch size or set of features, which the message lists, or lies past the epoch's
    /// end. The sampler then keeps its position.
    pub fn restore(&mut self, state: &SamplerState) -> Result<(), Error> {
        let here = self.state();
        let differences = [
            difference("seed", state.seed, here.seed),
            difference("number of features", state.num_features, here.num_features),
            difference("number of tokens", state.num_tokens, here.num_tokens),
            difference("batch size", state.batch_size, here.batch_size),
        ];
        let differences: Vec<String> = differences.into_iter().flatten().collect();
        let mismatch = |problem| {
            Err(Error::Inconsistent {
                problem: format!("the saved sampler state does not match this run: {problem}"),
            })
        };
        if !differences.is_empty() {
            return mismatch(differences.join("; "));
        }
        let batches = self.batches_of(state.epoch);
        if state.next_batch > batches.len() {
            return mismatch(format!(
                "{} batches of epoch {} are done, but that epoch has {}",
                state.next_batch,
                state.epoch,
                batches.len()
            ));
        }
        self.batches = batches;
        self.epoch = state.epoch;
        self.next_batch = state.next_batch;
        Ok(())
    }

    fn batches_of(&self, epoch: u64) -> Vec<Vec<usize>> {
        let (count, seed) = (self.lengths.len(), self.seed);
        let shuffle = Some(Shuffle { seed, epoch });
        match self.batch_size {
            BatchSize::Features(size) => batches(count, size, shuffle).unwrap_or_default(),
            BatchSize::Tokens(budget) => fill(&order(count, shuffle), &self.lengths, budget),
        }
    }
}

fn difference<T: PartialEq + std::fmt::Debug>(what: &str, saved: T, here: T) -> Option<String> {
    (saved != here).then(|| format!("{what}: saved {saved:?}, here {here:?}"))
}

impl Iterator for BatchSampler {
    /// Indices of a batch's features.
    type Item = Vec<usize>;

    /// The epoch's next batch; `None` at its end, until [`BatchSampler::start_epoch`].
    fn next(&mut self) -> Option<Vec<usize>> {
        let batch = self.batches.get(self.next_batch)?.clone();
        self.next_batch += 1;
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batches.len() - self.next_batch;
        (left, Some(left))
    }
}

impl ExactSizeIterator for BatchSampler {}
