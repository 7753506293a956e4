//! Variable-length attention that stores no probabilities: the forward pass saves each row's log-sum-exp (`lse`), from
//! which the backward pass computes the probabilities again (Dao et al. 2022, FlashAttention). Dropout masks are drawn
//! again from their key.
//!
//! With a window, queries are processed in blocks, and the scores of a block are those of the keys that its queries reach.

use std::ops::Range;

use pulp::Arch;

use super::relative::{AttentionHead, Relative, RelativeGrads, RelativeScratch, RelativeTable};
use super::rotary::Rotation;
use super::softmax::{softmax_row, softmax_row_backward};
use super::terms::RotaryEmbedding;
use crate::cu_seqlens::CuSeqlens;
use crate::kernels::gemm::{Matrix, Target, Threads, copy_to_column, gemm_in};
use crate::kernels::parallel::{SharedBuffer, for_each};
use crate::kernels::reduce::{dot, sum_rows};
use crate::kernels::simd::vectorized;
use crate::philox::{Dropout, attention_row};
use crate::precision::Precision;

/// Attention arguments other than tensors.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) cu_seqlens: CuSeqlens,
    pub(crate) num_heads: usize,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) rotary: Option<RotaryEmbedding>,
    pub(crate) window: Option<usize>,
    pub(crate) relative: Option<Relative>,
    /// Of the matmuls of queries with keys and of probabilities with values, and of their gradients.
    pub(crate) precision: Precision,
}

impl Attention {
    /// Whether nothing is added to scaled dot-product attention.
    #[cfg(feature = "tch")]
    pub(super) fn is_plain(&self) -> bool {
        self.rotary.is_none() && self.window.is_none() && self.relative.is_none()
    }

    /// The number of queries in a block of a feature with `len` tokens: all, unless the window is narrower than the feature.
    fn queries_of_block(&self, len: usize) -> usize {
        match self.window {
            Some(window) if window < len.saturating_sub(1) => QUERIES,
            _ => len.max(1),
        }
    }

    /// The most elements of a block's scores.
    fn elements_of_block(&self, len: usize) -> usize {
        let queries = self.queries_of_block(len).min(len);
        let reach = self.window.map_or(len, |window| {
            window.saturating_mul(2).saturating_add(queries)
        });
        queries * len.min(reach)
    }

    pub(super) fn scale(&self, head_size: usize) -> f32 {
        let products = self.relative.map_or(1, |term| term.kind.num_products());
        1.0 / ((products * head_size) as f32).sqrt()
    }
}

/// Queries of a block where there is a window.
const QUERIES: usize = 64;

/// Number of parts of a batch. The gradients of a relative table are summed in each part, and then over the parts.
const PARTS: usize = 4;

/// One head of consecutive features.
struct Task<'a> {
    args: &'a Attention,
    features: Range<usize>,
    head: usize,
    hidden_size: usize,
    /// The part of the batch.
    part: usize,
}

fn tasks(args: &Attention, hidden_size: usize) -> Vec<Task<'_>> {
    let count = args.cu_seqlens.len();
    let size = match args.relative {
        Some(_) => count.div_ceil(PARTS).max(1),
        None => 1,
    };
    let mut tasks: Vec<_> = (0..count.div_ceil(size))
        .flat_map(|part| (0..args.num_heads).map(move |head| (part, head)))
        .map(|(part, head)| Task {
            args,
            features: part * size..count.min((part + 1) * size),
            head,
            hidden_size,
            part,
        })
        .collect();
    // Longest first, so that no thread ends with a long task while the others wait.
    tasks.sort_by_key(|task| std::cmp::Reverse(task.tokens()));
    tasks
}

impl<'a> Task<'a> {
    fn tokens(&self) -> usize {
        let offsets = self.args.cu_seqlens.offsets();
        offsets[self.features.end] - offsets[self.features.start]
    }

    fn features(&self) -> impl Iterator<Item = FeatureHead<'a>> + use<'a> {
        let (args, head, hidden_size) = (self.args, self.head, self.hidden_size);
        self.features.clone().map(move |feature| {
            let range = args.cu_seqlens.range(feature);
            FeatureHead {
                args,
                start: range.start,
                len: range.len(),
                head,
                hidden_size,
            }
        })
    }
}

