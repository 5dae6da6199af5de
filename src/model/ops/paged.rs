//! Keys and values in blocks of 32 positions, and attention to them, for drawing.
//!
//! A block is laid out as the panels that attention multiplies by: scores are queries times a panel of keys
//! `[head, positions]`, what is attended to is weights times panels of values `[positions, 32]`. Position p of
//! a sequence is in its block p / 32, so a query's sums have one order, whoever shares its blocks and whatever
//! runs beside it.

#![expect(
    clippy::manual_memcpy,
    clippy::needless_range_loop,
    reason = "loops over registers unroll; what goes through closures is compiled for any machine"
)]

use std::ops::Range;

use candle_core::{Result, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::fused::with_values;
use super::lanes::{Real, largest, map_sum, vectorised};
use super::tile::{Panel, Plain, WIDTH, for_registers, in_tiles, store};

/// Positions of a block.
pub(crate) const BLOCK: usize = WIDTH;

/// A sequence that is run on: its queries are its last positions.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Places of its queries in the run.
    pub(crate) queries: Range<usize>,
    /// The position of the first of them.
    pub(crate) start: usize,
    /// The blocks of its positions, in their order.
    pub(crate) blocks: Vec<usize>,
}

/// The heads of attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) heads: usize,
    /// Key-value heads: a divisor of `heads`.
    pub(crate) kv_heads: usize,
    /// Numbers a head.
    pub(crate) dim: usize,
}

impl Heads {
    /// Columns of values in a block: whole panels.
    const fn wide(self) -> usize {
        self.dim.next_multiple_of(WIDTH)
    }

    /// Numbers that a block holds of a layer.
    pub(crate) const fn block(self) -> usize {
        self.kv_heads * self.head()
    }

    /// Numbers that a block holds of a key-value head: keys `[dim, BLOCK]`, then panels of values.
    const fn head(self) -> usize {
        (self.dim + self.wide()) * BLOCK
    }

    /// Writes one position's keys and values, `[kv_heads·dim]` each, to a block.
    pub(crate) fn write(self, block: &mut [f32], place: usize, k: &[f32], v: &[f32]) {
        let heads = k.chunks_exact(self.dim).zip(v.chunks_exact(self.dim));
        for (own, (k, v)) in block.chunks_exact_mut(self.head()).zip(heads) {
            let (keys, values) = own.split_at_mut(self.dim * BLOCK);
            for (lanes, k) in keys.chunks_exact_mut(BLOCK).zip(k) {
                lanes[place] = *k;
            }
            let panels = values.chunks_exact_mut(BLOCK * WIDTH);
            for (panel, v) in panels.zip(v.chunks(WIDTH)) {
                panel[place * WIDTH..][..v.len()].copy_from_slice(v);
            }
        }
    }
}

/// Attention to what blocks hold.
pub(crate) struct Attention<'a, B> {
    pub(crate) heads: Heads,
    /// Tokens back that are seen, the own one counted; `None` is all.
    pub(crate) window: Option<usize>,
    /// The sequences of the run.
    pub(crate) rows: &'a [Placed],
    /// What a block holds of the layer.
    pub(crate) block: B,
}

/// Queries that a thread takes at a time.
const QUERIES_PER_TASK: usize = 16;

/// Some queries of a row, and one key-value head.
struct Task<'a, 'o> {
    row: &'a Placed,
    queries: Range<usize>,
    kv_head: usize,
    /// Of each query the numbers of the heads that share the key-value head.
    out: Vec<&'o mut [f32]>,
}

impl<'b, B: Fn(usize) -> &'b [f32] + Sync> Attention<'_, B> {
    /// softmax(q·kᵀ/√d)·v of queries `[tokens, heads·d]`.
    pub(crate) fn attend(&self, q: &Tensor) -> Result<Tensor> {
        let out = with_values::<f32, _>(q, |q| Ok(self.run(q)))?;
        Tensor::from_vec(out, q.shape(), q.device())
    }

    fn run(&self, q: &[f32]) -> Vec<f32> {
        let Heads { heads, kv_heads, dim } = self.heads;
        let mut out = vec![0.0; q.len()];
        let mut rows = out.chunks_exact_mut(heads * dim);
        let mut tasks = Vec::new();
        for row in self.rows {
            for first in (0..row.queries.len()).step_by(QUERIES_PER_TASK) {
                let count = QUERIES_PER_TASK.min(row.queries.len() - first);
                let mut parts: Vec<Vec<&mut [f32]>> = Vec::new();
                parts.resize_with(kv_heads, || Vec::with_capacity(count));
                for out in rows.by_ref().take(count) {
                    let own = out.chunks_exact_mut(heads / kv_heads * dim);
                    parts.iter_mut().zip(own).for_each(|(part, own)| part.push(own));
                }
                tasks.extend(parts.into_iter().enumerate().map(|(kv_head, out)| Task {
                    row,
                    queries: first..first + count,
                    kv_head,
                    out,
                }));
            }
        }
        let work = |task| Arch::new().dispatch(Work { attention: self, q, task });
        if rayon::current_num_threads() == 1 {
            tasks.into_iter().for_each(work);
        } else {
            tasks.into_par_iter().for_each(work);
        }
        out
    }

    /// Positions that the query at `position` sees.
    fn seen(&self, position: usize) -> Range<usize> {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))..position + 1
    }
}

struct Work<'a, 'o, B> {
    attention: &'a Attention<'a, B>,
    q: &'a [f32],
    task: Task<'a, 'o>,
}

