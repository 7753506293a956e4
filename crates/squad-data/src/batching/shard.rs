//! Which rank works on which features.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::error::Error;

/// One rank's share of the features, where `world_size` ranks see the same ones.
///
/// In training the global batch is formed first, as a single process would form it, and each rank takes its part. In
/// evaluation each feature of the whole set goes to one rank.
///
/// ```
/// use squad_data::Shard;
///
/// let shards = [Shard::new(0, 2)?, Shard::new(1, 2)?];
/// let batch = [4, 9, 2, 7, 1];
/// assert_eq!(shards.map(|shard| shard.of_batch(&batch)), [&batch[..2], &batch[2..]]);
///
/// let lengths = [384, 100, 150, 120];
/// assert_eq!(shards.map(|shard| shard.of_features(&lengths)), [vec![0], vec![1, 2, 3]]);
/// assert!(Shard::new(2, 2).is_err());
/// # Ok::<(), squad_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    rank: usize,
    world_size: usize,
}

impl Shard {
    /// The share of `rank`, counted from 0.
    ///
    /// # Errors
    ///
    /// `rank` is not below `world_size`.
    pub fn new(rank: usize, world_size: usize) -> Result<Self, Error> {
        if rank < world_size {
            return Ok(Self { rank, world_size });
        }
        Err(Error::Option {
            option: "rank",
            value: rank.to_string(),
            problem: format!("ranks count from 0 and must be below world_size, {world_size}"),
        })
    }

    /// The rank, from 0.
    pub fn rank(self) -> usize {
        self.rank
    }

    /// Number of ranks.
    pub fn world_size(self) -> usize {
        self.world_size
    }

    /// This rank's part of a global batch.
    ///
    /// The parts of all ranks in order are the batch. Their sizes differ by at most one, so a part is empty where the
    /// batch has fewer features than there are ranks.
    pub fn of_batch<T>(self, batch: &[T]) -> &[T] {
        // In 128 bits the product cannot overflow.
        let bound =
            |rank: usize| (batch.len() as u128 * rank as u128 / self.world_size as u128) as usize;
        &batch[bound(self.rank)..bound(self.rank + 1)]
    }

    /// This rank's features of a whole set, as ascending indices. `lengths` are the features' lengths in tokens.
    ///
    /// Every feature goes to exactly one rank: longest first, each to the rank with the fewest tokens so far. The
    /// ranks' token counts differ by at most the longest feature.
    pub fn of_features(self, lengths: &[usize]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&index| Reverse(lengths[index]));
        let mut ranks: BinaryHeap<Reverse<(usize, usize)>> = (0..self.world_size)
            .map(|rank| Reverse((0, rank)))
            .collect();
        let mut features = Vec::new();
        for index in order {
            let Some(mut least) = ranks.peek_mut() else {
                break;
            };
            let Reverse((tokens, rank)) = &mut *least;
            *tokens = tokens.saturating_add(lengths[index]);
            if *rank == self.rank {
                features.push(index);
            }
        }
        features.sort_unstable();
        features
    }
}