/// One head of one feature.
struct FeatureHead<'a> {
    args: &'a Attention,
    /// The feature's first token.
    start: usize,
    /// The feature's number of tokens.
    len: usize,
    head: usize,
    hidden_size: usize,
}

/// Some queries of a feature, and the keys that one of them attends to.
pub(super) struct Block {
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
}

impl FeatureHead<'_> {
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

    /// The head's parts of query, key and value, the first two rotated into `scratch`.
    fn inputs<'a>(
        &self,
        inputs: Qkv<'a>,
        rotation: Option<&Rotation>,
        scratch: &'a mut [Vec<f32>; 2],
    ) -> [Matrix<'a>; 3] {
        let part = |part: usize| &inputs.data[part * self.hidden_size..];
        let mut matrices = [0, 1, 2].map(|index| self.matrix(part(index), inputs.columns));
        if let Some(rotation) = rotation {
            let size = self.head_size();
            for (index, rotated) in scratch.iter_mut().enumerate() {
                rotated.clear();
                for position in 0..self.len {
                    let place = self.offset(inputs.columns) + position * inputs.columns;
                    rotated.extend_from_slice(&part(index)[place..place + size]);
                    rotation.rotate(position, &mut rotated[position * size..]);
                }
                matrices[index] = Matrix::new(rotated, self.len, size, size);
            }
        }
        matrices
    }

    /// The head's part of a matrix to be written, from one of its tokens on and `begin` columns further to the right. A task
    /// uses its targets one at a time.
    #[allow(unsafe_code)]
    fn target<'a>(
        &self,
        buffer: &'a SharedBuffer<'_>,
        columns: usize,
        begin: usize,
        token: usize,
    ) -> Target<'a> {
        // SAFETY: tasks differ in feature (rows) or head (columns), so their `[len, head_size]` parts are disjoint, and a
        // task uses one target at a time.
        unsafe { buffer.target(self.offset(columns) + begin + token * columns, columns) }
    }

    /// Calls `op` with each position of the feature and the head's row there of a gradient: `part` 0 is that of the query,
    /// 1 of the key, 2 of the value.
    #[allow(unsafe_code)]
    fn for_each_grad_row(
        &self,
        pass: &BackwardPass<'_>,
        part: usize,
        mut op: impl FnMut(usize, &mut [f32]),
    ) {
        let columns = pass.saved.inputs.columns;
        for position in 0..self.len {
            let begin = self.offset(columns) + part * self.hidden_size + position * columns;
            // SAFETY: as in `target`; the row lives as long as `op` runs.
            op(position, unsafe {
                pass.grad_qkv.part(begin..begin + self.head_size())
            });
        }
    }

    /// The head's column of a `[tokens, num_heads]` matrix.
    #[allow(unsafe_code)]
    fn column_target<'a>(&self, matrix: &'a SharedBuffer<'_>) -> Target<'a> {
        let heads = self.args.num_heads;
        // SAFETY: tasks differ in feature (rows) or head (the column).
        unsafe { matrix.target(self.start * heads + self.head, heads) }
    }

    fn scale(&self) -> f32 {
        self.args.scale(self.head_size())
    }

    /// The keys that a query attends to.
    fn keys(&self, query: usize) -> Range<usize> {
        match self.args.window {
            Some(window) => {
                query.saturating_sub(window)
                    ..self.len.min(query.saturating_add(window).saturating_add(1))
            }
            None => 0..self.len,
        }
    }

    fn blocks(&self) -> impl ExactSizeIterator<Item = Block> {
        let size = self.args.queries_of_block(self.len);
        (0..self.len.div_ceil(size)).map(move |index| {
            let queries = index * size..self.len.min((index + 1) * size);
            let keys = self.keys(queries.start).start..self.keys(queries.end - 1).end;
            Block { queries, keys }
        })
    }

    fn to_head<'a>(&self, [query, key, _]: [Matrix<'a>; 3]) -> AttentionHead<'a> {
        AttentionHead {
            index: self.head,
            query,
            key,
            head_size: self.head_size(),
            scale: self.scale(),
        }
    }

    /// Whether blocks have keys in common, so that the gradients of keys and values add up.
    fn has_overlapping_blocks(&self) -> bool {
        self.blocks().len() > 1
    }

    /// Writes the unscaled scores of a block.
    fn scores(
        &self,
        block: &Block,
        inputs: [Matrix<'_>; 3],
        table: Option<&RelativeTable<'_>>,
        scratch: &mut Scratch,
    ) {
        let [query, key, _] = inputs;
        let width = block.keys.len();
        gemm_in(
            self.args.precision,
            Target::new(&mut scratch.scores, width),
            query.rows(block.queries.clone()),
            key.rows(block.keys.clone()).transposed(),
            Threads::One,
        );
        if let Some(table) = table {
            let scores = &mut scratch.scores[..block.queries.len() * width];
            table.add(block, &self.to_head(inputs), scores, &mut scratch.relative);
        }
    }

    /// Turns the unscaled scores of a block into probabilities after dropout. Writes the log-sum-exp of each query's scaled
    /// scores to `lse`, `[len]`.
    fn softmax(&self, block: &Block, scratch: &mut Scratch, lse: &mut [f32]) {
        let (first, width) = (block.keys.start, block.keys.len());
        let arch = Arch::new();
        let rows = scratch.scores.chunks_mut(width);
        for (i, row) in block.queries.clone().zip(rows) {
            let keys = self.keys(i);
            let factors = &mut scratch.factors[..keys.end];
            lse[i] = vectorized(
                arch,
                #[inline(always)]
                || {
                    self.fill_factors(i, factors);
                    let row = zero_outside(row, &keys, first);
                    softmax_row(row, self.scale(), &factors[keys.start..])
                },
            );
        }
    }

    /// Turns the unscaled scores of a block into probabilities after dropout, and `grad_scores` from the gradient of those
    /// into that of the unscaled scores.
    fn softmax_backward(&self, block: &Block, pass: &BackwardPass<'_>, scratch: &mut Scratch) {
        let (first, width) = (block.keys.start, block.keys.len());
        let (heads, head_size) = (self.args.num_heads, self.head_size());
        let arch = Arch::new();
        let grad_rows = scratch.grad_scores.chunks_mut(width);
        let rows = scratch.scores.chunks_mut(width).zip(grad_rows);
        for (i, (row, grad_row)) in block.queries.clone().zip(rows) {
            let keys = self.keys(i);
            let factors = &mut scratch.factors[..keys.end];
            let lse = pass.saved.lse[(self.start + i) * heads + self.head];
            let begin = self.offset(self.hidden_size) + i * self.hidden_size;
            let elements = begin..begin + head_size;
            let (grad, output) = (&pass.grad[elements.clone()], &pass.saved.output[elements]);
            vectorized(
                arch,
                #[inline(always)]
                || {
                    self.fill_factors(i, factors);
                    let row = zero_outside(row, &keys, first);
                    let grad_row = zero_outside(grad_row, &keys, first);
                    let (factors, delta) = (&factors[keys.start..], dot(grad, output));
                    softmax_row_backward(row, grad_row, factors, lse, delta, self.scale());
                },
            );
        }
    }

    /// Writes the gradients of a block's queries, and writes or adds those of its keys and values and of the table.
    fn backward_block<'t>(
        &self,
        block: &Block,
        inputs: [Matrix<'_>; 3],
        pass: &'t BackwardPass<'_>,
        table_target: &dyn Fn(usize, usize) -> Target<'t>,
        scratch: &mut Scratch,
    ) {
        let [query, key, value] = inputs;
        let (count, width) = (block.queries.len(), block.keys.len());
        self.scores(block, inputs, pass.table, scratch);
        let grad_output = self.matrix(pass.grad, self.hidden_size);
        let grad_output = grad_output.rows(block.queries.clone());
        gemm_in(
            self.args.precision,
            Target::new(&mut scratch.grad_scores, width),
            grad_output,
            value.rows(block.keys.clone()).transposed(),
            Threads::One,
        );
        self.softmax_backward(block, pass, scratch);
        // The scores are now the probabilities after dropout, and `grad_scores` is the gradient of the scores.
        let probabilities = Matrix::new(&scratch.scores, count, width, width);
        let grad_scores = Matrix::new(&scratch.grad_scores, count, width, width);
        let matmuls = [
            (grad_scores, key.rows(block.keys.clone())),
            (grad_scores.transposed(), query.rows(block.queries.clone())),
            (probabilities.transposed(), grad_output),
        ];
        let target = |part: usize| {
            let token = [block.queries.start, block.keys.start, block.keys.start][part];
            let (columns, begin) = (pass.saved.inputs.columns, part * self.hidden_size);
            let target = self.target(&pass.grad_qkv, columns, begin, token);
            target.accumulate(part > 0 && self.has_overlapping_blocks())
        };
        for (part, (left, right)) in matmuls.into_iter().enumerate() {
            gemm_in(self.args.precision, target(part), left, right, Threads::One);
        }
        if let Some(table) = pass.table {
            let grads = RelativeGrads {
                content: &|is_query| target(usize::from(!is_query)),
                table: table_target,
            };
            let grad_scores = &mut scratch.grad_scores[..count * width];
            let grad_relative = &mut scratch.grad_relative;
            table.backward(
                block,
                &self.to_head(inputs),
                grad_scores,
                &grads,
                grad_relative,
            );
        }
    }

    /// The dropout factors of one query for its feature's first keys.
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

/// What the tasks of a pass share.
struct Shared<'a> {
    rotation: Option<Rotation>,
    table: Option<RelativeTable<'a>>,
    tasks: Vec<Task<'a>>,
    /// The most elements of a block's scores in the batch.
    scores_len: usize,
    longest: usize,
}

