//! Scores that depend on the distance between query and key, and their gradients, for a block of one head of one feature.

use std::ops::Range;

use pulp::Arch;

use super::kernel::Block;
use super::terms::{RelativeBuckets, RelativeKind};
use crate::kernels::gemm::{Matrix, Target, Threads, copy_to_column, gemm};
use crate::kernels::reduce::add_to;
use crate::kernels::simd::vectorized;

/// Keys whose products are read for all queries of a block before those of further keys: their lines stay in the cache.
const KEYS: usize = 16;

/// [`super::terms::RelativeTerm`] without its tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relative {
    pub(crate) kind: RelativeKind,
    pub(crate) buckets: RelativeBuckets,
}

/// A table and the rows of all distances in a batch.
pub(super) struct RelativeTable<'a> {
    kind: RelativeKind,
    /// `[rows, columns]`
    table: &'a [f32],
    columns: usize,
    num_heads: usize,
    /// The row for query `i` and key `j` is at `center + j - i`.
    rows: Vec<usize>,
    center: usize,
    /// Indices in `rows`, around `center`, where each row is one less than the one before.
    run: Range<usize>,
}

/// Buffers of one thread.
#[derive(Default)]
pub(super) struct RelativeScratch {
    /// Scores of each distance, or their gradients.
    by_offset: Vec<f32>,
    /// Dot products of queries or keys with rows of the table, or their gradients.
    products: Vec<f32>,
}

/// Query and key of one head of one feature, and the head's number, size and scale.
#[derive(Clone, Copy)]
pub(super) struct AttentionHead<'a> {
    pub(super) index: usize,
    /// `[len, head_size]`
    pub(super) query: Matrix<'a>,
    /// `[len, head_size]`
    pub(super) key: Matrix<'a>,
    pub(super) head_size: usize,
    pub(super) scale: f32,
}

/// One of the two dot products of disentangled attention.
struct PositionTerm {
    /// The first of the head's columns.
    column: usize,
    /// Whether the table's rows are keys, which queries are multiplied with.
    has_keys: bool,
}

impl<'a> RelativeTable<'a> {
    pub(super) fn new(
        relative: Relative,
        table: &'a [f32],
        columns: usize,
        num_heads: usize,
        longest: usize,
    ) -> Self {
        let rows = relative.buckets.rows_by_offset(longest);
        let center = rows.len() / 2;
        let falls = |at: &usize| rows[*at] == rows[at - 1].wrapping_sub(1);
        let end = (center + 1..rows.len()).find(|at| !falls(at));
        let start = (1..=center).rev().find(|at| !falls(at));
        Self {
            kind: relative.kind,
            table,
            columns,
            num_heads,
            run: start.unwrap_or(0)..end.unwrap_or(rows.len()),
            rows,
            center,
        }
    }

    /// The indices in `rows` of a query and some keys.
    fn offsets(&self, query: usize, keys: &Range<usize>) -> Range<usize> {
        self.center + keys.start - query..self.center + keys.end - query
    }

    /// The rows of the table that a block uses.
    fn used(&self, block: &Block) -> Range<usize> {
        let first = self.offsets(block.queries.end - 1, &block.keys).start;
        let last = self.offsets(block.queries.start, &block.keys).end - 1;
        let rows = &self.rows[first..=last];
        let min = rows.iter().min().expect("a block has a query and a key");
        let max = rows.iter().max().expect("a block has a query and a key");
        *min..max + 1
    }

    fn position_terms(
        &self,
        head: &AttentionHead<'_>,
    ) -> impl Iterator<Item = PositionTerm> + use<> {
        let (p2c, c2p) = match self.kind {
            RelativeKind::Bias => (false, false),
            RelativeKind::Disentangled { p2c, c2p } => (p2c, c2p),
        };
        let hidden_size = self.num_heads * head.head_size;
        let column = head.index * head.head_size;
        let queries = p2c.then_some(PositionTerm {
            column,
            has_keys: false,
        });
        let keys = c2p.then_some(PositionTerm {
            column: column + usize::from(p2c) * hidden_size,
            has_keys: true,
        });
        queries.into_iter().chain(keys)
    }

