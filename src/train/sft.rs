//! Supervised fine-tuning: the mean over a batch's target tokens of −log π(token).

use super::objective::{Objective, Outcome, Totals};

/// A prompt, and the answer to learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Ids that are read: at least one.
    pub prompt: Vec<u32>,
    /// Ids that are learned: at least one.
    pub target: Vec<u32>,
}

/// The objective.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sft;

impl Objective for Sft {
    type Example = Example;

    fn parts<'e>(&self, example: &'e Example) -> (&'e [u32], Vec<&'e [u32]>) {
        (&example.prompt, vec![&example.target])
    }

    fn outcome(&self, _: &Example, logps: &[f64], totals: &Totals) -> Outcome {
        let share = 1.0 / totals.target_tokens[0] as f64;
        Outcome { loss: -logps[0] * share, slopes: vec![-share], metrics: Vec::new() }
    }

    fn fingerprint(&self, to: &mut blake3::Hasher) {
        to.update(b"sft");
    }

    fn fingerprint_of(&self, _: &Example, _: &mut blake3::Hasher) {}
}