impl<'a> Shared<'a> {
    fn new(args: &'a Attention, hidden_size: usize, table: Option<&'a [f32]>) -> Self {
        let longest = args.cu_seqlens.max_seqlen();
        let head_size = hidden_size / args.num_heads;
        let relative = args.relative.zip(table);
        // Not that of the longest feature: a shorter one that is a single block can have more.
        let features = args.cu_seqlens.ranges();
        let scores = features.map(|range| args.elements_of_block(range.len()));
        Self {
            rotation: args
                .rotary
                .map(|rotary| Rotation::new(rotary, longest, head_size)),
            table: relative.map(|(relative, table)| {
                let columns = relative.kind.columns(args.num_heads, hidden_size);
                RelativeTable::new(relative, table, columns, args.num_heads, longest)
            }),
            tasks: tasks(args, hidden_size),
            scores_len: scores.max().unwrap_or(0),
            longest,
        }
    }
}

/// Buffers of one thread.
struct Scratch {
    /// Of a block, `[queries, keys]`.
    scores: Vec<f32>,
    /// As `scores`; empty in the forward pass.
    grad_scores: Vec<f32>,
    /// The dropout factors of one query; ones without dropout.
    factors: Vec<f32>,
    relative: RelativeScratch,
    grad_relative: RelativeScratch,
}

