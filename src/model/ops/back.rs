//! The way back: sums of gradients that grow in place, and the gradients of candle's plain operations where
//! there is no fused one.

use candle_core::{Error, Result, Tensor, Var, WithDType, bail};
use gemm::Parallelism;
use rayon::prelude::*;

use super::fused::{covers, for_each_real, with_values, with_values_mut};
use super::lanes::{Real, vectorised};
use super::linear::{Matrix, Onto, Weight, multiply_onto};

/// What candle finds on its way back through `run` with the gradient of its result.
pub(super) fn plain_back<const N: usize>(
    inputs: [&Tensor; N],
    grad: &Tensor,
    run: impl Fn([&Tensor; N]) -> Result<Tensor>,
) -> Result<[Tensor; N]> {
    let vars = inputs.map(|input| Var::from_tensor(&input.detach()));
    let vars = vars.into_iter().collect::<Result<Vec<Var>>>()?;
    let found = {
        let mut each = vars.iter().map(Var::as_tensor);
        let result = run(inputs.map(|input| each.next().unwrap_or(input)))?;
        let gradients = (result * grad)?.sum_all()?.backward()?;
        vars.iter()
            .map(|var| match gradients.get(var.as_tensor()) {
                Some(gradient) => Ok(gradient.clone()),
                None => var.zeros_like(),
            })
            .collect::<Result<Vec<Tensor>>>()?
    };
    found.try_into().map_err(|_| Error::msg("a gradient for every input").bt())
}

/// Two gradients that an operation always has.
pub(super) fn both(one: Option<Tensor>, two: Option<Tensor>) -> Result<[Tensor; 2]> {
    match (one, two) {
        (Some(one), Some(two)) => Ok([one, two]),
        _ => Err(Error::msg("an operation has a gradient for both of its inputs").bt()),
    }
}

/// Numbers that one thread adds at a time.
const BLOCK: usize = 1 << 14;

/// sum += more.
pub(crate) fn add(sum: &Tensor, more: &Tensor) -> Result<()> {
    add_scaled(sum, more, 1.0)
}

/// sum += more·scale.
pub(crate) fn add_scaled(sum: &Tensor, more: &Tensor, scale: f64) -> Result<()> {
    if !covers(sum) || !covers(more) {
        return sum.slice_set(&(sum + (more * scale)?)?.contiguous()?, 0, 0);
    }
    for_each_real!(sum.dtype(), T => {
        let scale = T::from_f64(scale);
        with_values::<T, _>(more, |more| with_values_mut::<T, _>(sum, |sum| {
            each_block(sum, more, |sum, more| {
                for (sum, more) in sum.iter_mut().zip(more) {
                    *sum = more.mul_add(scale, *sum);
                }
            });
            Ok(())
        }))
    })
}

fn each_block<T: Real>(sum: &mut [T], more: &[T], work: impl Fn(&mut [T], &[T]) + Send + Sync) {
    if rayon::current_num_threads() == 1 || sum.len() <= BLOCK {
        return vectorised(
            #[inline(always)]
            || work(sum, more),
        );
    }
    sum.par_chunks_mut(BLOCK).zip(more.par_chunks(BLOCK)).for_each(|(sum, more)| {
        vectorised(
            #[inline(always)]
            || work(sum, more),
        );
    });
}

/// All numbers become 0.
pub(crate) fn clear(sum: &Tensor) -> Result<()> {
    if !covers(sum) {
        return sum.slice_set(&sum.zeros_like()?, 0, 0);
    }
    for_each_real!(sum.dtype(), T => {
        with_values_mut::<T, _>(sum, |sum| {
            sum.par_chunks_mut(BLOCK).for_each(|sum| sum.fill(<T as num_traits::Zero>::zero()));
            Ok(())
        })
    })
}

/// Adds to the gradient of `weight` what `x` `[rows, inputs]` and the gradient `[rows, outputs]` of x·W
/// make it: xᵀ·grad, or its transpose, as the weight lies.
pub(crate) fn add_product(sum: &Tensor, weight: &Weight, x: &Tensor, grad: &Tensor) -> Result<()> {
    let (left, right) = match weight {
        Weight::InOut(_) => (x, grad),
        Weight::OutIn(_) => (grad, x),
        Weight::Packed(_) => bail!("a weight that is packed for drawing has no gradient"),
    };
    if ![sum, x, grad].into_iter().all(covers) {
        return sum.slice_set(&(sum + left.t()?.matmul(right)?)?, 0, 0);
    }
    let (rows, (m, n)) = (left.dim(0)?, (left.dim(1)?, right.dim(1)?));
    let threads = match rayon::current_num_threads() {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    for_each_real!(sum.dtype(), T => {
        with_values::<T, _>(left, |left| with_values::<T, _>(right, |right| {
            with_values_mut::<T, _>(sum, |sum| {
                let left = Matrix::of(left, rows, m).transposed();
                multiply_onto(sum, Onto::Sum, left, Matrix::of(right, rows, n), threads);
                Ok(())
            })
        }))
    })
}

/// sum[id] += row, for every row `[rows, width]` and its id.
pub(crate) fn add_rows(sum: &Tensor, ids: &[u32], rows: &Tensor) -> Result<()> {
    if !covers(sum) || !covers(rows) {
        let ids = Tensor::from_slice(ids, ids.len(), sum.device())?;
        return sum.slice_set(&sum.index_add(&ids, rows, 0)?, 0, 0);
    }
    let width = sum.dim(1)?;
    for_each_real!(sum.dtype(), T => {
        with_values::<T, _>(rows, |rows| with_values_mut::<T, _>(sum, |sum| {
            for (id, row) in ids.iter().zip(rows.chunks_exact(width)) {
                let own = *id as usize * width;
                for (sum, more) in sum[own..own + width].iter_mut().zip(row) {
                    *sum += *more;
                }
            }
            Ok(())
        }))
    })
}

/// sum += every row of `grad` `[rows, width]`.
pub(crate) fn add_bias(sum: &Tensor, grad: &Tensor) -> Result<()> {
    add(sum, &grad.sum(0)?)
}
