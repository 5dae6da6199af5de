//! y = x / √(mean(x²) + ε) · w (Zhang & Sennrich, 2019).

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::back::{add, both, plain_back};
use super::fused::{by_rows, covers, for_each_real, stored, values, with_values};
use super::lanes::{Real, dot, vectorised};

/// Scales every row of `x` `[.., width]` to a root mean square of 1, then by `weight` `[width]`.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if covers(x) && covers(weight) {
        x.apply_op2(weight, RmsNorm { eps })
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "candle takes an f32")]
        candle_nn::ops::rms_norm_slow(x, weight, eps as f32)
    }
}

/// The gradient of x; that of the weight is added to `onto`, where it is wanted.
pub(crate) fn rms_norm_back(
    x: &Tensor,
    weight: &Tensor,
    eps: f64,
    grad: &Tensor,
    onto: Option<&Tensor>,
) -> Result<Tensor> {
    let [dx, dw] = if [x, weight, grad].into_iter().all(covers) {
        let (dx, dw) = RmsNorm { eps }.bwd(x, weight, x, grad)?;
        both(dx, dw)?
    } else {
        plain_back([x, weight], grad, |[x, weight]| rms_norm(x, weight, eps))?
    };
    if let Some(onto) = onto {
        add(onto, &dw)?;
    }
    Ok(dx)
}

struct RmsNorm {
    eps: f64,
}

impl RmsNorm {
    /// 1 / √(mean(x²) + ε).
    #[inline(always)]
    fn scale<T: Real>(&self, x: &[T]) -> T {
        let mean = dot(x, x) / T::from_f64(x.len() as f64);
        (mean + T::from_f64(self.eps)).sqrt().recip()
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T]) -> Vec<T> {
        let width = weight.len();
        let mut y = vec![T::zero(); x.len()];
        by_rows(&mut y, width, |rows, y| {
            let x = &x[rows.start * width..rows.end * width];
            vectorised(
                #[inline(always)]
                || {
                    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
                        let scale = self.scale(x);
                        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                            *y = *x * scale * *w;
                        }
                    }
                },
            );
        });
        y
    }

    /// With r the scale: dx = r·(g·w) − x·r³·mean(g·w·x), dw = Σ rows g·x·r.
    fn backward<T: Real>(&self, x: &[T], weight: &[T], grad: &[T]) -> (Vec<T>, Vec<T>) {
        let width = weight.len();
        let mut dx = vec![T::zero(); x.len()];
        by_rows(&mut dx, width, |rows, dx| {
            let rows = rows.start * width..rows.end * width;
            let (x, grad) = (&x[rows.clone()], &grad[rows]);
            vectorised(
                #[inline(always)]
                || {
                    let each = x.chunks_exact(width).zip(grad.chunks_exact(width));
                    for ((x, g), dx) in each.zip(dx.chunks_exact_mut(width)) {
                        for ((dx, g), w) in dx.iter_mut().zip(g).zip(weight) {
                            *dx = *g * *w;
                        }
                        let r = self.scale(x);
                        let pull = dot(dx, x) * r * r * r / T::from_f64(width as f64);
                        for (dx, x) in dx.iter_mut().zip(x) {
                            *dx = r * *dx - pull * *x;
                        }
                    }
                },
            );
        });
        let mut dw = vec![T::zero(); width];
        vectorised(
            #[inline(always)]
            || {
                for (x, g) in x.chunks_exact(width).zip(grad.chunks_exact(width)) {
                    let r = self.scale(x);
                    for ((dw, x), g) in dw.iter_mut().zip(x).zip(g) {
                        *dw = (*g * r).mul_add(*x, *dw);
                    }
                }
            },
        );
        (dx, dw)
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_each_real!(x.dtype(), T => {
            let y = self.forward::<T>(values(x, x_layout)?, values(weight, weight_layout)?);
            Ok((stored(y), x_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        for_each_real!(x.dtype(), T => {
            let (dx, dw) = with_values::<T, _>(x, |x| {
                with_values::<T, _>(weight, |weight| {
                    with_values::<T, _>(grad, |grad| Ok(self.backward(x, weight, grad)))
                })
            })?;
            let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
            let dw = Tensor::from_vec(dw, weight.shape(), x.device())?;
            Ok((Some(dx), Some(dw)))
        })
    }
}
