//! What can go wrong in training.

use std::path::PathBuf;

use crate::model;

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
    /// Somebody asked to stop.
    #[error("stopped")]
    Stopped,
    /// The task of a trainer cannot be written.
    #[error("the task cannot be written: {0}")]
    Asked(String),
    /// A file between mrx and a trainer cannot be read or written.
    #[error("cannot use {}", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A trainer reports something that is no step.
    #[error("{}, line {line}: {what}, found `{found}`", path.display())]
    Reported {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected.
        what: String,
        /// The line's text.
        found: String,
    },
    /// A trainer reports something infinite, or not a number.
    #[error("step {step}: `{what}` is not a finite number")]
    Diverged {
        /// The step, from 1.
        step: usize,
        /// What it is called.
        what: String,
    },
    /// A trainer's process cannot be started or asked after.
    #[error("cannot run the trainer")]
    Trainer(#[source] std::io::Error),
    /// A trainer ended before its work did.
    #[error(transparent)]
    Ended(Box<Ended>),
    /// The adapter to learn does not fit the model.
    #[error("the adapter cannot be learned")]
    Adapter(#[source] model::BadAdapter),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The network failed.
    #[error("the network failed")]
    Network(#[from] candle_core::Error),
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

/// How a trainer ended before its work did.
#[derive(Debug, thiserror::Error)]
#[error(
    "the trainer `{trainer}` ended after step {step} of {steps} ({status}); its last words, of {}:\n{tail}",
    log.display()
)]
pub struct Ended {
    /// How it was started.
    pub trainer: String,
    /// Steps that it reported.
    pub step: usize,
    /// Steps that were to be.
    pub steps: usize,
    /// How it ended.
    pub status: String,
    /// What it said last.
    pub tail: String,
    /// Where all that it said is.
    pub log: PathBuf,
}
