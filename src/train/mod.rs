//! Training: pairs (or examples) and a model in, a model out. No table in sight.
//!
//! - [`Sft`] and [`Dpo`] are [`Objective`]s: from the log-probabilities of an example's targets to a
//!   loss and its slopes
//! - [`Trainer`] takes the steps: batches in a seeded order, gradients in chunks of tokens, clipping,
//!   [AdamW](adamw), a [`Schedule`]; its state can be saved after any step and taken up again

#![expect(
    clippy::cast_precision_loss,
    reason = "steps, examples and tokens stay far below what f64 holds exactly"
)]

pub mod adamw;
mod batches;
mod dpo;
mod schedule;
mod sft;
mod state;
mod trainer;

pub use dpo::{Dpo, DpoLoss, Pair};
pub use schedule::Schedule;
pub use sft::{Example, Sft};
pub use trainer::{Metrics, Settings, Trainer};

use std::path::PathBuf;

use crate::model;

/// What an example comes to in a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its share of the batch's loss.
    pub loss: f64,
    /// d loss / d log-probability of each of its targets.
    pub slopes: Vec<f64>,
    /// Its share of the batch's other metrics, by their names.
    pub metrics: Vec<(&'static str, f64)>,
}

/// What a whole batch holds, to take means over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Examples.
    pub examples: usize,
    /// Tokens of the first targets, of the second …
    pub target_tokens: Vec<usize>,
}

/// What is learned: how an example's log-probabilities make a loss.
pub trait Objective: Sync {
    /// What it learns from.
    type Example: Sync;

    /// The prompt of an example, and the targets that may follow it.
    fn parts<'e>(&self, example: &'e Self::Example) -> (&'e [u32], Vec<&'e [u32]>);

    /// Judges the summed log-probabilities of an example's targets, in nats.
    fn outcome(&self, example: &Self::Example, logps: &[f64], totals: &Totals) -> Outcome;

    /// What the targets' log-probabilities must be before the first step, where that is known.
    fn expected(&self, _example: &Self::Example) -> Option<Vec<f64>> {
        None
    }

    /// Feeds all that decides the result into `to`.
    fn fingerprint(&self, example: &Self::Example, to: &mut blake3::Hasher);
}

impl Error {
    /// The place in the list of the example that is at fault, where it is one.
    #[must_use]
    pub const fn example(&self) -> Option<usize> {
        match self {
            Self::Empty { example, .. }
            | Self::TooLong { example, .. }
            | Self::NoSuchToken { example, .. }
            | Self::ReferenceDiffers { example, .. } => Some(*example),
            _ => None,
        }
    }
}

/// What can go wrong in training.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to learn from.
    #[error("there is no example to train on")]
    NoExamples,
    /// A setting is out of its range.
    #[error("`{name}` is {found}: it should be {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
    /// An example has nothing to predict.
    #[error("example {example}: its {part} is empty")]
    Empty {
        /// Its place in the list.
        example: usize,
        /// `prompt` or `target`.
        part: &'static str,
    },
    /// An example does not fit the model.
    #[error("example {example}: {tokens} tokens do not fit a context of {context}")]
    TooLong {
        /// Its place in the list.
        example: usize,
        /// Its tokens.
        tokens: usize,
        /// Tokens that the model takes.
        context: usize,
    },
    /// An id outside the vocabulary.
    #[error("example {example}: token {id} is not below the vocabulary's {vocabulary}")]
    NoSuchToken {
        /// Its place in the list.
        example: usize,
        /// The id.
        id: u32,
        /// Ids that there are.
        vocabulary: usize,
    },
    /// A loss or a gradient is infinite or not a number.
    #[error("step {step}: {what} is {value}; the examples of this step: {examples:?}")]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// The loss, or whose gradient.
        what: String,
        /// What it is.
        value: f64,
        /// The places of the batch's examples in the list.
        examples: Vec<usize>,
    },
    /// The reference is said to be the model that training starts from, and is not.
    #[error(
        "example {example}: the model gives a target the log-probability {policy:.6}, its \
         reference {reference:.6}, though they should be one model before the first step"
    )]
    ReferenceDiffers {
        /// Its place in the list.
        example: usize,
        /// The model's.
        policy: f64,
        /// The reference's.
        reference: f64,
    },
    /// A weight is behind something that cuts its gradient.
    #[error("tensor `{0}` gets no gradient")]
    NoGradient(String),
    /// A saved state is not one, or of another run.
    #[error("{} cannot be taken up: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The network failed.
    #[error("the network failed")]
    Network(#[from] candle_core::Error),
}