    /// `[used, head_size]`: the head's columns of some rows.
    fn matrix(
        &self,
        term: &PositionTerm,
        used: &Range<usize>,
        head: &AttentionHead<'_>,
    ) -> Matrix<'a> {
        Matrix::new(
            &self.table[used.start * self.columns + term.column..],
            used.len(),
            head.head_size,
            self.columns,
        )
    }

    /// Adds the term to the unscaled scores of a block, `[queries, keys]`.
    pub(super) fn add(
        &self,
        block: &Block,
        head: &AttentionHead<'_>,
        scores: &mut [f32],
        scratch: &mut RelativeScratch,
    ) {
        if self.kind == RelativeKind::Bias {
            let bias = |row: &usize| self.table[row * self.columns + head.index] / head.scale;
            scratch.by_offset.clear();
            scratch.by_offset.extend(self.rows.iter().map(bias));
            return for_each_row(
                block,
                scores,
                #[inline(always)]
                |query, row| {
                    add_to(row, &scratch.by_offset[self.offsets(query, &block.keys)]);
                },
            );
        }
        let used = self.used(block);
        for term in self.position_terms(head) {
            let content = term.content(block, head);
            let positions = self.matrix(&term, &used, head).transposed();
            let products = zeroed(&mut scratch.products, term.len(block) * used.len());
            let target = Target::new(products, used.len());
            gemm(target, content, positions, Threads::One);
            self.for_each_pair(
                &term,
                block,
                &used,
                scores,
                products,
                #[inline(always)]
                |score, product| {
                    *score += *product;
                },
            );
        }
    }

    /// Adds the gradients of query, key and table from that of a block's unscaled scores. A bias table's own follows in
    /// [`Self::finish`].
    pub(super) fn backward(
        &self,
        block: &Block,
        head: &AttentionHead<'_>,
        grad_scores: &mut [f32],
        grads: &RelativeGrads<'_, '_>,
        scratch: &mut RelativeScratch,
    ) {
        if self.kind == RelativeKind::Bias {
            return for_each_row(
                block,
                grad_scores,
                #[inline(always)]
                |query, row| {
                    add_to(
                        &mut scratch.by_offset[self.offsets(query, &block.keys)],
                        row,
                    );
                },
            );
        }
        let used = self.used(block);
        for term in self.position_terms(head) {
            let content = term.content(block, head);
            let positions = self.matrix(&term, &used, head);
            let products = zeroed(&mut scratch.products, term.len(block) * used.len());
            self.for_each_pair(
                &term,
                block,
                &used,
                grad_scores,
                products,
                #[inline(always)]
                |score, product| *product += *score,
            );
            let products = Matrix::new(products, term.len(block), used.len(), used.len());
            let target = (grads.content)(term.has_keys);
            gemm(target.accumulate(true), products, positions, Threads::One);
            let element = used.start * self.columns + term.column;
            let target = (grads.table)(element, self.columns).accumulate(true);
            gemm(target, products.transposed(), content, Threads::One);
        }
    }

    /// Begins the gradient of a head's bias.
    pub(super) fn begin(&self, scratch: &mut RelativeScratch) {
        zeroed(&mut scratch.by_offset, self.rows.len());
    }

    /// Ends the gradient of a head's bias, from those of all its blocks.
    pub(super) fn finish<'t>(
        &self,
        head: usize,
        scale: f32,
        grad_table: &dyn Fn(usize, usize) -> Target<'t>,
        scratch: &mut RelativeScratch,
    ) {
        if self.kind != RelativeKind::Bias {
            return;
        }
        let sums = zeroed(&mut scratch.products, self.table.len() / self.columns);
        for (row, grad) in self.rows.iter().zip(&scratch.by_offset) {
            sums[*row] += grad / scale;
        }
        copy_to_column(grad_table(head, self.columns), sums);
    }

    /// Calls `op` with every score of a block, `[queries, keys]`, and the product that belongs to it: of a query,
    /// `[queries, used]`, or of a key, `[keys, used]`.
    #[inline(always)]
    fn for_each_pair(
        &self,
        term: &PositionTerm,
        block: &Block,
        used: &Range<usize>,
        scores: &mut [f32],
        products: &mut [f32],
        op: impl Fn(&mut f32, &mut f32),
    ) {
        let (width, first) = (used.len(), used.start);
        if term.has_keys {
            let mut rows = products.chunks_exact_mut(width);
            return for_each_row(
                block,
                scores,
                #[inline(always)]
                |query, scores| {
                    let products = rows.next().expect("a row for each query");
                    let offsets = self.offsets(query, &block.keys);
                    let begin = self.run.start.clamp(offsets.start, offsets.end);
                    let end = self.run.end.clamp(begin, offsets.end);
                    let (scores, after) = scores.split_at_mut(end - offsets.start);
                    let (before, run) = scores.split_at_mut(begin - offsets.start);
                    if begin < end {
                        let products = &mut products[self.rows[end - 1] - first..];
                        let products = products[..run.len()].iter_mut().rev();
                        run.iter_mut().zip(products).for_each(|(a, b)| op(a, b));
                    }
                    let tails = [(before, offsets.start..begin), (after, end..offsets.end)];
                    for (scores, offsets) in tails {
                        for (score, row) in scores.iter_mut().zip(&self.rows[offsets]) {
                            op(score, &mut products[row - first]);
                        }
                    }
                },
            );
        }
        // A query's products lie in a column: the lines of a few keys stay in the cache from one query to the next.
        let keys = block.keys.clone();
        for start in keys.clone().step_by(KEYS) {
            let some = start..keys.end.min(start + KEYS);
            let products = &mut products[(start - keys.start) * width..];
            for_each_row(
                block,
                scores,
                #[inline(always)]
                |query, scores| {
                    let scores = &mut scores[some.start - keys.start..some.end - keys.start];
                    let rows = &self.rows[self.offsets(query, &some)];
                    let products = products.chunks_exact_mut(width);
                    for ((score, row), products) in scores.iter_mut().zip(rows).zip(products) {
                        op(score, &mut products[row - first]);
                    }
                },
            );
        }
    }
}

