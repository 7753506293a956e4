//! Variable-length attention that stores no probabilities: the forward pass keeps the logarithm of
//! each row's sum of exponentials, from which the backward pass computes them again (as
//! FlashAttention does; Dao et al. 2022), and dropout masks are drawn again from their counters.

use pulp::Arch;

use super::gemm::{Matrix, Target, Threads, multiply};
use super::math::exp;
use super::norm::{sum, sum_of_products};
use super::workers::{SharedBuffer, for_each};
use crate::attention::dropout_row;
use crate::{Dropout, PackedLengths};

/// What attention is told besides its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) lengths: PackedLengths,
    pub(crate) num_heads: usize,
    pub(crate) dropout: Option<Dropout>,
}

/// One head of one window.
struct Task<'a> {
    settings: &'a Settings,
    /// The window's first token.
    start: usize,
    /// Its number of tokens.
    len: usize,
    head: usize,
    hidden_size: usize,
}

impl Task<'_> {
    fn head_size(&self) -> usize {
        self.hidden_size / self.settings.num_heads
    }

    /// Where this head of this window begins in a `[tokens, hidden_size]` matrix.
    fn offset(&self) -> usize {
        self.start * self.hidden_size + self.head * self.head_size()
    }

    /// This head of this window in a `[tokens, hidden_size]` matrix: `[len, head_size]`.
    fn matrix<'a>(&self, data: &'a [f32]) -> Matrix<'a> {
        Matrix::new(
            &data[self.offset()..],
            self.len,
            self.head_size(),
            self.hidden_size,
        )
    }

    /// The same part of a matrix to be written.
    #[allow(unsafe_code)]
    fn target<'a>(&self, buffer: &'a SharedBuffer<'_>) -> Target<'a> {
        // SAFETY: tasks differ in window (rows) or head (columns), so that the `[len, head_size]`
        // parts of two tasks have no element in common.
        unsafe { buffer.target(self.offset(), self.hidden_size) }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_size() as f32).sqrt()
    }

    /// `scale · q kᵀ` into the first `len²` numbers of `scores`.
    fn scores(&self, query: &[f32], key: &[f32], scores: &mut [f32]) {
        let target = Target::new(scores, self.len);
        let (query, key) = (self.matrix(query), self.matrix(key));
        multiply(target, false, query, key.transposed(), Threads::One);
    }

    /// The factors of one query's dropout.
    #[inline(always)]
    fn fill_factors(&self, i: usize, factors: &mut [f32]) {
        if let Some(dropout) = &self.settings.dropout {
            dropout.fill_row(
                dropout_row(self.start + i, self.head, self.settings.num_heads),
                factors,
            );
        }
    }
}

fn tasks(settings: &Settings, hidden_size: usize) -> Vec<Task<'_>> {
    let heads = settings.num_heads;
    let mut tasks: Vec<_> = settings
        .lengths
        .ranges()
        .flat_map(|range| (0..heads).map(move |head| (range.clone(), head)))
        .map(|(range, head)| Task {
            settings,
            start: range.start,
            len: range.len(),
            head,
            hidden_size,
        })
        .collect();
    // The longest first, so that no thread is left with one at the end.
    tasks.sort_by_key(|task| std::cmp::Reverse(task.len));
    tasks
}

/// Query, key and value, each `[tokens, hidden_size]`.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) query: &'a [f32],
    pub(crate) key: &'a [f32],
    pub(crate) value: &'a [f32],
    pub(crate) hidden_size: usize,
}

/// Fills the output, `[tokens, hidden_size]`, and each row's logarithm of its sum of
/// exponentials, `[tokens, heads]`.
pub(crate) fn forward(
    inputs: Inputs<'_>,
    settings: &Settings,
    output: &mut [f32],
    log_sums: &mut [f32],
) {
    let longest = settings.lengths.max();
    let (output, log_sums) = (SharedBuffer::new(output), SharedBuffer::new(log_sums));
    let arch = Arch::new();
    let tasks = tasks(settings, inputs.hidden_size);
    for_each(
        tasks.len(),
        || {
            (
                vec![0.0f32; longest * longest],
                vec![1.0f32; longest],
                vec![0.0f32; longest],
            )
        },
        |(scores, factors, sums), index| {
            let task = &tasks[index];
            let len = task.len;
            task.scores(inputs.query, inputs.key, scores);
            for (i, row) in scores.chunks_mut(len.max(1)).take(len).enumerate() {
                let factors = &mut factors[..len];
                sums[i] = arch.dispatch(
                    #[inline(always)]
                    || {
                        task.fill_factors(i, factors);
                        softmax_row(row, task.scale(), factors)
                    },
                );
            }
            multiply(
                task.target(&output),
                false,
                Matrix::new(scores, len, len, len),
                task.matrix(inputs.value),
                Threads::One,
            );
            // A product with 1 writes the sums to this head's column without another unsafe door.
            multiply(
                column_target(&log_sums, task),
                false,
                Matrix::new(sums, len, 1, 1),
                Matrix::new(&[1.0], 1, 1, 1),
                Threads::One,
            );
        },
    );
}

