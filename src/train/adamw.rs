//! AdamW (Loshchilov & Hutter, 2019), number by number as in PyTorch, with a state that can be saved.

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Of the gradient.
    pub mean: Vec<f32>,
    /// Of its square.
    pub square: Vec<f32>,
}

impl Moments {
    /// Those of a tensor of `count` numbers before the first step.
    #[must_use]
    pub fn zero(count: usize) -> Self {
        Self { mean: vec![0.0; count], square: vec![0.0; count] }
    }
}

impl AdamW {
    /// Takes the step number `step`, from 1, of a tensor whose gradient is `grad`·`clip`.
    #[expect(clippy::cast_possible_truncation, reason = "the state is f32, as the weights are")]
    pub fn update(&self, weights: &mut [f32], grad: &[f32], moments: &mut Moments, rate: &Rate) {
        let steps = i32::try_from(rate.step).unwrap_or(i32::MAX);
        let (beta1, beta2) = (self.beta1 as f32, self.beta2 as f32);
        let shrink = (1.0 - rate.learning_rate * self.weight_decay * rate.decay) as f32;
        let size = (rate.learning_rate / (1.0 - self.beta1.powi(steps))) as f32;
        let root = (1.0 - self.beta2.powi(steps)).sqrt() as f32;
        let (eps, clip) = (self.eps as f32, rate.clip as f32);
        let state = moments.mean.iter_mut().zip(&mut moments.square);
        for ((weight, grad), (mean, square)) in weights.iter_mut().zip(grad).zip(state) {
            let grad = grad * clip;
            *mean = beta1 * *mean + (1.0 - beta1) * grad;
            *square = beta2 * *square + (1.0 - beta2) * grad * grad;
            *weight = *weight * shrink - size * *mean / (square.sqrt() / root + eps);
        }
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
    use super::*;

    #[test]
    fn steps_are_those_of_pytorch() {
        // w = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
        // o = torch.optim.AdamW([w], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
        // for g in ([0.1, -0.2, 0.3], [-0.5, 0.0, 0.4]): w.grad = torch.tensor(g); o.step()
        let adamw = AdamW { beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1 };
        let mut weights = [1.0, -2.0, 0.5];
        let mut moments = Moments::zero(3);
        for (step, grad) in [(1, [0.1, -0.2, 0.3]), (2, [-0.5, 0.0, 0.4])] {
            let rate = Rate { step, learning_rate: 0.1, clip: 1.0, decay: 1.0 };
            adamw.update(&mut weights, &grad, &mut moments, &rate);
        }
        let expected: [f32; 3] = [0.940_810_9, -1.794_042, 0.291_380_82];
        for (found, expected) in weights.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{weights:?}");
        }
    }
}
