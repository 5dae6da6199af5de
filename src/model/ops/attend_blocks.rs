//! Attention block by block, as training runs it: the scores of some hundred queries are a product of matrices,
//! in both directions. What is found agrees with [`attention`](super::attention) to the last digits, not to the
//! last bit.

use std::ops::Range;

use candle_core::{Result, Tensor};
use gemm::Parallelism;
use rayon::prelude::*;

use super::attention::{Attend, Row, attention};
use super::fused::{covers, for_each_real, with_values};
use super::lanes::{Real, dot, largest, map_sum, vectorised};
use super::linear::{Matrix, Onto, multiply_onto};

/// The same as [`attention`](super::attention).
pub(crate) fn attention_in_blocks([q, k, v]: [&Tensor; 3], how: &Attend) -> Result<Tensor> {
    if ![q, k, v].into_iter().all(covers) {
        return attention(q, k, v, how);
    }
    how.check(q, k)?;
    for_each_real!(q.dtype(), T => {
        let out = with_values::<T, _>(q, |q| with_values::<T, _>(k, |k| {
            with_values::<T, _>(v, |v| Ok(how.forward_in_blocks(q, k, v)))
        }))?;
        Tensor::from_vec(out, q.shape(), q.device())
    })
}

/// Queries of a unit, whose gradients of keys and values are summed apart.
const UNIT: usize = 256;

/// Scores that there are at once.
const SCORES: usize = 1 << 18;

/// What one thread takes: some queries of a row, and all heads that share a key-value head.
struct Unit<'r> {
    row: &'r Row,
    kv_head: usize,
    queries: Range<usize>,
    /// The first position that a query of it sees.
    first: usize,
    /// Places of the keys from there to the last that a query of it sees.
    places: Vec<usize>,
}

impl Unit<'_> {
    /// Keys, from the first, that a block of its queries sees.
    fn seen_by(&self, block: &Range<usize>) -> usize {
        self.row.key_count() - self.row.queries.len() + block.end - self.first
    }
}

/// What a unit read.
struct Read<T> {
    keys: Vec<T>,   // [places, d]
    values: Vec<T>, // [places, d]
}

/// What a unit adds to the gradients of its keys and values, and its own gradient or result.
struct Made<T> {
    own: Vec<T>,    // [queries, group·d]
    keys: Vec<T>,   // [places, d]
    values: Vec<T>, // [places, d]
}