impl Scratch {
    fn new(shared: &Shared<'_>) -> Self {
        Self {
            scores: vec![0.0; shared.scores_len],
            grad_scores: Vec::new(),
            factors: vec![1.0; shared.longest],
            relative: RelativeScratch::default(),
            grad_relative: RelativeScratch::default(),
        }
    }
}

/// Fills `output`, `[tokens, hidden_size]`, and `lse`, the log-sum-exp of each row of scores, `[tokens, num_heads]`.
pub(crate) fn forward(
    inputs: Qkv<'_>,
    table: Option<&[f32]>,
    args: &Attention,
    output: &mut [f32],
    lse: &mut [f32],
) {
    let hidden_size = inputs.hidden_size();
    let shared = Shared::new(args, hidden_size, table);
    let (output, lse) = (SharedBuffer::new(output), SharedBuffer::new(lse));
    for_each(
        shared.tasks.len(),
        || {
            let lse_column = vec![0.0f32; shared.longest];
            (Scratch::new(&shared), lse_column, Default::default())
        },
        |(scratch, lse_column, rotated), index| {
            for feature in shared.tasks[index].features() {
                let inputs = feature.inputs(inputs, shared.rotation.as_ref(), rotated);
                let [_, _, value] = inputs;
                for block in feature.blocks() {
                    let width = block.keys.len();
                    feature.scores(&block, inputs, shared.table.as_ref(), scratch);
                    feature.softmax(&block, scratch, lse_column);
                    gemm_in(
                        args.precision,
                        feature.target(&output, hidden_size, 0, block.queries.start),
                        Matrix::new(&scratch.scores, block.queries.len(), width, width),
                        value.rows(block.keys),
                        Threads::One,
                    );
                }
                copy_to_column(feature.column_target(&lse), &lse_column[..feature.len]);
            }
        },
    );
}

