//! Variable-length attention that stores no probabilities: the forward pass saves each row's log-sum-exp (`lse`), from
//! which the backward pass computes the probabilities again (Dao et al. 2022, FlashAttention). Dropout masks are drawn
//! again from their key.

use pulp::Arch;

use super::softmax::{softmax_row, softmax_row_backward};
use crate::cu_seqlens::CuSeqlens;
use crate::kernels::gemm::{Matrix, Target, Threads, gemm};
use crate::kernels::parallel::{SharedBuffer, for_each};
use crate::kernels::reduce::dot;
use crate::kernels::simd::vectorized;
use crate::philox::{Dropout, attention_row};

/// Attention arguments other than tensors.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) cu_seqlens: CuSeqlens,
    pub(crate) num_heads: usize,
    pub(crate) dropout: Option<Dropout>,
}

/// One head of one feature.
struct Task<'a> {
    args: &'a Attention,
    /// The feature's first token.
    start: usize,
    /// The feature's number of tokens.
    len: usize,
    head: usize,
    hidden_size: usize,
}

impl Task<'_> {
    fn head_size(&self) -> usize {
        self.hidden_size / self.args.num_heads
    }

    /// The index of the head's first element in a `[tokens, columns]` matrix.
    fn offset(&self, columns: usize) -> usize {
        self.start * columns + self.head * self.head_size()
    }

    /// `[len, head_size]`: the head's part of a `[tokens, columns]` matrix.
    fn matrix<'a>(&self, data: &'a [f32], columns: usize) -> Matrix<'a> {
        Matrix::new(
            &data[self.offset(columns)..],
            self.len,
            self.head_size(),
            columns,
        )
    }

    /// The head's parts of query, key and value.
    fn inputs<'a>(&self, inputs: Qkv<'a>) -> [Matrix<'a>; 3] {
        [0, 1, 2].map(|part| self.matrix(&inputs.data[part * self.hidden_size..], inputs.columns))
    }

    /// The head's part of a matrix to be written, `begin` columns further to the right.
    #[allow(unsafe_code)]
    fn target<'a>(&self, buffer: &'a SharedBuffer<'_>, columns: usize, begin: usize) -> Target<'a> {
        // SAFETY: tasks differ in feature (rows) or head (columns), so their `[len, head_size]` parts are disjoint, as
        // are the parts of one task at multiples of `hidden_size`.
        unsafe { buffer.target(self.offset(columns) + begin, columns) }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_size() as f32).sqrt()
    }

    /// Writes `q kᵀ` into the first `len²` elements of `scores`.
    fn scores(&self, query: Matrix<'_>, key: Matrix<'_>, scores: &mut [f32]) {
        let target = Target::new(scores, self.len);
        gemm(target, query, key.transposed(), Threads::One);
    }

    /// The dropout factors of one query.
    #[inline(always)]
    fn fill_factors(&self, i: usize, factors: &mut [f32]) {
        if let Some(dropout) = &self.args.dropout {
            dropout.fill_row(
                attention_row(self.start + i, self.head, self.args.num_heads),
                factors,
            );
        }
    }
}

fn tasks(args: &Attention, hidden_size: usize) -> Vec<Task<'_>> {
    let heads = args.num_heads;
    let mut tasks: Vec<_> = args
        .cu_seqlens
        .ranges()
        .flat_map(|range| (0..heads).map(move |head| (range.clone(), head)))
        .map(|(range, head)| Task {
            args,
            start: range.start,
            len: range.len(),
            head,
            hidden_size,
        })
        .collect();
    // Longest first, so that no thread ends with a long task while the others wait.
    tasks.sort_by_key(|task| std::cmp::Reverse(task.len));
    tasks
}

/// Query, key and value side by side.
#[derive(Clone, Copy)]
pub(crate) struct Qkv<'a> {
    /// `[tokens, columns]`
    pub(crate) data: &'a [f32],
    /// Three times the hidden size.
    pub(crate) columns: usize,
}

impl Qkv<'_> {
    fn hidden_size(self) -> usize {
        self.columns / 3
    }
}