#[allow(unsafe_code)]
fn column_target<'a>(sums: &'a SharedBuffer<'_>, task: &Task<'_>) -> Target<'a> {
    let heads = task.settings.num_heads;
    // SAFETY: tasks differ in window (rows) or head (the one column written).
    unsafe { sums.target(task.start * heads + task.head, heads) }
}

/// Turns a row of unscaled scores into dropped-out probabilities; returns the logarithm of the
/// sum of exponentials of the scaled scores.
#[inline(always)]
fn softmax_row(row: &mut [f32], scale: f32, factors: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = row.chunks_exact(16);
    let tail = chunks
        .remainder()
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let max = lanes.into_iter().fold(tail, f32::max) * scale;
    for value in row.iter_mut() {
        *value = exp(*value * scale - max);
    }
    let total = sum(row);
    let inverse = 1.0 / total;
    for (value, factor) in row.iter_mut().zip(factors) {
        *value *= inverse * factor;
    }
    max + total.ln()
}

/// What the backward pass is given, besides the gradient of the output.
pub(crate) struct Saved<'a> {
    pub(crate) inputs: Inputs<'a>,
    pub(crate) output: &'a [f32],
    pub(crate) log_sums: &'a [f32],
}

/// Gradients of query, key and value.
pub(crate) fn backward(
    saved: &Saved<'_>,
    grad: &[f32],
    settings: &Settings,
    gradients: [&mut [f32]; 3],
) {
    let Inputs {
        query,
        key,
        value,
        hidden_size,
    } = saved.inputs;
    let [to_query, to_key, to_value] = gradients.map(SharedBuffer::new);
    let (longest, heads) = (settings.lengths.max(), settings.num_heads);
    let arch = Arch::new();
    let tasks = tasks(settings, hidden_size);
    for_each(
        tasks.len(),
        || {
            let square = longest * longest;
            (
                vec![0.0f32; square],
                vec![0.0f32; square],
                vec![1.0f32; longest],
            )
        },
        |(scores, grad_scores, factors), index| {
            let task = &tasks[index];
            let len = task.len;
            task.scores(query, key, scores);
            let (grad_output, value) = (task.matrix(grad), task.matrix(value));
            let target = Target::new(grad_scores, len);
            multiply(target, false, grad_output, value.transposed(), Threads::One);
            let rows = scores
                .chunks_mut(len.max(1))
                .zip(grad_scores.chunks_mut(len.max(1)));
            for (i, (row, grad_row)) in rows.take(len).enumerate() {
                let factors = &mut factors[..len];
                let log_sum = saved.log_sums[(task.start + i) * heads + task.head];
                let place = task.offset() + i * hidden_size;
                let place = place..place + task.head_size();
                arch.dispatch(
                    #[inline(always)]
                    || {
                        task.fill_factors(i, factors);
                        let delta = sum_of_products(&grad[place.clone()], &saved.output[place]);
                        softmax_row_backward(row, grad_row, factors, log_sum, delta, task.scale());
                    },
                );
            }
            // `scores` now holds the dropped-out probabilities, `grad_scores` the gradient of q kᵀ.
            let probabilities = Matrix::new(scores, len, len, len);
            let grad_scores = Matrix::new(grad_scores, len, len, len);
            let (query, key) = (task.matrix(query), task.matrix(key));
            let one = Threads::One;
            multiply(
                task.target(&to_value),
                false,
                probabilities.transposed(),
                grad_output,
                one,
            );
            multiply(task.target(&to_query), false, grad_scores, key, one);
            multiply(
                task.target(&to_key),
                false,
                grad_scores.transposed(),
                query,
                one,
            );
        },
    );
}

/// For one query: `row` from unscaled scores to dropped-out probabilities, `grad_row` from the
/// gradient of those to the gradient of the unscaled scores. `delta` is the inner product of the
/// output and its gradient, which equals that of the probabilities and theirs.
#[inline(always)]
fn softmax_row_backward(
    row: &mut [f32],
    grad_row: &mut [f32],
    factors: &[f32],
    log_sum: f32,
    delta: f32,
    scale: f32,
) {
    for ((value, grad), factor) in row.iter_mut().zip(grad_row).zip(factors) {
        let probability = exp(*value * scale - log_sum);
        *grad = probability * (*grad * factor - delta) * scale;
        *value = probability * factor;
    }
}
