//! Rotary position embedding of one head's queries or keys, in host memory.

use super::terms::RotaryEmbedding;

/// Cosines and sines of every position.
pub(super) struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rotation {
    pub(super) fn new(rotary: RotaryEmbedding, len: usize, head_size: usize) -> Self {
        let [cos, sin] = rotary.cos_sin(len, head_size);
        let half = head_size / 2;
        Self { cos, sin, half }
    }

    /// Rotates the query or key at a position, `[head_size]`, by its angles.
    #[inline(always)]
    pub(super) fn rotate(&self, position: usize, row: &mut [f32]) {
        self.turn(position, row, 1.0);
    }

    /// Rotates back: turns the gradient of a rotated row into that of the row.
    #[inline(always)]
    pub(super) fn rotate_back(&self, position: usize, row: &mut [f32]) {
        self.turn(position, row, -1.0);
    }

    #[inline(always)]
    fn turn(&self, position: usize, row: &mut [f32], sign: f32) {
        let angles = position * self.half..(position + 1) * self.half;
        let (cos, sin) = (&self.cos[angles.clone()], &self.sin[angles]);
        let (first, second) = row.split_at_mut(self.half);
        let pairs = first.iter_mut().zip(second);
        for ((x, y), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
            let sin = sign * sin;
            (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
        }
    }
}
