use std::ops::Range;

use burn::tensor::{Device, Tensor};
use process_group::ShardRange;

use crate::distributed::units::{Unit, cut};

/// This rank's part of a unit that is sharded: some parameters, the first and the last of which may
/// be cut. A padding without values makes all ranks' parts equally long.
pub(crate) struct UnitPart {
    pub(crate) segments: Vec<Segment>,
    /// Elements of this part, padding included.
    len: usize,
    /// Elements of all parts.
    pub(crate) padded: usize,
}

/// A parameter or a piece of one.
pub(crate) struct Segment {
    /// Hugging Face's.
    pub(crate) name: String,
    pub(crate) slot: usize,
    /// Which elements of the parameter.
    pub(crate) range: Range<usize>,
    /// Where they stand in this part.
    within: Range<usize>,
    /// `[elements]`; none where the model has them.
    pub(crate) values: Option<Tensor<1>>,
    /// Summed over micro-batches and ranks, `[elements]`.
    pub(crate) gradient: Option<Tensor<1>>,
}

impl UnitPart {
    pub(crate) fn of(unit: &Unit, rank: usize, world_size: usize) -> Self {
        let part = ShardRange::of(unit.len, rank, world_size).range;
        let segments = unit
            .slots
            .iter()
            .enumerate()
            .filter_map(|(slot, parameter)| {
                let start = parameter.range.start.max(part.start);
                let end = parameter.range.end.min(part.end);
                (start < end).then(|| Segment {
                    name: parameter.name.clone(),
                    slot,
                    range: start - parameter.range.start..end - parameter.range.start,
                    within: start - part.start..end - part.start,
                    values: None,
                    gradient: None,
                })
            });
        Self {
            segments: segments.collect(),
            len: part.len(),
            padded: ShardRange::padded(unit.len, world_size),
        }
    }

    /// The whole part from what each segment has, `[len]`; 0 where that is nothing.
    pub(crate) fn join(
        &self,
        device: &Device,
        mut of: impl FnMut(&Segment) -> Option<Tensor<1>>,
    ) -> Tensor<1> {
        let zeros = |len: usize| Tensor::zeros([len], device);
        let mut all: Vec<_> = self
            .segments
            .iter()
            .map(|segment| of(segment).unwrap_or_else(|| zeros(segment.range.len())))
            .collect();
        let used = self.segments.last().map_or(0, |last| last.within.end);
        if used < self.len {
            all.push(zeros(self.len - used));
        }
        Tensor::cat(all, 0)
    }

    /// Adds gradients of the whole part, `[len]`, to those of the segments.
    pub(crate) fn add_gradient(&mut self, part: &Tensor<1>) {
        for segment in &mut self.segments {
            let new = cut(part, &segment.within);
            segment.gradient = Some(match segment.gradient.take() {
                Some(sum) => sum + new,
                None => new,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_all_ranks_are_the_parameters_each_element_once() {
        // 17 elements in 4 parts of 5: three of padding.
        let unit = Unit::of_sizes(&[3, 9, 1, 4]);
        let pieces = |rank| -> Vec<_> {
            let part = UnitPart::of(&unit, rank, 4);
            assert_eq!((part.len, part.padded), (5, 20));
            let segments = part.segments.into_iter();
            segments.map(|s| (s.slot, s.range, s.within)).collect()
        };
        assert_eq!(pieces(0), [(0, 0..3, 0..3), (1, 0..2, 3..5)]);
        assert_eq!(pieces(1), [(1, 2..7, 0..5)]);
        assert_eq!(
            pieces(2),
            [(1, 7..9, 0..2), (2, 0..1, 2..3), (3, 0..2, 3..5)]
        );
        assert_eq!(pieces(3), [(3, 2..4, 0..2)]);
        // More ranks than elements: the last have padding alone.
        assert!(
            UnitPart::of(&Unit::of_sizes(&[2]), 3, 4)
                .segments
                .is_empty()
        );
    }
}