/// Zeroes the scores of a query for keys that it does not attend to, and returns the others. `row` begins with key `first`.
#[inline(always)]
fn zero_outside<'a>(row: &'a mut [f32], keys: &Range<usize>, first: usize) -> &'a mut [f32] {
    let (begin, end) = (keys.start - first, keys.end - first);
    row[..begin].fill(0.0);
    row[end..].fill(0.0);
    &mut row[begin..end]
}

/// What the forward pass saves for the backward pass.
pub(crate) struct SavedAttention<'a> {
    pub(crate) inputs: Qkv<'a>,
    pub(crate) table: Option<&'a [f32]>,
    pub(crate) output: &'a [f32],
    pub(crate) lse: &'a [f32],
}

/// What the tasks of the backward pass share.
struct BackwardPass<'a> {
    saved: &'a SavedAttention<'a>,
    /// The gradient of the output, `[tokens, hidden_size]`.
    grad: &'a [f32],
    table: Option<&'a RelativeTable<'a>>,
    /// `[tokens, columns]`, to be filled.
    grad_qkv: SharedBuffer<'a>,
}

/// Fills `grad_qkv`, and `grad_table` where there is a table, from `grad`, the gradient of the output.
pub(crate) fn backward(
    saved: &SavedAttention<'_>,
    grad: &[f32],
    args: &Attention,
    grad_qkv: &mut [f32],
    grad_table: Option<&mut [f32]>,
) {
    let hidden_size = saved.inputs.hidden_size();
    let shared = Shared::new(args, hidden_size, saved.table);
    let table_len = saved.table.map_or(0, <[f32]>::len);
    let parts = shared.tasks.iter().map(|task| task.part + 1).max();
    let mut grad_tables = vec![0.0f32; parts.unwrap_or(0) * table_len];
    let grad_tables_of_tasks = SharedBuffer::new(&mut grad_tables);
    let pass = BackwardPass {
        saved,
        grad,
        table: shared.table.as_ref(),
        grad_qkv: SharedBuffer::new(grad_qkv),
    };
    for_each(
        shared.tasks.len(),
        || {
            let scratch = Scratch {
                grad_scores: vec![0.0; shared.scores_len],
                ..Scratch::new(&shared)
            };
            (scratch, Default::default())
        },
        |(scratch, rotated), index| {
            let task = &shared.tasks[index];
            #[allow(unsafe_code)]
            let table_target = |element: usize, stride: usize| {
                // SAFETY: tasks differ in part (tables) or head (columns), and a task uses one target at a time.
                unsafe { grad_tables_of_tasks.target(task.part * table_len + element, stride) }
            };
            if let Some(table) = pass.table {
                table.begin(&mut scratch.grad_relative);
            }
            for feature in task.features() {
                let inputs = feature.inputs(saved.inputs, shared.rotation.as_ref(), rotated);
                if feature.has_overlapping_blocks() {
                    for part in [1, 2] {
                        feature.for_each_grad_row(&pass, part, |_, row| row.fill(0.0));
                    }
                }
                for block in feature.blocks() {
                    feature.backward_block(&block, inputs, &pass, &table_target, scratch);
                }
                if let Some(rotation) = &shared.rotation {
                    for part in [0, 1] {
                        feature.for_each_grad_row(&pass, part, |position, row| {
                            rotation.rotate_back(position, row);
                        });
                    }
                }
            }
            if let Some(table) = pass.table {
                let scale = args.scale(hidden_size / args.num_heads);
                table.finish(task.head, scale, &table_target, &mut scratch.grad_relative);
            }
        },
    );
    if let Some(grad_table) = grad_table {
        sum_rows(&grad_tables, grad_table);
    }
}
