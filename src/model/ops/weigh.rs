//! What a draw needs of a row of logits: how likely each token is beside the likeliest, and what all come to.

use super::lanes::{Real, largest, map_sum, vectorised};

/// Numbers that are summed in f32; sums of these are added up in f64.
pub(crate) const STRETCH: usize = 256;

/// How likely each token of a row is.
#[derive(Debug, Default)]
pub(crate) struct Weighed {
    /// e^((logit − the largest)·scale).
    pub(crate) weights: Vec<f32>,
    /// The sum of each stretch of weights.
    pub(crate) sums: Vec<f64>,
    /// The largest weight of each stretch.
    pub(crate) most: Vec<f32>,
}

impl Weighed {
    /// Weighs a row of logits, in the room of the row before.
    pub(crate) fn weigh(&mut self, logits: &[f32], scale: f32) {
        let Self { weights, sums, most } = self;
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

    /// The sum of all weights.
    pub(crate) fn total(&self) -> f64 {
        self.sums.iter().sum()
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
