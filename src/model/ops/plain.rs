//! The decoder's operations made of candle's own, for devices and types that the fused ones do not cover. What a
//! type of 16 bits would lose in a sum over many numbers is done in f32.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops;

use super::rows::Group;

/// The same numbers in a type that sums can be taken in.
pub(crate) fn wide(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::BF16 | DType::F16 => x.to_dtype(DType::F32),
        _ => Ok(x.clone()),
    }
}

/// silu(`gate`)·`up`.
pub(super) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    (ops::silu(&wide(gate)?)? * wide(up)?)?.to_dtype(gate.dtype())
}

/// Turns the halves of every head of `x` `[tokens, heads·d]`.
pub(super) fn rotary(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (tokens, width) = x.dims2()?;
    let half = cos.dim(1)?;
    let halves = wide(x)?.reshape((tokens, width / half / 2, 2, half))?;
    let [first, second] = [halves.narrow(2, 0, 1)?, halves.narrow(2, 1, 1)?];
    let angles = |x: &Tensor| wide(x)?.reshape((tokens, 1, 1, half));
    let (cos, sin) = (angles(cos)?, angles(sin)?);
    let turned = [
        (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?,
        (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?,
    ];
    Tensor::cat(&turned, 2)?.reshape((tokens, width))?.to_dtype(x.dtype())
}

/// log softmax(`logits`) at `targets` `[tokens, 1]`.
pub(super) fn token_logps(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    ops::log_softmax(&wide(logits)?, D::Minus1)?.gather(targets, 1)?.squeeze(1)
}

/// softmax(q·kᵀ/√d)·v for each row of queries `q` `[tokens, heads·d]` over `k` and `v` `[places, kv_heads·d]`.
pub(super) fn attention(
    q: &Tensor,
    (k, v): (&Tensor, &Tensor),
    groups: &[Group],
    (kv_heads, d): (usize, usize),
) -> Result<Tensor> {
    let out: Result<Vec<Tensor>> =
        groups.iter().map(|group| attend(q, (k, v), group, (kv_heads, d))).collect();
    Tensor::cat(&out?, 0)
}

/// Heads that share keys lie beside each other, so that their queries are those of one head.
fn attend(
    q: &Tensor,
    (k, v): (&Tensor, &Tensor),
    group: &Group,
    (kv_heads, d): (usize, usize),
) -> Result<Tensor> {
    let Group { count, queries, keys, .. } = *group;
    let share = q.dim(1)? / d / kv_heads;
    let gather = |all: &Tensor| -> Result<Tensor> {
        let own = all
            .contiguous()?
            .index_select(&group.places, 0)?
            .reshape((count, keys, kv_heads, d))?;
        own.transpose(1, 2)?.contiguous() // [rows, kv_heads, keys, d]
    };
    let q = q.narrow(0, group.first_query, count * queries)?;
    let q = q.reshape((count, queries, kv_heads, share, d))?.permute((0, 2, 3, 1, 4))?;
    let q = q.contiguous()?.reshape((count, kv_heads, share * queries, d))?;
    let scores = wide(&q.matmul(&gather(k)?.transpose(2, 3)?)?)?; // [rows, kv_heads, share·queries, keys]
    let scores = (scores * (d as f64).sqrt().recip())?;
    let scores = scores
        .reshape((count, kv_heads, share, queries, keys))?
        .broadcast_add(&group.unseen.to_dtype(scores.dtype())?)?
        .reshape((count, kv_heads, share * queries, keys))?;
    let shares = ops::softmax(&scores, D::Minus1)?.to_dtype(q.dtype())?;
    let out = shares.matmul(&gather(v)?)?.reshape((count, kv_heads, share, queries, d))?;
    out.permute((0, 3, 1, 2, 4))?.contiguous()?.reshape((count * queries, kv_heads * share * d))
}
