//! What a draw needs of a row of logits: how likely each token is beside the likeliest, and what all come to.

use candle_core::{Result, Tensor};

use super::lanes::{Real, largest, map_sum, vectorised};

/// Numbers that are summed in f32; sums of these are added up in f64.
pub(crate) const STRETCH: usize = 256;

/// What stretches of weights come to.
#[derive(Debug, Default)]
pub(crate) struct Stretches {
    /// Tokens in all.
    pub(crate) tokens: usize,
    /// The sum of each stretch of weights.
    pub(crate) sums: Vec<f64>,
    /// The largest weight of each stretch.
    pub(crate) most: Vec<f32>,
}

impl Stretches {
    /// The sum of all weights.
    pub(crate) fn total(&self) -> f64 {
        self.sums.iter().sum()
    }
}

/// How likely each token of a row is.
#[derive(Debug, Default)]
pub(crate) struct Weighed {
    /// e^((logit − the largest)·scale).
    pub(crate) weights: Vec<f32>,
    pub(crate) stretches: Stretches,
}

impl Weighed {
    /// Weighs a row of logits, in the room of the row before.
    pub(crate) fn weigh(&mut self, logits: &[f32], scale: f32) {
        let Self { weights, stretches: Stretches { tokens, sums, most } } = self;
        *tokens = logits.len();
        weights.clear();
        weights.extend_from_slice(logits);
        sums.clear();
        most.clear();
        vectorised(
            #[inline(always)]
            || {
                let top = largest(logits);
                for stretch in weights.chunks_mut(STRETCH) {
                    let sum = map_sum(stretch, |logit| ((logit - top) * scale).exponential());
                    sums.push(f64::from(sum));
                    most.push(largest(stretch));
                }
            },
        );
    }
}

/// Rows of logits that stay on their device: what comes over is what their stretches come to, and the few
/// stretches that tokens are drawn from.
pub(crate) struct OnDevice {
    /// Each logit less its row's largest, `[rows, stretches, STRETCH]`, −∞ past the vocabulary.
    rows: Tensor,
    tokens: usize,
    log_sums: Vec<f32>,
}

impl OnDevice {
    /// Rows of logits `[rows, vocabulary]` in f32.
    pub(crate) fn of(logits: &Tensor) -> Result<Self> {
        let (count, tokens) = logits.dims2()?;
        let rows = logits.broadcast_sub(&logits.max_keepdim(1)?)?;
        let missing = tokens.next_multiple_of(STRETCH) - tokens;
        let rows = if missing > 0 {
            let none = Tensor::full(f32::NEG_INFINITY, (count, missing), logits.device())?;
            Tensor::cat(&[&rows, &none], 1)?
        } else {
            rows
        };
        let rows = rows.reshape((count, (tokens + missing) / STRETCH, STRETCH))?;
        let log_sums = rows.exp()?.sum((1, 2))?.log()?.to_vec1::<f32>()?;
        Ok(Self { rows, tokens, log_sums })
    }

    /// log Σ e^(logit − the largest) of each row.
    pub(crate) fn log_sums(&self) -> &[f32] {
        &self.log_sums
    }

    /// What the stretches of each row come to.
    pub(crate) fn weigh(&self, scale: f32) -> Result<Vec<Stretches>> {
        let weights = (&self.rows * f64::from(scale))?.exp()?;
        let sums = weights.sum(2)?.to_vec2::<f32>()?;
        let most = weights.max(2)?.to_vec2::<f32>()?;
        let row = |(sums, most): (Vec<f32>, Vec<f32>)| Stretches {
            tokens: self.tokens,
            sums: sums.into_iter().map(f64::from).collect(),
            most,
        };
        Ok(sums.into_iter().zip(most).map(row).collect())
    }

    /// The numbers of some stretches, by row and place: each logit less its row's largest.
    pub(crate) fn fetch(&self, wanted: &[(usize, usize)]) -> Result<Vec<Vec<f32>>> {
        let (count, stretches, _) = self.rows.dims3()?;
        let place =
            |(row, nth): &(usize, usize)| u32::try_from(row * stretches + nth).unwrap_or(u32::MAX);
        let places: Vec<u32> = wanted.iter().map(place).collect();
        let places = Tensor::from_slice(&places, places.len(), self.rows.device())?;
        self.rows.reshape((count * stretches, STRETCH))?.index_select(&places, 0)?.to_vec2::<f32>()
    }
}

/// The largest of a row of logits, and Σ e^(logit − the largest).
pub(crate) fn exp_sum(logits: &[f32]) -> (f32, f64) {
    vectorised(
        #[inline(always)]
        || {
            let top = largest(logits);
            let mut room = [0.0; STRETCH];
            let mut sum = 0.0;
            for stretch in logits.chunks(STRETCH) {
                let room = &mut room[..stretch.len()];
                room.copy_from_slice(stretch);
                sum += f64::from(map_sum(room, |logit| (logit - top).exponential()));
            }
            (top, sum)
        },
    )
}
