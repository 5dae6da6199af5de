//! Rotary position embedding in the half-split layout of Hugging Face checkpoints (Su et al., 2021).

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::fused::{by_rows, covers, for_each_real, stored, values, with_values};
use super::lanes::{Real, vectorised};
use super::plain;

/// Turns the pairs (xᵢ, xᵢ₊d⸝₂) of every head of `x` `[tokens, heads·d]` by the angles whose `cos`
/// and `sin` are given, `[tokens, d/2]`.
pub(crate) fn rotary(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    if covers(x) && covers(cos) && covers(sin) {
        return x.apply_op3(cos, sin, Rotary { back: false });
    }
    plain::rotary(x, cos, sin)
}

/// The gradient of x: it is turned back.
pub(crate) fn rotary_back(grad: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    if covers(grad) && covers(cos) && covers(sin) {
        return grad.apply_op3_no_bwd(cos, sin, &Rotary { back: true });
    }
    rotary(grad, cos, &sin.neg()?)
}

/// `back` rotates by the opposite angle, which is the gradient.
struct Rotary {
    back: bool,
}

impl Rotary {
    fn turn<T: Real>(&self, x: &[T], cos: &[T], sin: &[T], tokens: usize) -> Vec<T> {
        let (width, half) = (x.len() / tokens.max(1), cos.len() / tokens.max(1));
        let sign = if self.back { -T::one() } else { T::one() };
        let mut y = vec![T::zero(); x.len()];
        by_rows(&mut y, width, |rows, y| {
            vectorised(
                #[inline(always)]
                || {
                    for (token, y) in rows.zip(y.chunks_exact_mut(width)) {
                        let x = &x[token * width..(token + 1) * width];
                        let cos = &cos[token * half..(token + 1) * half];
                        let sin = &sin[token * half..(token + 1) * half];
                        for (x, y) in x.chunks_exact(2 * half).zip(y.chunks_exact_mut(2 * half)) {
                            let ((x0, x1), (y0, y1)) = (x.split_at(half), y.split_at_mut(half));
                            for i in 0..half {
                                let sin = sign * sin[i];
                                y0[i] = x0[i] * cos[i] - x1[i] * sin;
                                y1[i] = x1[i] * cos[i] + x0[i] * sin;
                            }
                        }
                    }
                },
            );
        });
        y
    }
}

impl CustomOp3 for Rotary {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        cos: &CpuStorage,
        cos_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_each_real!(x.dtype(), T => {
            let tokens = x_layout.dims()[0];
            let (cos, sin) = (values::<T>(cos, cos_layout)?, values::<T>(sin, sin_layout)?);
            let y = self.turn(values::<T>(x, x_layout)?, cos, sin, tokens);
            Ok((stored(y), x_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        cos: &Tensor,
        sin: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        for_each_real!(x.dtype(), T => {
            let dx = with_values::<T, _>(grad, |grad| {
                with_values::<T, _>(cos, |cos| {
                    with_values::<T, _>(sin, |sin| {
                        Ok(Self { back: !self.back }.turn(grad, cos, sin, x.dim(0)?))
                    })
                })
            })?;
            Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), None, None))
        })
    }
}
