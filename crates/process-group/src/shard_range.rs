use std::ops::Range;

/// What belongs to one rank of a buffer that is sharded.
///
/// Parts have equal lengths, because NCCL has no others; a buffer whose length is no multiple of the
/// number of ranks is padded at its end to [`Part::padded`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where the part lies in the padded buffer.
    pub range: Range<usize>,
    /// How many elements at its front are no padding.
    pub used: usize,
}

impl Part {
    /// The part of `rank` in a buffer of `len` elements before padding.
    ///
    /// # Panics
    /// If `world_size` is 0.
    #[must_use]
    pub fn of(len: usize, rank: usize, world_size: usize) -> Self {
        let part = len.div_ceil(world_size);
        let range = rank * part..(rank + 1) * part;
        let used = len.saturating_sub(range.start).min(part);
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
    fn an_uneven_tail_is_padding_of_the_last_ranks() {
        let parts: Vec<_> = (0..4).map(|rank| Part::of(5, rank, 4)).collect();
        let ranges: Vec<_> = parts.iter().map(|part| part.range.clone()).collect();
        assert_eq!(ranges, [0..2, 2..4, 4..6, 6..8]);
        let used: Vec<_> = parts.iter().map(|part| part.used).collect();
        assert_eq!(used, [2, 2, 1, 0]);
        assert_eq!(Part::padded(5, 4), 8);
    }

    proptest! {
        #[test]
        fn parts_lie_end_to_end_and_use_every_element_once(len in 0_usize..5000, world_size in 1_usize..70) {
            let mut end = 0;
            let mut used = 0;
            for rank in 0..world_size {
                let part = Part::of(len, rank, world_size);
                prop_assert_eq!(part.range.start, end);
                // Padding begins only where the elements have ended.
                prop_assert!(part.used == part.range.len() || used + part.used == len);
                end = part.range.end;
                used += part.used;
            }
            prop_assert_eq!(used, len);
            prop_assert_eq!(end, Part::padded(len, world_size));
        }
    }
}
