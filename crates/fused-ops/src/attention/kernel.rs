//! Variable-length attention that stores no probabilities: the forward pass saves each row's log-sum-exp (`lse`), from
//! which the backward pass computes the probabilities again (Dao et al. 2022, FlashAttention). Dropout masks are drawn
//! again from their key.
//!
//! With a window, queries are taken in blocks, and a block's scores have the keys within its reach alone.

use std::ops::Range;

use pulp::Arch;

use super::relative::{Head, Relative, RelativeGrads, RelativeScratch, RelativeTable};
use super::rotary::Rotation;
use super::softmax::{softmax_row, softmax_row_backward};
use super::terms::RotaryEmbedding;
use crate::cu_seqlens::CuSeqlens;
use crate::kernels::gemm::{Matrix, Target, Threads, gemm, gemm_in};
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

    /// The queries of each block of a feature: all of them without a window, and where it reaches over the whole feature.
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
        let products = self.relative.map_or(1, |term| term.kind.products());
        1.0 / ((products * head_size) as f32).sqrt()
    }
}

/// Queries of a block where there is a window.
const QUERIES: usize = 64;

/// Parts of a batch whose gradients of a relative table are summed each on its own.
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

    fn features(&self) -> impl Iterator<Item = Feature<'a>> + use<'a> {
        let (args, head, hidden_size) = (self.args, self.head, self.hidden_size);
        self.features.clone().map(move |feature| {
            let range = args.cu_seqlens.range(feature);
            Feature {
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
struct Feature<'a> {
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

impl Feature<'_> {
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

    /// The head's part of a matrix to be written, from one of its tokens on and `begin` columns further to the right.
    #[allow(unsafe_code)]
    fn target<'a>(
        &self,
        buffer: &'a SharedBuffer<'_>,
        columns: usize,
        begin: usize,
        token: usize,
    ) -> Target<'a> {
        // SAFETY: tasks differ in feature (rows) or head (columns), so their `[len, head_size]` parts are disjoint, as
        // are the parts of one task at multiples of `hidden_size`.
        unsafe { buffer.target(self.offset(columns) + begin + token * columns, columns) }
    }

    /// Calls `op` with each row of the head's part of a matrix to be written, as [`Self::target`].
    #[allow(unsafe_code)]
    fn for_each_row(
        &self,
        buffer: &SharedBuffer<'_>,
        columns: usize,
        begin: usize,
        mut op: impl FnMut(usize, &mut [f32]),
    ) {
        for token in 0..self.len {
            let place = self.offset(columns) + begin + token * columns;
            // SAFETY: as in `target`; the row lives as long as `op` runs.
            op(token, unsafe {
                buffer.part(place..place + self.head_size())
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

    fn place<'a>(&self, [query, key, _]: [Matrix<'a>; 3]) -> Head<'a> {
        Head {
            index: self.head,
            query,
            key,
            head_size: self.head_size(),
            scale: self.scale(),
        }
    }

    /// Writes the unscaled scores of a block into the first elements of `scores`.
    fn scores(
        &self,
        block: &Block,
        [query, key, value]: [Matrix<'_>; 3],
        table: Option<&RelativeTable<'_>>,
        scores: &mut [f32],
        scratch: &mut RelativeScratch,
    ) {
        let width = block.keys.len();
        gemm_in(
            self.args.precision,
            Target::new(scores, width),
            query.rows(block.queries.clone()),
            key.rows(block.keys.clone()).transposed(),
            Threads::One,
        );
        if let Some(table) = table {
            let scores = &mut scores[..block.queries.len() * width];
            table.add(block, &self.place([query, key, value]), scores, scratch);
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
    block: usize,
    longest: usize,
}

impl<'a> Shared<'a> {
    fn new(args: &'a Attention, hidden_size: usize, table: Option<&'a [f32]>) -> Self {
        let longest = args.cu_seqlens.max_seqlen();
        let head_size = hidden_size / args.num_heads;
        let relative = args.relative.zip(table);
        // Not of the longest alone: one that the window reaches over is a single block, which can have more.
        let features = (0..args.cu_seqlens.len()).map(|feature| args.cu_seqlens.range(feature));
        let block = features
            .map(|range| args.elements_of_block(range.len()))
            .max();
        Self {
            rotation: args
                .rotary
                .map(|rotary| Rotation::new(rotary, longest, head_size)),
            table: relative.map(|(relative, table)| {
                let columns = relative.kind.columns(args.num_heads, hidden_size);
                RelativeTable::new(relative, table, columns, args.num_heads, longest)
            }),
            tasks: tasks(args, hidden_size),
            block: block.unwrap_or(0),
            longest,
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
    let arch = Arch::new();
    for_each(
        shared.tasks.len(),
        || {
            (
                vec![0.0f32; shared.block],
                vec![1.0f32; shared.longest],
                vec![0.0f32; shared.longest],
                Default::default(),
                RelativeScratch::default(),
            )
        },
        |(scores, factors, lse_column, rotated, relative), index| {
            for feature in shared.tasks[index].features() {
                let inputs = feature.inputs(inputs, shared.rotation.as_ref(), rotated);
                for block in feature.blocks() {
                    let (first, width) = (block.keys.start, block.keys.len());
                    let table = shared.table.as_ref();
                    feature.scores(&block, inputs, table, scores, relative);
                    for (i, row) in block.queries.clone().zip(scores.chunks_mut(width)) {
                        let keys = feature.keys(i);
                        let factors = &mut factors[..keys.end];
                        lse_column[i] = vectorized(
                            arch,
                            #[inline(always)]
                            || {
                                feature.fill_factors(i, factors);
                                let row = inside(row, &keys, first);
                                softmax_row(row, feature.scale(), &factors[keys.start..])
                            },
                        );
                    }
                    let [_, _, value] = inputs;
                    gemm_in(
                        args.precision,
                        feature.target(&output, hidden_size, 0, block.queries.start),
                        Matrix::new(scores, block.queries.len(), width, width),
                        value.rows(block.keys),
                        Threads::One,
                    );
                }
                // A matmul with 1 copies the numbers to the head's column without more unsafe code.
                gemm(
                    feature.column_target(&lse),
                    Matrix::new(lse_column, feature.len, 1, 1),
                    Matrix::new(&[1.0], 1, 1, 1),
                    Threads::One,
                );
            }
        },
    );
}

/// The scores of the keys that a query attends to, in its row that begins with the key `first`. The others become 0.
#[inline(always)]
fn inside<'a>(row: &'a mut [f32], keys: &Range<usize>, first: usize) -> &'a mut [f32] {
    let (begin, end) = (keys.start - first, keys.end - first);
    row[..begin].fill(0.0);
    row[end..].fill(0.0);
    &mut row[begin..end]
}

/// What the forward pass saves for the backward pass.
pub(crate) struct Saved<'a> {
    pub(crate) inputs: Qkv<'a>,
    pub(crate) table: Option<&'a [f32]>,
    pub(crate) output: &'a [f32],
    pub(crate) lse: &'a [f32],
}

/// Fills `grad_qkv`, and `grad_table` where there is a table, from `grad`, the gradient of the output.
pub(crate) fn backward(
    saved: &Saved<'_>,
    grad: &[f32],
    args: &Attention,
    grad_qkv: &mut [f32],
    grad_table: Option<&mut [f32]>,
) {
    let Qkv { columns, .. } = saved.inputs;
    let (hidden_size, heads) = (saved.inputs.hidden_size(), args.num_heads);
    let shared = Shared::new(args, hidden_size, saved.table);
    let table_len = saved.table.map_or(0, <[f32]>::len);
    let parts = shared.tasks.iter().map(|task| task.part + 1).max();
    let mut grad_tables = vec![0.0f32; parts.unwrap_or(0) * table_len];
    let (grad_qkv, grad_tables_of_tasks) = (
        SharedBuffer::new(grad_qkv),
        SharedBuffer::new(&mut grad_tables),
    );
    let arch = Arch::new();
    for_each(
        shared.tasks.len(),
        || {
            (
                vec![0.0f32; shared.block],
                vec![0.0f32; shared.block],
                vec![1.0f32; shared.longest],
                Default::default(),
                RelativeScratch::default(),
                RelativeScratch::default(),
            )
        },
        |(scores, grad_scores, factors, rotated, relative, grad_relative), index| {
            let task = &shared.tasks[index];
            #[allow(unsafe_code)]
            let table_target = |place: usize, stride: usize| {
                // SAFETY: tasks differ in part (tables) or head (columns), and a task's targets live one at a time.
                unsafe { grad_tables_of_tasks.target(task.part * table_len + place, stride) }
            };
            if let Some(table) = &shared.table {
                table.begin(grad_relative);
            }
            for feature in task.features() {
                let inputs = feature.inputs(saved.inputs, shared.rotation.as_ref(), rotated);
                let [query, key, value] = inputs;
                let grad_output = feature.matrix(grad, hidden_size);
                let blocks = feature.blocks();
                // Keys and values of several blocks overlap.
                let overlap = blocks.len() > 1;
                if overlap {
                    for part in [1, 2] {
                        feature.for_each_row(&grad_qkv, columns, part * hidden_size, |_, row| {
                            row.fill(0.0);
                        });
                    }
                }
                for block in blocks {
                    let (first, width) = (block.keys.start, block.keys.len());
                    let count = block.queries.len();
                    let table = shared.table.as_ref();
                    feature.scores(&block, inputs, table, scores, relative);
                    let block_grad = grad_output.rows(block.queries.clone());
                    gemm_in(
                        args.precision,
                        Target::new(grad_scores, width),
                        block_grad,
                        value.rows(block.keys.clone()).transposed(),
                        Threads::One,
                    );
                    let rows = scores.chunks_mut(width).zip(grad_scores.chunks_mut(width));
                    for (i, (row, grad_row)) in block.queries.clone().zip(rows) {
                        let keys = feature.keys(i);
                        let factors = &mut factors[..keys.end];
                        let lse = saved.lse[(feature.start + i) * heads + feature.head];
                        let place = feature.offset(hidden_size) + i * hidden_size;
                        let place = place..place + feature.head_size();
                        let (grad, output) = (&grad[place.clone()], &saved.output[place]);
                        vectorized(
                            arch,
                            #[inline(always)]
                            || {
                                feature.fill_factors(i, factors);
                                let row = inside(row, &keys, first);
                                let grad_row = inside(grad_row, &keys, first);
                                let (factors, delta) = (&factors[keys.start..], dot(grad, output));
                                let scale = feature.scale();
                                softmax_row_backward(row, grad_row, factors, lse, delta, scale);
                            },
                        );
                    }
                    // `scores` now holds the probabilities after dropout, `grad_scores` the gradient of the scores.
                    let target = |part: usize| {
                        let token = [block.queries.start, first, first][part];
                        let target = feature.target(&grad_qkv, columns, part * hidden_size, token);
                        target.accumulate(overlap && part > 0)
                    };
                    let probabilities = Matrix::new(scores, count, width, width);
                    let (query, key) = (
                        query.rows(block.queries.clone()),
                        key.rows(block.keys.clone()),
                    );
                    let products = Matrix::new(grad_scores, count, width, width);
                    let matmuls = [
                        (products, key),
                        (products.transposed(), query),
                        (probabilities.transposed(), block_grad),
                    ];
                    for (part, (left, right)) in matmuls.into_iter().enumerate() {
                        gemm_in(args.precision, target(part), left, right, Threads::One);
                    }
                    if let Some(table) = &shared.table {
                        let grads = RelativeGrads {
                            content: &|is_query| target(usize::from(!is_query)),
                            table: &table_target,
                        };
                        let head = feature.place(inputs);
                        let grad_scores = &mut grad_scores[..count * width];
                        table.backward(&block, &head, grad_scores, &grads, grad_relative);
                    }
                }
                if let Some(rotation) = &shared.rotation {
                    for part in [0, 1] {
                        feature.for_each_row(
                            &grad_qkv,
                            columns,
                            part * hidden_size,
                            |position, row| rotation.rotate_back(position, row),
                        );
                    }
                }
            }
            if let Some(table) = &shared.table {
                let scale = args.scale(hidden_size / heads);
                table.finish(task.head, scale, &table_target, grad_relative);
            }
        },
    );
    if let Some(grad_table) = grad_table {
        sum_rows(&grad_tables, grad_table);
    }
}
