//! How a model is trained: the settings of a run, and the ranges that they keep to.

use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::error::Error;
use super::schedule::Schedule;

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The highest learning rate, at least 0.
    pub learning_rate: f64,
    /// How it goes.
    pub schedule: Schedule,
    /// Steps over which it climbs to its highest.
    pub warmup_steps: usize,
    /// How a step follows from a gradient.
    pub adamw: AdamW,
    /// Longest gradient; a longer one is shortened to it. `None` is any.
    pub max_grad_norm: Option<f64>,
    /// Examples a step. A batch is run in chunks of some hundred tokens whose gradients are added
    /// up, so memory does not limit it.
    pub batch: usize,
    /// Times that every example is taken.
    pub epochs: usize,
    /// Epochs over which the schedule runs: the paper takes an early epoch of a long one. `None` runs
    /// it over the steps that are taken, as TRL does.
    pub schedule_epochs: Option<usize>,
    /// Steps at most; `None` is those of all epochs.
    pub max_steps: Option<usize>,
    /// Decides the order of the examples.
    pub seed: u64,
    /// Whether examples are taken in a random order.
    pub shuffle: bool,
    /// Whether examples of about the same length make a batch. Nothing is padded, so this saves no
    /// work; batches of one length may be batches of one kind.
    pub group_by_length: bool,
}

impl Default for Settings {
    /// The paper's rate and batch (Meta-Rewarding, §3), one epoch, cosine.
    fn default() -> Self {
        Self {
            learning_rate: 5e-6,
            schedule: Schedule::Cosine,
            warmup_steps: 0,
            adamw: AdamW::default(),
            max_grad_norm: Some(1.0),
            batch: 32,
            epochs: 1,
            schedule_epochs: None,
            max_steps: None,
            seed: 0,
            shuffle: true,
            group_by_length: false,
        }
    }
}

impl Settings {
    /// Steps of an epoch of `examples` examples.
    #[must_use]
    pub const fn steps_per_epoch(&self, examples: usize) -> usize {
        examples.div_ceil(self.batch)
    }

    /// Steps in all.
    #[must_use]
    pub fn steps(&self, examples: usize) -> usize {
        let all = self.steps_per_epoch(examples) * self.epochs;
        self.max_steps.map_or(all, |most| most.min(all))
    }

    /// Steps over which the schedule runs.
    #[must_use]
    pub fn scheduled_steps(&self, examples: usize) -> usize {
        match self.schedule_epochs {
            Some(epochs) => self.steps_per_epoch(examples) * epochs,
            None => self.steps(examples),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let AdamW { beta1, beta2, eps, weight_decay } = self.adamw;
        let share = |value: f64| (0.0..1.0).contains(&value);
        let counts = (self.batch as f64, self.epochs as f64);
        let rules = [
            ("learning_rate", self.learning_rate, "at least 0", self.learning_rate >= 0.0),
            ("beta1", beta1, "in [0, 1)", share(beta1)),
            ("beta2", beta2, "in [0, 1)", share(beta2)),
            ("eps", eps, "above 0", eps > 0.0),
            ("weight_decay", weight_decay, "at least 0", weight_decay >= 0.0),
            ("batch", counts.0, "at least 1", self.batch >= 1),
            ("epochs", counts.1, "at least 1", self.epochs >= 1),
        ];
        let norm = self.max_grad_norm.map(|n| ("max_grad_norm", n, "above 0", n > 0.0));
        match rules.into_iter().chain(norm).find(|(.., holds)| !holds) {
            Some((name, found, expected, _)) => Err(Error::Setting { name, expected, found }),
            None => Ok(()),
        }
    }
}
