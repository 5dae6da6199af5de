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

use std::cell::Cell;
use std::ops::Range;

use candle_core::{Result, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::fused::with_values;
use super::lanes::{Real, largest, map_sum, vectorised};
use super::tile::{Panel, Plain, WIDTH, for_registers, in_tiles, load, store};

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

/// Some queries of a row, or one each of some rows, and one key-value head.
struct Task<'a, 'o> {
    members: Vec<Member<'a>>,
    kv_head: usize,
    /// Of each query the numbers of the heads that share the key-value head.
    out: Vec<&'o mut [f32]>,
}

/// Some queries of a row.
#[derive(Clone)]
struct Member<'a> {
    row: &'a Placed,
    queries: Range<usize>,
}

impl<'a> Member<'a> {
    /// The blocks that its only query sees all of: one that is not full belongs to one row.
    fn full(&self) -> &'a [usize] {
        &self.row.blocks[..(self.row.start + 1) / BLOCK]
    }
}

/// Blocks that some queries of a task see: what they hold is read once for all of these.
struct Stretch {
    /// Places of the queries in the task; in [`Scores`] each counts once for every head.
    queries: Range<usize>,
    blocks: Range<usize>,
    /// The member whose blocks they are.
    of: usize,
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
        for members in self.members() {
            let count = members.iter().map(|member| member.queries.len()).sum();
            let mut parts: Vec<Vec<&mut [f32]>> = Vec::new();
            parts.resize_with(kv_heads, || Vec::with_capacity(count));
            for out in rows.by_ref().take(count) {
                let own = out.chunks_exact_mut(heads / kv_heads * dim);
                parts.iter_mut().zip(own).for_each(|(part, own)| part.push(own));
            }
            let task = |(kv_head, out)| Task { members: members.clone(), kv_head, out };
            tasks.extend(parts.into_iter().enumerate().map(task));
        }
        let work = |task| Arch::new().dispatch(Work { attention: self, q, task });
        if rayon::current_num_threads() == 1 {
            tasks.into_iter().for_each(work);
        } else {
            tasks.into_par_iter().for_each(work);
        }
        out
    }

    /// All queries in their order, in parts for a task each: those of a row, or of neighbours that begin alike
    /// and have one query each, no more than leave a part for every thread.
    fn members(&self) -> Vec<Vec<Member<'_>>> {
        let per_thread = self.rows.len().div_ceil(rayon::current_num_threads());
        let most = QUERIES_PER_TASK.min(per_thread);
        let mut parts: Vec<Vec<Member<'_>>> = Vec::new();
        for row in self.rows {
            let count = row.queries.len();
            let joins = |part: &&mut Vec<Member<'_>>| {
                let before = part[part.len() - 1].row;
                let single = count == 1 && before.queries.len() == 1;
                single && part.len() < most && before.blocks[0] == row.blocks[0]
            };
            if let Some(part) = parts.last_mut().filter(joins) {
                part.push(Member { row, queries: 0..1 });
                continue;
            }
            parts.extend((0..count).step_by(QUERIES_PER_TASK).map(|first| {
                vec![Member { row, queries: first..count.min(first + QUERIES_PER_TASK) }]
            }));
        }
        parts
    }

    /// Positions that a query of a row sees.
    fn seen(&self, row: &Placed, query: usize) -> Range<usize> {
        let end = row.start + query + 1;
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }
}