/// Fills `output`, `[tokens, hidden_size]`, and `lse`, the log-sum-exp of each row of scores, `[tokens, num_heads]`.
pub(crate) fn forward(inputs: Qkv<'_>, args: &Attention, output: &mut [f32], lse: &mut [f32]) {
    let longest = args.cu_seqlens.max_seqlen();
    let (output, lse) = (SharedBuffer::new(output), SharedBuffer::new(lse));
    let arch = Arch::new();
    let hidden_size = inputs.hidden_size();
    let tasks = tasks(args, hidden_size);
    for_each(
        tasks.len(),
        || {
            (
                vec![0.0f32; longest * longest],
                vec![1.0f32; longest],
                vec![0.0f32; longest],
            )
        },
        |(scores, factors, lse_column), index| {
            let task = &tasks[index];
            let len = task.len;
            let [query, key, value] = task.inputs(inputs);
            task.scores(query, key, scores);
            for (i, row) in scores.chunks_mut(len.max(1)).take(len).enumerate() {
                let factors = &mut factors[..len];
                lse_column[i] = vectorized(
                    arch,
                    #[inline(always)]
                    || {
                        task.fill_factors(i, factors);
                        softmax_row(row, task.scale(), factors)
                    },
                );
            }
            gemm(
                task.target(&output, hidden_size, 0),
                Matrix::new(scores, len, len, len),
                value,
                Threads::One,
            );
            // A matmul with 1 copies the numbers to the head's column without more unsafe code.
            gemm(
                column_target(&lse, task),
                Matrix::new(lse_column, len, 1, 1),
                Matrix::new(&[1.0], 1, 1, 1),
                Threads::One,
            );
        },
    );
}

/// The head's column of a `[tokens, num_heads]` matrix.
#[allow(unsafe_code)]
fn column_target<'a>(matrix: &'a SharedBuffer<'_>, task: &Task<'_>) -> Target<'a> {
    let heads = task.args.num_heads;
    // SAFETY: tasks differ in feature (rows) or head (the column).
    unsafe { matrix.target(task.start * heads + task.head, heads) }
}

/// What the forward pass saves for the backward pass.
pub(crate) struct Saved<'a> {
    pub(crate) inputs: Qkv<'a>,
    pub(crate) output: &'a [f32],
    pub(crate) lse: &'a [f32],
}

/// Fills `grad_qkv` from `grad`, the gradient of the output.
pub(crate) fn backward(saved: &Saved<'_>, grad: &[f32], args: &Attention, grad_qkv: &mut [f32]) {
    let Qkv { columns, .. } = saved.inputs;
    let hidden_size = saved.inputs.hidden_size();
    let grad_qkv = SharedBuffer::new(grad_qkv);
    let (longest, heads) = (args.cu_seqlens.max_seqlen(), args.num_heads);
    let arch = Arch::new();
    let tasks = tasks(args, hidden_size);
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
            gemm(target, grad_output, value.transposed(), Threads::One);
            let rows = scores
                .chunks_mut(len.max(1))
                .zip(grad_scores.chunks_mut(len.max(1)));
            for (i, (row, grad_row)) in rows.take(len).enumerate() {
                let factors = &mut factors[..len];
                let lse = saved.lse[(task.start + i) * heads + task.head];
                let place = task.offset(hidden_size) + i * hidden_size;
                let place = place..place + task.head_size();
                let (grad, output) = (&grad[place.clone()], &saved.output[place]);
                vectorized(
                    arch,
                    #[inline(always)]
                    || {
                        task.fill_factors(i, factors);
                        let delta = dot(grad, output);
                        softmax_row_backward(row, grad_row, factors, lse, delta, task.scale());
                    },
                );
            }
            // `scores` now holds the probabilities after dropout, `grad_scores` the gradient of q kᵀ.
            let probabilities = Matrix::new(scores, len, len, len);
            let grad_scores = Matrix::new(grad_scores, len, len, len);
            let target = |part: usize| task.target(&grad_qkv, columns, part * hidden_size);
            let one = Threads::One;
            gemm(target(0), grad_scores, key, one);
            gemm(target(1), grad_scores.transposed(), query, one);
            gemm(target(2), probabilities.transposed(), grad_output, one);
        },
    );
}
