//! The order of training: batches of an epoch, and a position that can be saved.

use serde::{Deserialize, Serialize};

use crate::batching::batches::{BatchSize, Shuffle, batches, fill, order};
use crate::error::Error;

/// The batches of a training run, epoch by epoch, in a random order.
///
/// An epoch's batches are a function of the windows' lengths, the batch size, the seed and the epoch. For
/// [`BatchSize::Features`] they are those of [`batches`]; for [`BatchSize::Tokens`] the same random order of windows,
/// divided wherever the next window would exceed the budget, so that the number of batches differs between epochs.
///
/// The sampler is an iterator over the rest of its epoch. [`BatchSampler::state`] is where it stands, and another sampler
/// of the same windows goes on from there with [`BatchSampler::restore`].
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

/// Where a [`BatchSampler`] stands, and enough of what it is to refuse the state of another one.
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
/// assert_eq!(error, "the saved position is of another order of windows: seed 0 there, 1 here");
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerState {
    /// The run's seed.
    pub seed: u64,
    /// Number of windows.
    pub num_features: usize,
    /// Number of tokens of all windows.
    pub num_tokens: usize,
    /// How large a batch is.
    pub batch_size: BatchSize,
    /// The epoch.
    pub epoch: u64,
    /// Index of the epoch's next batch; the number of its batches where the epoch is over.
    pub next_batch: usize,
}

impl BatchSampler {
    /// A sampler of windows of these lengths in tokens, at the beginning of epoch 0.
    ///
    /// # Errors
    ///
    /// A batch size of 0.
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

    /// Goes to the beginning of an epoch.
    pub fn start_epoch(&mut self, epoch: u64) {
        self.batches = self.batches_of(epoch);
        self.epoch = epoch;
        self.next_batch = 0;
    }

    /// The epoch whose batches it gives.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of batches of an epoch, whichever it stands in. Takes the time of a shuffle for [`BatchSize::Tokens`].
    pub fn num_batches(&self, epoch: u64) -> usize {
        match self.batch_size {
            BatchSize::Features(size) => self.lengths.len().div_ceil(size),
            BatchSize::Tokens(_) if epoch == self.epoch => self.batches.len(),
            BatchSize::Tokens(_) => self.batches_of(epoch).len(),
        }
    }

    /// Where it stands.
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

    /// Goes to where a sampler of the same windows stood.
    ///
    /// # Errors
    ///
    /// The state of another order of windows, naming what differs, or a position past the epoch's end; the sampler then
    /// stays where it was.
    pub fn restore(&mut self, state: &SamplerState) -> Result<(), Error> {
        let here = self.state();
        let differences = [
            difference("seed", state.seed, here.seed),
            difference("windows", state.num_features, here.num_features),
            difference("tokens", state.num_tokens, here.num_tokens),
            difference("batch size", state.batch_size, here.batch_size),
        ];
        let differences: Vec<String> = differences.into_iter().flatten().collect();
        let wrong = |problem| {
            Err(Error::Inconsistent {
                problem: format!("the saved position is of another order of windows: {problem}"),
            })
        };
        if !differences.is_empty() {
            return wrong(differences.join("; "));
        }
        let batches = self.batches_of(state.epoch);
        if state.next_batch > batches.len() {
            return wrong(format!(
                "{} batches of epoch {} are done there, of {} here",
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

fn difference<T: PartialEq + std::fmt::Debug>(what: &str, there: T, here: T) -> Option<String> {
    let text = || match what {
        "windows" | "tokens" => format!("{there:?} {what} there, {here:?} here"),
        what => format!("{what} {there:?} there, {here:?} here"),
    };
    (there != here).then(text)
}

impl Iterator for BatchSampler {
    /// Indices of a batch's windows.
    type Item = Vec<usize>;

    /// The next batch of the epoch; `None` at its end, until another one is started.
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