impl<'b, B: Fn(usize) -> &'b [f32] + Sync> WithSimd for Work<'_, '_, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for_registers!(S, V, R => self.run::<S, V, R>(simd));
    }
}

/// The scores of some queries of one key-value head.
struct Scores<'q> {
    /// The queries: each query's heads that share the key-value head, one after the other.
    q: Vec<&'q [f32]>,
    /// What each sees.
    seen: Vec<Range<usize>>,
    /// Scores, then weights, `[queries, width]`: zeros where nothing is seen.
    scores: Vec<f32>,
    width: usize,
}

impl<'a, 'b, B: Fn(usize) -> &'b [f32] + Sync> Work<'a, '_, B> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MOST: usize>(&mut self, simd: S) {
        let mut scores = self.scores();
        let shares = self.weigh::<S, V, MOST>(simd, &mut scores);
        self.mix::<S, V, MOST>(simd, &scores);
        let dim = self.attention.heads.dim;
        let outs = self.task.out.iter_mut().flat_map(|out| out.chunks_exact_mut(dim));
        for (out, share) in outs.zip(shares) {
            for out in out {
                *out *= share;
            }
        }
    }

    /// The blocks that any of the queries sees.
    fn blocks(seen: &[Range<usize>]) -> Range<usize> {
        let first = seen.iter().map(|seen| seen.start).min().unwrap_or(0);
        let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        first / BLOCK..end.div_ceil(BLOCK)
    }

    /// Of a block what it holds of this key-value head: keys and values.
    #[inline(always)]
    fn head(&self, nth: usize) -> (&'b [f32], &'b [f32]) {
        let (heads, block) =
            (self.attention.heads, (self.attention.block)(self.task.row.blocks[nth]));
        block[self.task.kv_head * heads.head()..][..heads.head()].split_at(heads.dim * BLOCK)
    }

    fn scores(&self) -> Scores<'a> {
        let Heads { heads, kv_heads, dim } = self.attention.heads;
        let (row, group) = (self.task.row, heads / kv_heads);
        let (mut q, mut seen) = (Vec::new(), Vec::new());
        for query in self.task.queries.clone() {
            let own = (row.queries.start + query) * heads * dim + self.task.kv_head * group * dim;
            q.extend(self.q[own..][..group * dim].chunks_exact(dim));
            seen.extend(std::iter::repeat_n(self.attention.seen(row.start + query), group));
        }
        let width = Self::blocks(&seen).end * BLOCK;
        Scores { scores: vec![0.0; q.len() * width], q, seen, width }
    }

    /// Weights of the keys, as shares of their largest; returns what makes them shares of their sum.
    #[inline(always)]
    fn weigh<S: Simd, const V: usize, const MOST: usize>(
        &self,
        simd: S,
        to: &mut Scores<'_>,
    ) -> Vec<f32> {
        let blocks = Self::blocks(&to.seen);
        let zero = simd.splat_f32s(0.0);
        in_tiles!(MOST, 0..to.q.len(), |first, R| {
            let mut q = [to.q[0]; R];
            for r in 0..R {
                q[r] = to.q[first + r];
            }
            for nth in blocks.clone() {
                let sums = Plain(self.head(nth).0).add(simd, q, [[zero; V]; R]);
                for r in 0..R {
                    let at = (first + r) * to.width + nth * BLOCK;
                    store::<S, V>(sums[r], &mut to.scores[at..at + BLOCK]);
                }
            }
        });
        let scale = (self.attention.heads.dim as f32).sqrt().recip();
        let mut shares = Vec::with_capacity(to.q.len());
        for (seen, scores) in to.seen.iter().zip(to.scores.chunks_exact_mut(to.width)) {
            scores[..seen.start].fill(0.0);
            scores[seen.end..].fill(0.0);
            let scores = &mut scores[seen.clone()];
            shares.push(vectorised(
                #[inline(always)]
                || {
                    let most = largest(scores);
                    map_sum(scores, |score| ((score - most) * scale).exponential()).recip()
                },
            ));
        }
        shares
    }

    /// Σ weight·value.
    #[inline(always)]
    fn mix<S: Simd, const V: usize, const MOST: usize>(&mut self, simd: S, from: &Scores<'_>) {
        let Heads { heads, kv_heads, dim } = self.attention.heads;
        let (group, zero) = (heads / kv_heads, simd.splat_f32s(0.0));
        let blocks = Self::blocks(&from.seen);
        in_tiles!(MOST, 0..from.q.len(), |first, R| {
            let end = from.seen[first + R - 1].end;
            for column in (0..dim).step_by(WIDTH) {
                let mut sums = [[zero; V]; R];
                for nth in blocks.clone().take_while(|nth| nth * BLOCK < end) {
                    let count = BLOCK.min(end - nth * BLOCK);
                    let mut weights = [&from.scores[..0]; R];
                    for r in 0..R {
                        let at = (first + r) * from.width + nth * BLOCK;
                        weights[r] = &from.scores[at..at + count];
                    }
                    let panel = &self.head(nth).1[column * BLOCK..][..count * WIDTH];
                    sums = Plain(panel).add(simd, weights, sums);
                }
                for r in 0..R {
                    let (query, head) = ((first + r) / group, (first + r) % group);
                    let out = &mut self.task.out[query][head * dim..(head + 1) * dim];
                    let end = dim.min(column + WIDTH);
                    store::<S, V>(sums[r], &mut out[column..end]);
                }
            }
        });
    }
}
