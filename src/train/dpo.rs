//! Direct preference optimisation (Rafailov et al., 2023) and its relatives.
//!
//! With Δ = log π(y) − log πᵣ(y) of a response, πᵣ the reference, summed over its tokens, and h = Δ(chosen) −
//! Δ(rejected):
//!
//! - sigmoid: −(1 − ε)·log σ(β·h) − ε·log σ(−β·h), ε the label smoothing (Mitchell, 2023)
//! - IPO: (h − 1/(2β))², each Δ divided by the length of its response (Azar et al., 2023; the mean
//!   as its authors and TRL have it)
//! - `length_normalised` divides each Δ by the length of its response in the sigmoid loss, too
//! - `nll_weight` adds −log π(chosen), mean over the batch's chosen tokens (Pang et al., 2024)

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::objective::{Objective, Outcome, Totals};

/// A prompt, two responses, and what the reference model makes of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Preference {
    /// Ids that are read: at least one.
    pub prompt: Vec<u32>,
    /// Ids of the response to prefer: at least one.
    pub chosen: Vec<u32>,
    /// Ids of the other: at least one.
    pub rejected: Vec<u32>,
    /// log πᵣ(chosen | prompt), in nats; not a number where only another trainer will know it.
    pub reference_chosen: f64,
    /// The same of rejected.
    pub reference_rejected: f64,
}

/// The loss of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DpoLoss {
    /// −log σ(β·h).
    Sigmoid,
    /// (h − 1/(2β))².
    Ipo,
}

/// The objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dpo {
    /// How far the model is held to its reference, above 0.
    pub beta: f64,
    /// Which loss.
    pub loss: DpoLoss,
    /// Share of pairs that are taken to be the wrong way round, in `[0, 0.5)`.
    pub label_smoothing: f64,
    /// Weight of −log π(chosen), at least 0.
    pub nll_weight: f64,
    /// Whether log-probabilities are means over tokens.
    pub length_normalised: bool,
    /// Whether the reference is the model that training starts from: then both must agree before the
    /// first step.
    pub reference_is_start: bool,
}

impl Default for Dpo {
    /// The paper's (Meta-Rewarding, §3).
    fn default() -> Self {
        Self {
            beta: 0.1,
            loss: DpoLoss::Sigmoid,
            label_smoothing: 0.0,
            nll_weight: 0.0,
            length_normalised: false,
            reference_is_start: true,
        }
    }
}

/// log σ(x).
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// σ(x).
fn sigmoid(x: f64) -> f64 {
    log_sigmoid(x).exp()
}

impl Dpo {
    /// The loss of a margin h, and d loss / dh.
    fn loss(&self, margin: f64) -> (f64, f64) {
        let Self { beta, label_smoothing: flipped, .. } = *self;
        match self.loss {
            DpoLoss::Sigmoid => {
                let x = beta * margin;
                let loss = -(1.0 - flipped) * log_sigmoid(x) - flipped * log_sigmoid(-x);
                (loss, beta * (flipped * sigmoid(x) - (1.0 - flipped) * sigmoid(-x)))
            }
            DpoLoss::Ipo => {
                let off = margin - 1.0 / (2.0 * beta);
                (off * off, 2.0 * off)
            }
        }
    }
}

impl Objective for Dpo {
    type Example = Preference;

    fn parts<'e>(&self, pair: &'e Preference) -> (&'e [u32], Vec<&'e [u32]>) {
        (&pair.prompt, vec![&pair.chosen, &pair.rejected])
    }

    fn outcome(&self, pair: &Preference, logps: &[f64], totals: &Totals) -> Outcome {
        let (chosen, rejected) = (logps[0], logps[1]);
        let ratios = (chosen - pair.reference_chosen, rejected - pair.reference_rejected);
        let by_length = self.length_normalised || self.loss == DpoLoss::Ipo;
        let per = |tokens: &[u32]| if by_length { (tokens.len() as f64).recip() } else { 1.0 };
        let (per_chosen, per_rejected) = (per(&pair.chosen), per(&pair.rejected));
        let (loss, slope) = self.loss(ratios.0 * per_chosen - ratios.1 * per_rejected);
        let share = (totals.examples as f64).recip();
        let nll = self.nll_weight / totals.target_tokens[0] as f64;
        let rewards = (self.beta * ratios.0, self.beta * ratios.1);
        Outcome {
            loss: loss * share - nll * chosen,
            slopes: vec![slope * share * per_chosen - nll, -slope * share * per_rejected],
            metrics: vec![
                ("rewards/chosen", rewards.0 * share),
                ("rewards/rejected", rewards.1 * share),
                ("rewards/margins", (rewards.0 - rewards.1) * share),
                ("rewards/accuracies", if rewards.0 > rewards.1 { share } else { 0.0 }),
                ("logps/chosen", chosen * share),
                ("logps/rejected", rejected * share),
            ],
        }
    }

    fn expected(&self, pair: &Preference) -> Option<Vec<f64>> {
        self.reference_is_start.then(|| vec![pair.reference_chosen, pair.reference_rejected])
    }

    fn fingerprint(&self, to: &mut blake3::Hasher) {
        to.update(format!("{self:?}").as_bytes());
    }

    fn fingerprint_of(&self, pair: &Preference, to: &mut blake3::Hasher) {
        to.update(&pair.reference_chosen.to_le_bytes());
        to.update(&pair.reference_rejected.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: (usize, usize) = (3, 5);

    fn pair() -> Preference {
        Preference {
            prompt: vec![1],
            chosen: vec![2; PAIR.0],
            rejected: vec![3; PAIR.1],
            reference_chosen: -4.0,
            reference_rejected: -9.0,
        }
    }

    fn variants() -> Vec<Dpo> {
        let plain = Dpo::default();
        vec![
            plain,
            Dpo { loss: DpoLoss::Ipo, ..plain },
            Dpo { label_smoothing: 0.1, ..plain },
            Dpo { nll_weight: 0.7, ..plain },
            Dpo { length_normalised: true, beta: 2.0, ..plain },
        ]
    }

    #[test]
    fn slopes_are_those_of_the_loss() {
        let totals = Totals { examples: 4, target_tokens: vec![20, 30] };
        for dpo in variants() {
            for logps in [[-4.0, -9.0], [-3.0, -11.0], [-300.0, -1.0]] {
                let outcome = dpo.outcome(&pair(), &logps, &totals);
                for side in 0..2 {
                    let loss_at = |step: f64| {
                        let mut moved = logps;
                        moved[side] += step;
                        dpo.outcome(&pair(), &moved, &totals).loss
                    };
                    let slope = (loss_at(1e-4) - loss_at(-1e-4)) / 2e-4;
                    let found = outcome.slopes[side];
                    assert!((slope - found).abs() < 1e-6, "{dpo:?}: {found} for {slope}");
                }
            }
        }
    }

    #[test]
    fn a_model_that_is_its_own_reference_has_the_loss_of_a_coin() {
        let totals = Totals { examples: 1, target_tokens: vec![PAIR.0, PAIR.1] };
        let outcome = Dpo::default().outcome(&pair(), &[-4.0, -9.0], &totals);
        assert!((outcome.loss - 2f64.ln()).abs() < 1e-12);
        assert_eq!(outcome.metrics[2], ("rewards/margins", 0.0));
    }
}