impl Attend {
    const fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    fn units(&self) -> Vec<Unit<'_>> {
        let mut units = Vec::new();
        for row in self.rows.iter() {
            let before = row.key_count() - row.queries.len();
            let places: Vec<usize> = row.keys.iter().cloned().flatten().collect();
            for start in (0..row.queries.len()).step_by(UNIT) {
                let queries = start..row.queries.len().min(start + UNIT);
                let first = self.seen(before + start).start;
                let places = &places[first..before + queries.end];
                units.extend((0..self.kv_heads).map(|kv_head| Unit {
                    row,
                    kv_head,
                    queries: queries.clone(),
                    first,
                    places: places.to_vec(),
                }));
            }
        }
        units
    }

    /// The queries of a unit, as many at once as their scores allow.
    fn blocks(&self, unit: &Unit<'_>) -> Vec<Range<usize>> {
        let most = SCORES / (unit.places.len() * self.group()).max(1);
        let (queries, step) = (unit.queries.clone(), most.clamp(8, UNIT));
        let end = queries.end;
        queries.step_by(step).map(|start| start..end.min(start + step)).collect()
    }

    fn forward_in_blocks<T: Real>(&self, q: &[T], k: &[T], v: &[T]) -> Vec<T> {
        let mut out = vec![T::zero(); q.len()];
        let units = self.units();
        let made = each(&units, |unit| self.unit_forwards(unit, q, k, v));
        for (unit, own) in units.iter().zip(made) {
            self.place_own(unit, &own, &mut out);
        }
        out
    }

    fn unit_forwards<T: Real>(&self, unit: &Unit<'_>, q: &[T], k: &[T], v: &[T]) -> Vec<T> {
        let read = self.read(unit, k, v);
        let (d, group) = (self.head_dim, self.group());
        let mut own = vec![T::zero(); unit.queries.len() * group * d];
        let mut weights = Vec::new();
        for block in self.blocks(unit) {
            let seen = unit.seen_by(&block);
            let q = self.stacked(unit, &block, q);
            self.weights(unit, &block, (&q, &read), &mut weights);
            let rows = block.len() * group;
            let mut out = vec![T::zero(); rows * d];
            let weights = Matrix::of(&weights, rows, seen);
            let values = Matrix::of(&read.values[..seen * d], seen, d);
            multiply_onto(&mut out, Onto::Nothing, weights, values, Parallelism::None);
            self.unstack(unit, &block, &out, &mut own);
        }
        own
    }

    /// With P the weights and O = P·V: dV = Pᵀ·dO, dP = dO·Vᵀ, dS = P∘(dP − Σ P∘dP)/√d, dQ = dS·K,
    /// dK = dSᵀ·Q. P is computed again rather than kept. What units find is added up in their order: rows may
    /// share keys.
    pub(super) fn backward<T: Real>(&self, [q, k, v, grad]: [&[T]; 4]) -> [Vec<T>; 3] {
        let [mut dq, mut dk, mut dv] = [q, k, v].map(|x| vec![T::zero(); x.len()]);
        let units = self.units();
        let made = each(&units, |unit| self.unit_backwards(unit, [q, k, v, grad]));
        for (unit, made) in units.iter().zip(made) {
            self.place_own(unit, &made.own, &mut dq);
            self.add_keys(unit, &made.keys, &mut dk);
            self.add_keys(unit, &made.values, &mut dv);
        }
        [dq, dk, dv]
    }

    fn unit_backwards<T: Real>(&self, unit: &Unit<'_>, [q, k, v, grad]: [&[T]; 4]) -> Made<T> {
        let read = self.read(unit, k, v);
        let (d, group) = (self.head_dim, self.group());
        let zeros = |count: usize| vec![T::zero(); count];
        let (mut dk, mut dv) = (zeros(read.keys.len()), zeros(read.values.len()));
        let mut own = zeros(unit.queries.len() * group * d);
        let (mut weights, mut slopes) = (Vec::new(), Vec::new());
        for block in self.blocks(unit) {
            let (seen, rows) = (unit.seen_by(&block), block.len() * group);
            let (q, grad) = (self.stacked(unit, &block, q), self.stacked(unit, &block, grad));
            self.weights(unit, &block, (&q, &read), &mut weights);
            let multiply = |to: &mut [T], onto, a, b| {
                multiply_onto(to, onto, a, b, Parallelism::None);
            };
            let of_rows = |x| Matrix::of(x, rows, d);
            let of_keys = |x| Matrix::of(x, seen, d);
            let of_scores = |x| Matrix::of(x, rows, seen);
            slopes.resize(rows * seen, T::zero());
            let values = of_keys(&read.values[..seen * d]).transposed();
            multiply(&mut slopes, Onto::Nothing, of_rows(&grad), values);
            let transposed = of_scores(&weights).transposed();
            multiply(&mut dv[..seen * d], Onto::Sum, transposed, of_rows(&grad));
            self.slopes(seen, &weights, &mut slopes);
            let mut dq = zeros(rows * d);
            let keys = of_keys(&read.keys[..seen * d]);
            multiply(&mut dq, Onto::Nothing, of_scores(&slopes), keys);
            let transposed = of_scores(&slopes).transposed();
            multiply(&mut dk[..seen * d], Onto::Sum, transposed, of_rows(&q));
            self.unstack(unit, &block, &dq, &mut own);
        }
        Made { own, keys: dk, values: dv }
    }

    /// softmax(q·kᵀ/√d) of a block, 0 where nothing is seen: `[group·queries, keys]`.
    fn weights<T: Real>(
        &self,
        unit: &Unit<'_>,
        block: &Range<usize>,
        (q, read): (&[T], &Read<T>),
        weights: &mut Vec<T>,
    ) {
        let (d, seen) = (self.head_dim, unit.seen_by(block));
        let rows = block.len() * self.group();
        weights.resize(rows * seen, T::zero());
        let keys = Matrix::of(&read.keys[..seen * d], seen, d).transposed();
        multiply_onto(weights, Onto::Nothing, Matrix::of(q, rows, d), keys, Parallelism::None);
        let before = unit.row.key_count() - unit.row.queries.len();
        let scale = self.scale::<T>();
        vectorised(
            #[inline(always)]
            || {
                let queries = block.clone().cycle();
                for (weights, query) in weights.chunks_exact_mut(seen).zip(queries) {
                    let own = self.seen(before + query);
                    let own = own.start - unit.first..own.end - unit.first;
                    weights[..own.start].fill(T::zero());
                    weights[own.end..].fill(T::zero());
                    let weights = &mut weights[own];
                    let most = largest(weights);
                    let sum = map_sum(weights, |score| ((score - most) * scale).exponential());
                    let share = sum.recip();
                    for weight in weights {
                        *weight *= share;
                    }
                }
            },
        );
    }

    /// From dP to dS.
    fn slopes<T: Real>(&self, seen: usize, weights: &[T], slopes: &mut [T]) {
        let scale = self.scale::<T>();
        vectorised(
            #[inline(always)]
            || {
                let each = slopes.chunks_exact_mut(seen).zip(weights.chunks_exact(seen));
                for (slopes, weights) in each {
                    let mean = dot(weights, slopes);
                    for (slope, weight) in slopes.iter_mut().zip(weights) {
                        *slope = *weight * (*slope - mean) * scale;
                    }
                }
            },
        );
    }

    fn read<T: Real>(&self, unit: &Unit<'_>, k: &[T], v: &[T]) -> Read<T> {
        let (d, width) = (self.head_dim, self.kv_heads * self.head_dim);
        let gather = |from: &[T]| {
            let mut own = Vec::with_capacity(unit.places.len() * d);
            for place in &unit.places {
                own.extend_from_slice(&from[place * width + unit.kv_head * d..][..d]);
            }
            own
        };
        Read { keys: gather(k), values: gather(v) }
    }

    /// The rows of a block, head after head: `[group·queries, d]`.
    fn stacked<T: Real>(&self, unit: &Unit<'_>, block: &Range<usize>, from: &[T]) -> Vec<T> {
        let (d, width, group) = (self.head_dim, self.heads * self.head_dim, self.group());
        let mut stacked = Vec::with_capacity(block.len() * group * d);
        for head in unit.kv_head * group..(unit.kv_head + 1) * group {
            for query in block.clone() {
                let at = (unit.row.queries.start + query) * width + head * d;
                stacked.extend_from_slice(&from[at..at + d]);
            }
        }
        stacked
    }

    /// Puts them back, query after query.
    fn unstack<T: Real>(&self, unit: &Unit<'_>, block: &Range<usize>, rows: &[T], own: &mut [T]) {
        let (d, group) = (self.head_dim, self.group());
        for (place, row) in rows.chunks_exact(d).enumerate() {
            let (head, query) = (place / block.len(), place % block.len());
            let at = ((block.start - unit.queries.start + query) * group + head) * d;
            own[at..at + d].copy_from_slice(row);
        }
    }

    fn place_own<T: Real>(&self, unit: &Unit<'_>, own: &[T], to: &mut [T]) {
        let (width, part) = (self.heads * self.head_dim, self.group() * self.head_dim);
        for (query, own) in unit.queries.clone().zip(own.chunks_exact(part)) {
            let at = (unit.row.queries.start + query) * width + unit.kv_head * part;
            to[at..at + part].copy_from_slice(own);
        }
    }

    fn add_keys<T: Real>(&self, unit: &Unit<'_>, own: &[T], to: &mut [T]) {
        let (d, width) = (self.head_dim, self.kv_heads * self.head_dim);
        for (place, own) in unit.places.iter().zip(own.chunks_exact(d)) {
            let to = &mut to[place * width + unit.kv_head * d..][..d];
            for (to, own) in to.iter_mut().zip(own) {
                *to += *own;
            }
        }
    }
}

/// Does `work` on every unit; in the order of the units.
fn each<R: Send>(units: &[Unit<'_>], work: impl Fn(&Unit<'_>) -> R + Send + Sync) -> Vec<R> {
    if rayon::current_num_threads() == 1 {
        units.iter().map(work).collect()
    } else {
        units.par_iter().map(work).collect()
    }
}