/// Adds the stretches of some members, each of one query or alone, from a block on: of each query in the order of its
/// positions.
fn stretch(members: &[Member<'_>], which: Range<usize>, from: usize, to: &mut Vec<Stretch>) {
    let (of, first) = (which.start, &members[which.start]);
    if which.len() == 1 {
        let queries = of..of + first.queries.len();
        let end = (first.row.start + first.queries.end).div_ceil(BLOCK);
        if from < end {
            to.push(Stretch { queries, blocks: from..end, of });
        }
        return;
    }
    let alike = |other: &Member<'_>| {
        first.full().iter().zip(other.full()).take_while(|(one, other)| one == other).count()
    };
    let others = &members[which.clone()];
    let common = others.iter().map(alike).min().unwrap_or(from);
    if from < common {
        to.push(Stretch { queries: which.clone(), blocks: from..common, of });
    }
    let mut start = which.start;
    let next = |member: &Member<'_>| member.full().get(common).copied();
    for run in others.chunk_by(|a, b| next(a).is_some() && next(a) == next(b)) {
        stretch(members, start..start + run.len(), from.max(common), to);
        start += run.len();
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
    stretches: Vec<Stretch>,
    /// Scores, then weights, `[queries, width]`: zeros where nothing is seen.
    scores: Vec<f32>,
    width: usize,
}

thread_local! {
    /// Room for scores.
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
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
        ROOM.set(scores.scores);
    }

    /// Of a block of a stretch what it holds of this key-value head: keys and values.
    #[inline(always)]
    fn head(&self, stretch: &Stretch, nth: usize) -> (&'b [f32], &'b [f32]) {
        let Self { attention: Attention { heads, block, .. }, task, .. } = self;
        let block = block(task.members[stretch.of].row.blocks[nth]);
        block[task.kv_head * heads.head()..][..heads.head()].split_at(heads.dim * BLOCK)
    }

    fn scores(&self) -> Scores<'a> {
        let Heads { heads, kv_heads, dim } = self.attention.heads;
        let group = heads / kv_heads;
        let (mut q, mut seen) = (Vec::new(), Vec::new());
        for Member { row, queries } in &self.task.members {
            for query in queries.clone() {
                let own = (row.queries.start + query) * heads * dim;
                let own = &self.q[own + self.task.kv_head * group * dim..][..group * dim];
                q.extend(own.chunks_exact(dim));
                seen.extend(std::iter::repeat_n(self.attention.seen(row, query), group));
            }
        }
        let first = seen.iter().map(|seen| seen.start).min().unwrap_or(0) / BLOCK;
        let width = seen.iter().map(|seen| seen.end).max().unwrap_or(0).next_multiple_of(BLOCK);
        let mut stretches = Vec::new();
        stretch(&self.task.members, 0..self.task.members.len(), first, &mut stretches);
        for Stretch { queries, .. } in &mut stretches {
            *queries = queries.start * group..queries.end * group;
        }
        let mut scores = ROOM.take();
        scores.resize(q.len() * width, 0.0);
        Scores { q, seen, stretches, scores, width }
    }

    /// Weights of the keys, as shares of their largest; returns what makes them shares of their sum.
    #[inline(always)]
    fn weigh<S: Simd, const V: usize, const MOST: usize>(
        &self,
        simd: S,
        to: &mut Scores<'_>,
    ) -> Vec<f32> {
        let zero = simd.splat_f32s(0.0);
        for (at, stretch) in to.stretches.iter().enumerate() {
            for nth in stretch.blocks.clone() {
                let next = if nth + 1 < stretch.blocks.end {
                    self.head(stretch, nth + 1).0
                } else if let Some(next) = to.stretches.get(at + 1) {
                    self.head(next, next.blocks.start).0
                } else {
                    self.head(&to.stretches[0], to.stretches[0].blocks.start).1
                };
                let keys = Plain { panel: self.head(stretch, nth).0, next };
                in_tiles!(MOST, stretch.queries.clone(), |first, R| {
                    let mut q = [to.q[0]; R];
                    for r in 0..R {
                        q[r] = to.q[first + r];
                    }
                    let sums = keys.add(simd, q, [[zero; V]; R]);
                    for r in 0..R {
                        let at = (first + r) * to.width + nth * BLOCK;
                        store::<S, V>(sums[r], &mut to.scores[at..at + BLOCK]);
                    }
                });
            }
        }
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
        let group = heads / kv_heads;
        for (at, stretch) in from.stretches.iter().enumerate() {
            in_tiles!(MOST, stretch.queries.clone(), |first, R| {
                let end = from.seen[first + R - 1].end;
                for column in (0..dim).step_by(WIDTH) {
                    let columns = column..dim.min(column + WIDTH);
                    let out = |r: usize| {
                        let (query, head) = ((first + r) / group, (first + r) % group);
                        (query, head * dim + columns.start..head * dim + columns.end)
                    };
                    let mut sums = [[simd.splat_f32s(0.0); V]; R];
                    for r in 0..R {
                        let (query, columns) = out(r);
                        sums[r] = load::<S, V>(&self.task.out[query][columns]);
                    }
                    for nth in stretch.blocks.clone().take_while(|nth| nth * BLOCK < end) {
                        let count = BLOCK.min(end - nth * BLOCK);
                        let mut weights = [&from.scores[..0]; R];
                        for r in 0..R {
                            let at = (first + r) * from.width + nth * BLOCK;
                            weights[r] = &from.scores[at..at + count];
                        }
                        let next = if nth + 1 < stretch.blocks.end {
                            &self.head(stretch, nth + 1).1[column * BLOCK..]
                        } else if column + WIDTH < dim {
                            &self.head(stretch, stretch.blocks.start).1[(column + WIDTH) * BLOCK..]
                        } else if let Some(next) = from.stretches.get(at + 1) {
                            self.head(next, next.blocks.start).1
                        } else {
                            &[]
                        };
                        let panel = &self.head(stretch, nth).1[column * BLOCK..][..count * WIDTH];
                        sums = Plain { panel, next }.add(simd, weights, sums);
                    }
                    for r in 0..R {
                        let (query, columns) = out(r);
                        store::<S, V>(sums[r], &mut self.task.out[query][columns]);
                    }
                }
            });
        }
    }
}
