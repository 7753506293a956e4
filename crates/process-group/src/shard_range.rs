use std::ops::Range;

/// The elements of a sharded buffer that belong to one rank.
///
/// All shards have the same length, as NCCL requires. A buffer whose length is not a multiple of the number of ranks is
/// padded at its end to [`ShardRange::padded`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRange {
    /// Where the shard lies in the padded buffer.
    pub range: Range<usize>,
    /// How many elements at the front of the shard are not padding.
    pub used: usize,
}

impl ShardRange {
    /// The shard of `rank` in a buffer of `len` elements before padding.
    ///
    /// # Panics
    /// If `world_size` is 0.
    #[must_use]
    pub fn of(len: usize, rank: usize, world_size: usize) -> Self {
        let shard = len.div_ceil(world_size);
        let range = rank * shard..(rank + 1) * shard;
        let used = len.saturating_sub(range.start).min(shard);
        Self { range, used }
    }

    /// The length of the buffer with its padding.
    ///
    /// # Panics
    /// If `world_size` is 0.
    #[must_use]
    pub fn padded(len: usize, world_size: usize) -> usize {
        len.next_multiple_of(world_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_belongs_to_the_last_ranks() {
        let shards: Vec<_> = (0..4).map(|rank| ShardRange::of(5, rank, 4)).collect();
        let ranges: Vec<_> = shards.iter().map(|shard| shard.range.clone()).collect();
        assert_eq!(ranges, [0..2, 2..4, 4..6, 6..8]);
        let used: Vec<_> = shards.iter().map(|shard| shard.used).collect();
        assert_eq!(used, [2, 2, 1, 0]);
        assert_eq!(ShardRange::padded(5, 4), 8);
    }

    proptest! {
        #[test]
        fn shards_cover_the_buffer_without_overlap(len in 0_usize..5000, world_size in 1_usize..70) {
            let mut end = 0;
            let mut used = 0;
            for rank in 0..world_size {
                let shard = ShardRange::of(len, rank, world_size);
                prop_assert_eq!(shard.range.start, end);
                // Padding starts only after the last element.
                prop_assert!(shard.used == shard.range.len() || used + shard.used == len);
                end = shard.range.end;
                used += shard.used;
            }
            prop_assert_eq!(used, len);
            prop_assert_eq!(end, ShardRange::padded(len, world_size));
        }
    }
}
