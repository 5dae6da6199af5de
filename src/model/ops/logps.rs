//! Log-probabilities of given tokens: log softmax over the vocabulary, read at one place a row.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor, bail};

use super::back::plain_back;
use super::fused::{by_rows, covers, for_each_real, stored, values, with_values};
use super::lanes::{Real, largest, map_sum, vectorised};
use super::plain;

/// log softmax(`logits` `[tokens, vocabulary]`) at `targets`, one a row: `[tokens]`, in nats.
pub(crate) fn token_logps(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let (rows, vocabulary) = logits.dims2()?;
    if rows != targets.len() || targets.iter().any(|&target| target as usize >= vocabulary) {
        bail!("{} targets within {vocabulary} do not fit {rows} rows of logits", targets.len());
    }
    if covers(logits) {
        return logits.apply_op1(TokenLogps { targets: targets.into() });
    }
    let targets = Tensor::from_slice(targets, (rows, 1), logits.device())?;
    plain::token_logps(logits, &targets)
}

/// The gradient of the logits.
pub(crate) fn token_logps_back(logits: &Tensor, targets: &[u32], grad: &Tensor) -> Result<Tensor> {
    if covers(logits) && covers(grad) {
        let d = TokenLogps { targets: targets.into() }.bwd(logits, grad, grad)?;
        return d.ok_or_else(|| Error::msg("log-probabilities have a gradient").bt());
    }
    let [d] = plain_back([logits], grad, |[logits]| token_logps(logits, targets))?;
    Ok(d)
}

struct TokenLogps {
    targets: Arc<[u32]>,
}

/// log Σ e^xᵢ, with room of the row's length to work in.
#[inline(always)]
fn log_sum_exp<T: Real>(x: &[T], room: &mut [T]) -> T {
    let most = largest(x);
    room.copy_from_slice(x);
    most + map_sum(room, |x| (x - most).exponential()).ln()
}

impl TokenLogps {
    fn forward<T: Real>(&self, logits: &[T], vocabulary: usize) -> Vec<T> {
        let mut logps = vec![T::zero(); self.targets.len()];
        by_rows(&mut logps, 1, |rows, logps| {
            let mut room = vec![T::zero(); vocabulary];
            vectorised(
                #[inline(always)]
                || {
                    for (row, logp) in rows.zip(logps) {
                        let logits = &logits[row * vocabulary..(row + 1) * vocabulary];
                        *logp = logits[self.targets[row] as usize] - log_sum_exp(logits, &mut room);
                    }
                },
            );
        });
        logps
    }

    /// grad·(1[target] − softmax).
    fn backward<T: Real>(&self, logits: &[T], grad: &[T], vocabulary: usize) -> Vec<T> {
        let mut d = vec![T::zero(); logits.len()];
        by_rows(&mut d, vocabulary, |rows, d| {
            vectorised(
                #[inline(always)]
                || {
                    for (row, d) in rows.zip(d.chunks_exact_mut(vocabulary)) {
                        let most = largest(&logits[row * vocabulary..(row + 1) * vocabulary]);
                        d.copy_from_slice(&logits[row * vocabulary..(row + 1) * vocabulary]);
                        let sum = map_sum(d, |x| (x - most).exponential());
                        let scale = -grad[row] / sum;
                        for d in d.iter_mut() {
                            *d *= scale;
                        }
                        let target = self.targets[row] as usize;
                        d[target] += grad[row];
                    }
                },
            );
        });
        d
    }
}

impl CustomOp1 for TokenLogps {
    fn name(&self) -> &'static str {
        "token-logps"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_each_real!(logits.dtype(), T => {
            let logps = self.forward::<T>(values(logits, layout)?, layout.dims()[1]);
            Ok((stored(logps), Shape::from(self.targets.len())))
        })
    }

    fn bwd(&self, logits: &Tensor, _logps: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        for_each_real!(logits.dtype(), T => {
            let d = with_values::<T, _>(logits, |logits_| {
                with_values::<T, _>(grad, |grad| Ok(self.backward(logits_, grad, logits.dim(1)?)))
            })?;
            Ok(Some(Tensor::from_vec(d, logits.shape(), logits.device())?))
        })
    }
}
