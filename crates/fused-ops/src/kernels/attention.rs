//! Variable-length attention that stores no probabilities: the forward pass keeps the logarithm of
//! each row's sum of exponentials, from which the backward pass computes them again (as
//! FlashAttention does; Dao et al. 2022), and dropout masks are drawn again from their counters.

use pulp::Arch;

use super::gemm::{Matrix, Target, Threads, multiply};
use super::norm::sum_of_products;
use super::softmax::{softmax_row, softmax_row_backward};
use super::vector::vectorised;
use super::workers::{SharedBuffer, for_each};
use crate::attention::dropout_row;
use crate::{CuSeqlens, Dropout};

/// What attention is told besides its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) lengths: CuSeqlens,
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

    /// Where this head of this window begins in a matrix with so many columns.
    fn offset(&self, columns: usize) -> usize {
        self.start * columns + self.head * self.head_size()
    }

    /// This head of this window in a matrix with so many columns: `[len, head_size]`.
    fn matrix<'a>(&self, data: &'a [f32], columns: usize) -> Matrix<'a> {
        Matrix::new(
            &data[self.offset(columns)..],
            self.len,
            self.head_size(),
            columns,
        )
    }

    /// This head of this window in query, key and value.
    fn inputs<'a>(&self, inputs: Inputs<'a>) -> [Matrix<'a>; 3] {
        [0, 1, 2].map(|part| self.matrix(&inputs.qkv[part * self.hidden_size..], inputs.columns))
    }

    /// The same part of a matrix to be written, `begin` columns further to the right.
    #[allow(unsafe_code)]
    fn target<'a>(&self, buffer: &'a SharedBuffer<'_>, columns: usize, begin: usize) -> Target<'a> {
        // SAFETY: tasks differ in window (rows) or head (columns), so that the `[len, head_size]`
        // parts of two tasks have no element in common, nor do those of two `begin`s that are
        // `hidden_size` apart.
        unsafe { buffer.target(self.offset(columns) + begin, columns) }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_size() as f32).sqrt()
    }

    /// `q kᵀ` into the first `len²` numbers of `scores`.
    fn scores(&self, query: Matrix<'_>, key: Matrix<'_>, scores: &mut [f32]) {
        let target = Target::new(scores, self.len);
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

/// Query, key and value side by side.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// `[tokens, columns]`
    qkv: &'a [f32],
    /// Three times the hidden size.
    columns: usize,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(qkv: &'a [f32], columns: usize) -> Self {
        Self { qkv, columns }
    }

    fn hidden_size(self) -> usize {
        self.columns / 3
    }
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
    let hidden_size = inputs.hidden_size();
    let tasks = tasks(settings, hidden_size);
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
            let [query, key, value] = task.inputs(inputs);
            task.scores(query, key, scores);
            for (i, row) in scores.chunks_mut(len.max(1)).take(len).enumerate() {
                let factors = &mut factors[..len];
                sums[i] = vectorised(
                    arch,
                    #[inline(always)]
                    || {
                        task.fill_factors(i, factors);
                        softmax_row(row, task.scale(), factors)
                    },
                );
            }
            multiply(
                task.target(&output, hidden_size, 0),
                false,
                Matrix::new(scores, len, len, len),
                value,
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

/// What the backward pass is given, besides the gradient of the output.
pub(crate) struct Saved<'a> {
    pub(crate) inputs: Inputs<'a>,
    pub(crate) output: &'a [f32],
    pub(crate) log_sums: &'a [f32],
}

/// The gradient of query, key and value side by side.
pub(crate) fn backward(saved: &Saved<'_>, grad: &[f32], settings: &Settings, gradient: &mut [f32]) {
    let Inputs { columns, .. } = saved.inputs;
    let hidden_size = saved.inputs.hidden_size();
    let gradient = SharedBuffer::new(gradient);
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
            let [query, key, value] = task.inputs(saved.inputs);
            task.scores(query, key, scores);
            let grad_output = task.matrix(grad, hidden_size);
            let target = Target::new(grad_scores, len);
            multiply(target, false, grad_output, value.transposed(), Threads::One);
            let rows = scores
                .chunks_mut(len.max(1))
                .zip(grad_scores.chunks_mut(len.max(1)));
            for (i, (row, grad_row)) in rows.take(len).enumerate() {
                let factors = &mut factors[..len];
                let log_sum = saved.log_sums[(task.start + i) * heads + task.head];
                let place = task.offset(hidden_size) + i * hidden_size;
                let place = place..place + task.head_size();
                let (grad, output) = (&grad[place.clone()], &saved.output[place]);
                vectorised(
                    arch,
                    #[inline(always)]
                    || {
                        task.fill_factors(i, factors);
                        let delta = sum_of_products(grad, output);
                        softmax_row_backward(row, grad_row, factors, log_sum, delta, task.scale());
                    },
                );
            }
            // `scores` now holds the dropped-out probabilities, `grad_scores` the gradient of q kᵀ.
            let probabilities = Matrix::new(scores, len, len, len);
            let grad_scores = Matrix::new(grad_scores, len, len, len);
            let target = |part: usize| task.target(&gradient, columns, part * hidden_size);
            let one = Threads::One;
            multiply(target(0), false, grad_scores, key, one);
            multiply(target(1), false, grad_scores.transposed(), query, one);
            multiply(
                target(2),
                false,
                probabilities.transposed(),
                grad_output,
                one,
            );
        },
    );
}
