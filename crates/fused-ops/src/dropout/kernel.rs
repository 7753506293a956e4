use pulp::Arch;

use crate::kernels::parallel::{ROWS_PER_TASK, for_each_chunk};
use crate::kernels::simd::vectorized;
use crate::philox::Dropout;

/// Dropout of a `[rows, columns]` matrix.
pub(crate) fn dropout(input: &[f32], columns: usize, dropout: &Dropout, output: &mut [f32]) {
    let arch = Arch::new();
    for_each_chunk(
        [(output, ROWS_PER_TASK * columns)],
        || vec![0.0f32; columns],
        |factors, index, [output]| {
            let first = index * ROWS_PER_TASK;
            let input = input[first * columns..].chunks_exact(columns);
            for (i, (out, input)) in output.chunks_exact_mut(columns).zip(input).enumerate() {
                vectorized(
                    arch,
                    #[inline(always)]
                    || {
                        dropout.fill_row((first + i) as u32, factors);
                        for (out, (x, factor)) in out.iter_mut().zip(input.iter().zip(&*factors)) {
                            *out = x * factor;
                        }
                    },
                );
            }
        },
    );
}
