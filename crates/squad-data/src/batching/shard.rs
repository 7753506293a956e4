//! Which rank works on which windows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::error::Error;

/// One rank's share of windows among `world_size` ranks that all see the same ones.
///
/// In training a global batch is formed first, as one process would form it, and each rank takes its part of it. In
/// evaluation the windows of the whole set are divided, each to one rank.
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
    /// The share of `rank`, counted from 0, among `world_size` ranks.
    ///
    /// # Errors
    ///
    /// A `rank` that is not below `world_size`.
    pub fn new(rank: usize, world_size: usize) -> Result<Self, Error> {
        match rank < world_size {
            true => Ok(Self { rank, world_size }),
            false => Err(Error::Option {
                option: "rank",
                value: rank.to_string(),
                problem: format!("ranks count from 0 and must be below world_size, {world_size}"),
            }),
        }
    }

    /// The rank, from 0.
    pub fn rank(self) -> usize {
        self.rank
    }

    /// Number of ranks.
    pub fn world_size(self) -> usize {
        self.world_size
    }

    /// This rank's part of a global batch: the parts of all ranks, one after the other, are the batch, and differ by at
    /// most one window. It is empty for some ranks where there are fewer windows than ranks.
    pub fn of_batch<T>(self, batch: &[T]) -> &[T] {
        // In 128 bits, for which no product of two lengths is too large.
        let bound =
            |rank: usize| (batch.len() as u128 * rank as u128 / self.world_size as u128) as usize;
        &batch[bound(self.rank)..bound(self.rank + 1)]
    }

    /// This rank's windows of a whole set, in ascending order, by the windows' lengths in tokens.
    ///
    /// Every window goes to exactly one rank. The longest windows are given away first, each to the rank with the fewest
    /// tokens so far, so that no two ranks differ by more tokens than the longest window has.
    pub fn of_features(self, lengths: &[usize]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&index| Reverse(lengths[index]));
        let mut ranks: BinaryHeap<Reverse<(usize, usize)>> = (0..self.world_size)
            .map(|rank| Reverse((0, rank)))
            .collect();
        let mut windows = Vec::new();
        for index in order {
            let Some(mut least) = ranks.peek_mut() else {
                break;
            };
            let Reverse((tokens, rank)) = &mut *least;
            *tokens = tokens.saturating_add(lengths[index]);
            if *rank == self.rank {
                windows.push(index);
            }
        }
        windows.sort_unstable();
        windows
    }
}
