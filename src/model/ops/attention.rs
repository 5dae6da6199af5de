//! Causal attention over rows of different lengths, without padding.

use std::ops::Range;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::back::plain_back;
use super::fused::{covers, for_each_real, stored, values, with_values};
use super::lanes::{Real, add_scaled, dot, largest, map_sum, vectorised};
use super::plain;
pub(crate) use super::rows::{Row, Rows};

/// How to attend.
#[derive(Debug, Clone)]
pub(crate) struct Attend {
    /// The rows.
    pub(crate) rows: Rows,
    /// Query heads.
    pub(crate) heads: usize,
    /// Key-value heads: a divisor of `heads`.
    pub(crate) kv_heads: usize,
    /// Numbers a head.
    pub(crate) head_dim: usize,
    /// Tokens back that are seen, the own one counted; `None` is all.
    pub(crate) window: Option<usize>,
}

/// softmax(q·kᵀ/√d)·v for each row: `q` `[tokens, heads·d]`, `k` and `v` `[places, kv_heads·d]`,
/// the result like `q`.
pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, how: &Attend) -> Result<Tensor> {
    how.check(q, k)?;
    if covers(q) && covers(k) && covers(v) {
        return q.apply_op3(k, v, how.clone());
    }
    let groups = how.rows.laid_out(how.window, q.device())?;
    plain::attention(q, (k, v), &groups, (how.kv_heads, how.head_dim))
}

/// The gradients of `q`, `k` and `v`.
pub(crate) fn attention_back(
    [q, k, v]: [&Tensor; 3],
    how: &Attend,
    grad: &Tensor,
) -> Result<[Tensor; 3]> {
    if [q, k, v, grad].into_iter().all(covers)
        && let (Some(dq), Some(dk), Some(dv)) = how.bwd(q, k, v, q, grad)?
    {
        return Ok([dq, dk, dv]);
    }
    plain_back([q, k, v], grad, |[q, k, v]| attention(q, k, v, how))
}

/// Queries that one thread takes at a time.
const QUERIES_PER_TASK: usize = 16;

impl Attend {
    pub(super) fn check(&self, q: &Tensor, k: &Tensor) -> Result<()> {
        let (tokens, width) = q.dims2()?;
        let (places, kv_width) = k.dims2()?;
        let mut next = 0;
        let fits = self.rows.iter().all(|row| {
            let in_order = row.queries.start == next;
            next = row.queries.end;
            let within = row.keys.iter().all(|span| span.start < span.end && span.end <= places);
            in_order && within && row.key_count() >= row.queries.len()
        });
        let (q_width, k_width) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        if !fits || next != tokens || width != q_width || kv_width != k_width {
            bail!("attention's rows do not fit {tokens} queries and {places} keys");
        }
        Ok(())
    }

    /// Positions that the query at `position` sees.
    pub(super) fn seen(&self, position: usize) -> Range<usize> {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))..position + 1
    }

    pub(super) fn scale<T: Real>(&self) -> T {
        T::from_f64((self.head_dim as f64).sqrt().recip())
    }

    fn forward<T: Real>(&self, q: &[T], k: &[T], v: &[T]) -> Vec<T> {
        let width = self.heads * self.head_dim;
        let mut out = vec![T::zero(); q.len()];
        let mut rest = out.as_mut_slice();
        let mut tasks = Vec::new();
        for row in self.rows.iter() {
            for first in (0..row.queries.len()).step_by(QUERIES_PER_TASK) {
                let count = QUERIES_PER_TASK.min(row.queries.len() - first);
                let own = rest.split_off_mut(..count * width).unwrap_or_default();
                tasks.push((row, first..first + count, own));
            }
        }
        let work = |(row, queries, out): (&Row, Range<usize>, &mut [T])| {
            vectorised(
                #[inline(always)]
                || self.attend(row, queries, (q, k, v), out),
            );
        };
        if rayon::current_num_threads() == 1 {
            tasks.into_iter().for_each(work);
        } else {
            tasks.into_par_iter().for_each(work);
        }
        out
    }

    /// The queries `queries` of a row, all heads.
    #[inline(always)]
    fn attend<T: Real>(
        &self,
        row: &Row,
        queries: Range<usize>,
        (q, k, v): (&[T], &[T], &[T]),
        out: &mut [T],
    ) {
        let (d, width) = (self.head_dim, self.heads * self.head_dim);
        let before = row.key_count() - row.queries.len();
        let mut weights = vec![T::zero(); before + queries.end];
        for (query, out) in queries.zip(out.chunks_exact_mut(width)) {
            let seen = self.seen(before + query);
            let weights = &mut weights[..seen.len()];
            let q = &q[(row.queries.start + query) * width..][..width];
            for (head, (q, out)) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)).enumerate() {
                self.weigh(row, &seen, head, q, k, weights);
                self.mix(row, &seen, head, weights, v, out);
            }
        }
    }

    /// softmax over the keys that are seen.
    #[inline(always)]
    fn weigh<T: Real>(
        &self,
        row: &Row,
        seen: &Range<usize>,
        head: usize,
        q: &[T],
        k: &[T],
        weights: &mut [T],
    ) {
        let scale = self.scale::<T>();
        let mut weight = weights.iter_mut();
        self.each_place(
            row,
            seen,
            head,
            #[inline(always)]
            |at| {
                if let Some(weight) = weight.next() {
                    *weight = dot(q, &k[at..at + self.head_dim]) * scale;
                }
            },
        );
        let most = largest(weights);
        let sum = map_sum(weights, |score| (score - most).exponential());
        let share = sum.recip();
        for weight in weights {
            *weight *= share;
        }
    }

    /// Σ weight·value.
    #[inline(always)]
    fn mix<T: Real>(
        &self,
        row: &Row,
        seen: &Range<usize>,
        head: usize,
        weights: &[T],
        v: &[T],
        out: &mut [T],
    ) {
        let mut weight = weights.iter();
        self.each_place(
            row,
            seen,
            head,
            #[inline(always)]
            |at| {
                if let Some(weight) = weight.next() {
                    add_scaled(out, *weight, &v[at..at + self.head_dim]);
                }
            },
        );
    }

    /// Calls `visit` with where the numbers of each seen key begin, by position.
    #[inline(always)]
    fn each_place(
        &self,
        row: &Row,
        seen: &Range<usize>,
        head: usize,
        mut visit: impl FnMut(usize),
    ) {
        let width = self.kv_heads * self.head_dim;
        let offset = head * self.kv_heads / self.heads * self.head_dim;
        let mut position = 0;
        for span in &row.keys {
            let first = seen.start.clamp(position, position + span.len()) - position;
            let last = seen.end.clamp(position, position + span.len()) - position;
            for place in span.start + first..span.start + last {
                visit(place * width + offset);
            }
            position += span.len();
        }
    }
}

impl CustomOp3 for Attend {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_each_real!(q.dtype(), T => {
            let (k, v) = (values::<T>(k, k_layout)?, values::<T>(v, v_layout)?);
            let out = self.forward(values::<T>(q, q_layout)?, k, v);
            Ok((stored(out), q_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        for_each_real!(q.dtype(), T => {
            let [dq, dk, dv] = with_values::<T, _>(q, |q| {
                with_values::<T, _>(k, |k| {
                    with_values::<T, _>(v, |v| {
                        with_values::<T, _>(grad, |grad| Ok(self.backward([q, k, v, grad])))
                    })
                })
            })?;
            let like = |values, of: &Tensor| Tensor::from_vec(values, of.shape(), of.device());
            Ok((Some(like(dq, q)?), Some(like(dk, k)?), Some(like(dv, v)?)))
        })
    }
}
