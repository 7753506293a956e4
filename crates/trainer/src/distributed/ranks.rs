use std::sync::Arc;

use bert_qa::{BertForQuestionAnswering, try_predict_logits};
use burn::tensor::Device;
use process_group::ProcessGroup;
use squad_data::{Feature, Shard};

use super::agreement::{assert_same_on_all_ranks, known_to_all};
use crate::Error;

/// The ranks of a run, as the training loop sees them. In a single process every method returns its own input, and no
/// bytes move.
#[derive(Clone)]
pub(crate) struct Ranks(Arc<dyn ProcessGroup>);

/// Start and end logits of each feature, `[tokens]` each.
pub(crate) type Logits = Vec<[Vec<f32>; 2]>;

impl Ranks {
    pub(crate) fn new(group: Arc<dyn ProcessGroup>) -> Self {
        Self(group)
    }

    pub(crate) fn group(&self) -> &Arc<dyn ProcessGroup> {
        &self.0
    }

    pub(crate) fn rank(&self) -> usize {
        self.0.rank()
    }

    pub(crate) fn world_size(&self) -> usize {
        self.0.world_size()
    }

    /// Whether this is rank 0, which has the run folder and the observers.
    pub(crate) fn is_main(&self) -> bool {
        self.rank() == 0
    }

    /// This rank's share of every batch.
    pub(crate) fn shard(&self) -> Result<Shard, Error> {
        Ok(Shard::new(self.rank(), self.world_size())?)
    }

    /// The sums over all ranks, in the same order.
    pub(crate) fn sum<const N: usize>(&self, own: [f64; N]) -> Result<[f64; N], Error> {
        if self.world_size() == 1 {
            return Ok(own);
        }
        let sums = self.0.sum(&own)?;
        Ok(std::array::from_fn(|index| sums[index]))
    }

    /// Whether `flag` is set on any rank.
    pub(crate) fn any(&self, flag: bool) -> Result<bool, Error> {
        Ok(self.sum([f64::from(u8::from(flag))])?[0] > 0.0)
    }

    /// Checks that all ranks have the same bytes.
    ///
    /// # Errors
    /// If they do not: rank 0 gets the error that names the others.
    pub(crate) fn assert_same(&self, what: &str, own: &[u8]) -> Result<(), Error> {
        assert_same_on_all_ranks(&*self.0, what, own)
    }

    /// The error of a step that fails on all ranks at once: those that caused it report it, the others only exit.
    pub(crate) fn shared_error(&self, error: Error, is_cause: bool) -> Error {
        if is_cause {
            return known_to_all(error, &*self.0);
        }
        Error::PeerFailed {
            exit_code: error.exit_code(),
        }
    }

    /// The logits of all features, in their order; each rank computes its share. `None` on every rank if `progress`
    /// asks one of them to stop, by returning `false`. `progress` receives the number of finished features.
    pub(crate) fn predict_logits(
        &self,
        model: &BertForQuestionAnswering,
        features: &[Feature],
        device: &Device,
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<Logits>, Error> {
        let lengths: Vec<usize> = features.iter().map(Feature::len).collect();
        let shares = (0..self.world_size())
            .map(|rank| Ok(Shard::new(rank, self.world_size())?.of_features(&lengths)))
            .collect::<Result<Vec<_>, Error>>()?;
        let own = &shares[self.rank()];
        let logits = try_predict_logits(model, features, own, device, &mut |finished| {
            let goes_on = progress(finished * features.len() / own.len());
            if goes_on { Ok(()) } else { Err(()) }
        })
        .ok();
        let of_ranks = if self.world_size() == 1 {
            vec![logits]
        } else {
            self.all_gather_logits(logits, &shares, &lengths)?
        };
        let mut all = vec![[Vec::new(), Vec::new()]; features.len()];
        for (share, logits) in shares.iter().zip(of_ranks) {
            let Some(logits) = logits else {
                return Ok(None);
            };
            for (feature, logits) in share.iter().zip(logits) {
                all[*feature] = logits;
            }
        }
        Ok(Some(all))
    }

    /// The logits of each rank's share; `None` for a rank that was asked to stop.
    fn all_gather_logits(
        &self,
        own: Option<Logits>,
        shares: &[Vec<usize>],
        lengths: &[usize],
    ) -> Result<Vec<Option<Logits>>, Error> {
        let all = self.0.all_gather_bytes(to_bytes(own))?;
        let of_ranks = all.iter().zip(shares).map(|(bytes, share)| {
            let (&FINISHED, mut bytes) = bytes.split_first()? else {
                return None;
            };
            let logits = share.iter().map(|&feature| {
                [0, 1].map(|_| {
                    let (side, rest) = bytes.split_at(4 * lengths[feature]);
                    bytes = rest;
                    let (numbers, _) = side.as_chunks();
                    let numbers = numbers.iter().map(|number| f32::from_le_bytes(*number));
                    numbers.collect()
                })
            });
            Some(logits.collect())
        });
        Ok(of_ranks.collect())
    }
}

const FINISHED: u8 = 1;

/// The start and end logits of a rank's features, in order; empty if the rank was asked to stop.
fn to_bytes(logits: Option<Logits>) -> Vec<u8> {
    let Some(logits) = logits else {
        return Vec::new();
    };
    let numbers = logits.iter().flatten().flatten();
    let mut bytes = vec![FINISHED];
    bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
    bytes
}
