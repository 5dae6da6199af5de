//! AdamW (Loshchilov & Hutter, 2019), number by number as in PyTorch, with a state that can be saved.

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::model::{vectorised, with_values_mut};

/// How a step follows from a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Share of the mean gradient that is kept, in `[0, 1)`.
    pub beta1: f64,
    /// Share of the mean squared gradient that is kept, in `[0, 1)`.
    pub beta2: f64,
    /// Added to the root of the mean squared gradient, above 0.
    pub eps: f64,
    /// Share of the learning rate by which weights shrink at each step, at least 0.
    pub weight_decay: f64,
}

impl Default for AdamW {
    /// PyTorch's, without weight decay.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// The running means of one tensor.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Of the gradient.
    pub mean: Tensor,
    /// Of its square.
    pub square: Tensor,
}

impl Moments {
    /// Those of a tensor before the first step.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn zero(weight: &Tensor) -> Result<Self, Error> {
        Ok(Self { mean: weight.zeros_like()?, square: weight.zeros_like()? })
    }
}

/// Numbers that one thread takes at a time.
const BLOCK: usize = 1 << 15;

/// Σ g² of a gradient, block by block.
pub(super) fn square(gradient: &Tensor) -> Result<f64, Error> {
    if !gradient.device().is_cpu() || gradient.dtype() != DType::F32 {
        return Ok(gradient.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar()?);
    }
    let of_block = |block: &[f32]| {
        vectorised(
            #[inline(always)]
            || {
                let mut sums = [0.0_f64; 8];
                let (lanes, rest) = block.as_chunks::<8>();
                for lane in lanes {
                    for (sum, g) in sums.iter_mut().zip(lane) {
                        *sum += f64::from(*g) * f64::from(*g);
                    }
                }
                for (sum, g) in sums.iter_mut().zip(rest) {
                    *sum += f64::from(*g) * f64::from(*g);
                }
                sums.iter().sum::<f64>()
            },
        )
    };
    let squares = with_values_mut::<f32, _>(gradient, |gradient| {
        Ok(gradient.par_chunks(BLOCK).map(of_block).collect::<Vec<f64>>())
    })?;
    Ok(squares.iter().sum())
}

/// What a step is made of, as numbers of 32 bits.
#[derive(Clone, Copy)]
struct Step {
    beta1: f32,
    beta2: f32,
    shrink: f32,
    size: f32,
    root: f32,
    eps: f32,
    clip: f32,
}

impl AdamW {
    /// Takes a step of a tensor, in place.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn update(
        &self,
        weights: &Tensor,
        gradient: &Tensor,
        Moments { mean, square }: &Moments,
        rate: &Rate,
    ) -> Result<(), Error> {
        let step = self.step(rate);
        if !weights.device().is_cpu() || weights.dtype() != DType::F32 {
            return step.plainly(weights, gradient, [mean, square]);
        }
        Ok(with_values_mut::<f32, _>(weights, |weights| {
            with_values_mut::<f32, _>(gradient, |gradient| {
                with_values_mut::<f32, _>(mean, |mean| {
                    with_values_mut::<f32, _>(square, |square| {
                        let each = weights.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK));
                        let means = mean.par_chunks_mut(BLOCK);
                        each.zip(means.zip(square.par_chunks_mut(BLOCK))).for_each(
                            |((weights, gradient), (mean, square))| {
                                step.take(weights, gradient, mean, square);
                            },
                        );
                        Ok(())
                    })
                })
            })
        })?)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the state is f32, as the weights are")]
    fn step(&self, rate: &Rate) -> Step {
        let steps = i32::try_from(rate.step).unwrap_or(i32::MAX);
        Step {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            shrink: (1.0 - rate.learning_rate * self.weight_decay * rate.decay) as f32,
            size: (rate.learning_rate / (1.0 - self.beta1.powi(steps))) as f32,
            root: (1.0 - self.beta2.powi(steps)).sqrt() as f32,
            eps: self.eps as f32,
            clip: rate.clip as f32,
        }
    }
}

impl Step {
    fn take(self, weights: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32]) {
        let Self { beta1, beta2, shrink, size, root, eps, clip } = self;
        vectorised(
            #[inline(always)]
            || {
                let state = mean.iter_mut().zip(square);
                for ((weight, grad), (mean, square)) in weights.iter_mut().zip(gradient).zip(state)
                {
                    let grad = grad * clip;
                    *mean = beta1 * *mean + (1.0 - beta1) * grad;
                    *square = beta2 * *square + (1.0 - beta2) * grad * grad;
                    *weight = *weight * shrink - size * *mean / (square.sqrt() / root + eps);
                }
            },
        );
    }

    /// The same in candle's operations, on any device.
    fn plainly(
        self,
        weights: &Tensor,
        gradient: &Tensor,
        [mean, square]: [&Tensor; 2],
    ) -> Result<(), Error> {
        let [beta1, beta2, shrink, size, root, eps, clip] =
            [self.beta1, self.beta2, self.shrink, self.size, self.root, self.eps, self.clip]
                .map(f64::from);
        let grad = (gradient * clip)?;
        let new_mean = ((mean * beta1)? + (&grad * (1.0 - beta1))?)?;
        let new_square = ((square * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?;
        let moved = (&new_mean * size)?.div(&((new_square.sqrt()? / root)? + eps)?)?;
        weights.slice_set(&((weights * shrink)? - moved)?, 0, 0)?;
        mean.slice_set(&new_mean, 0, 0)?;
        Ok(square.slice_set(&new_square, 0, 0)?)
    }
}

/// What one step does to every tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The step, from 1.
    pub step: usize,
    /// The learning rate.
    pub learning_rate: f64,
    /// Multiplies the gradient, in `(0, 1]`.
    pub clip: f64,
    /// 1 where the tensor's weights decay, else 0.
    pub decay: f64,
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn steps_are_those_of_pytorch() {
        // w = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
        // o = torch.optim.AdamW([w], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
        // for g in ([0.1, -0.2, 0.3], [-0.5, 0.0, 0.4]): w.grad = torch.tensor(g); o.step()
        let adamw = AdamW { beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1 };
        let expected = [0.940_810_9, -1.794_042, 0.291_380_82];
        for dtype in [DType::F32, DType::F64] {
            let tensor = |numbers: [f64; 3]| {
                Tensor::new(&numbers, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
            };
            let weights = tensor([1.0, -2.0, 0.5]);
            let moments = Moments::zero(&weights).unwrap();
            for (step, gradient) in [(1, [0.1, -0.2, 0.3]), (2, [-0.5, 0.0, 0.4])] {
                let rate = Rate { step, learning_rate: 0.1, clip: 1.0, decay: 1.0 };
                adamw.update(&weights, &tensor(gradient), &moments, &rate).unwrap();
            }
            let found = weights.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
            let close = |(a, b): (&f64, f64)| (a - b).abs() < 2e-6;
            assert!(found.iter().zip(expected).all(close), "{dtype:?}: {found:?}");
        }
    }
}
