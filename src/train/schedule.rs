//! The learning rate over the steps, as in transformers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate goes after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls to 0 in a line.
    Linear,
    /// It falls to 0 in half a wave.
    Cosine,
}

impl Schedule {
    /// The share of the learning rate, in `[0, 1]`, of the step that comes after `done` of `steps`
    /// steps; it climbs from 0 in a line over the first `warmup`.
    #[must_use]
    pub fn share(self, done: usize, warmup: usize, steps: usize) -> f64 {
        if done < warmup {
            return done as f64 / warmup as f64;
        }
        let progress = (done - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => (1.0 - progress).max(0.0),
            Self::Cosine => (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact")]
    fn rates_climb_then_stay_or_fall() {
        let rates = |schedule: Schedule| [0, 1, 2, 6, 10].map(|done| schedule.share(done, 2, 10));
        assert_eq!(rates(Schedule::Constant), [0.0, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(rates(Schedule::Linear), [0.0, 0.5, 1.0, 0.5, 0.0]);
        let cosine = rates(Schedule::Cosine);
        assert!((cosine[3] - 0.5).abs() < 1e-12 && cosine[4].abs() < 1e-12, "{cosine:?}");
        assert_eq!(Schedule::Linear.share(0, 0, 1), 1.0);
    }
}