/// Where the gradients of a task's relative scores go.
pub(super) struct RelativeGrads<'f, 't> {
    /// The gradient of the block's queries (true) or keys (false).
    pub(super) content: &'f dyn Fn(bool) -> Target<'t>,
    /// The gradient of the table from an element on, with the table's row stride.
    pub(super) table: &'f dyn Fn(usize, usize) -> Target<'t>,
}

impl PositionTerm {
    /// The queries or keys of a block.
    fn content<'a>(&self, block: &Block, head: &AttentionHead<'a>) -> Matrix<'a> {
        if self.has_keys {
            head.query.rows(block.queries.clone())
        } else {
            head.key.rows(block.keys.clone())
        }
    }

    /// The number of queries or keys.
    fn len(&self, block: &Block) -> usize {
        if self.has_keys {
            block.queries.len()
        } else {
            block.keys.len()
        }
    }
}

/// The buffer with `len` zeros.
fn zeroed(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.clear();
    buffer.resize(len, 0.0);
    buffer
}

/// Calls `op` with each query of a block and its row of scores, compiled for this processor.
#[inline(always)]
fn for_each_row(block: &Block, scores: &mut [f32], mut op: impl FnMut(usize, &mut [f32])) {
    vectorized(
        Arch::new(),
        #[inline(always)]
        || {
            let rows = scores.chunks_exact_mut(block.keys.len());
            for (row, query) in rows.zip(block.queries.clone()) {
                op(query, row);
            }
        },
    );
}
