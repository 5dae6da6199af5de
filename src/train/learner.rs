//! The seam between what is learned and what computes it: a [`Learner`] takes the steps of one training, from
//! its start and its lesson, with its settings and a folder of its own, and reports each.
//!
//! There are two: [`Trainer`](super::Trainer) in this program, and [`trl`](super::trl) in another one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::state::Snapshot;
use crate::model::Weights;

/// What a step came to, before the weights moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// The step, from 1.
    pub step: usize,
    /// Epochs done after it.
    pub epoch: f64,
    /// Tokens that it ran.
    pub tokens: usize,
    /// By TRL's names: `loss`, `grad_norm`, `learning_rate`, and what the objective adds.
    pub values: Vec<(Cow<'static, str>, f64)>,
}

/// Takes the steps of a training.
pub trait Learner {
    /// Steps in all.
    fn steps(&self) -> usize;

    /// Steps done.
    fn done(&self) -> usize;

    /// Takes the next step, if there is one. While a step is waited for, `go_on` is asked whether to.
    ///
    /// # Errors
    /// Where the loss or a gradient is not finite, or what computes them fails; [`Error::Stopped`] where
    /// `go_on` says no.
    fn step(&mut self, go_on: &dyn Fn() -> bool) -> Result<Option<Metrics>, Error>;

    /// What the next steps depend on, where the caller has to keep it.
    fn state(&mut self) -> State<'_>;

    /// The model as all steps left it.
    ///
    /// # Errors
    /// Where it is not there, or is not what it should be.
    fn learned(&mut self, go_on: &dyn Fn() -> bool) -> Result<Learned, Error>;
}

/// Who keeps what the next steps depend on.
pub enum State<'s> {
    /// The caller: it is written and taken up by this.
    Caller(&'s mut dyn Saved),
    /// The learner, in its folder; it can report again what was reported up to some step.
    Folder(&'s mut dyn Again),
}

/// A state that its caller keeps.
pub trait Saved {
    /// All that the next steps depend on. It can be written while the next step is under way, which moves no
    /// weight before it is dropped.
    fn snapshot(&mut self) -> Snapshot;

    /// Takes up what [`Snapshot::write`] wrote after `done` steps, in a learner made from the same things.
    /// Whoever keeps the file vouches for its bytes: numbers in it are taken as they are.
    ///
    /// # Errors
    /// Where it is not such a state, or of another run or step; the learner is then as it was.
    fn resume(&mut self, path: &Path, done: usize) -> Result<(), Error>;
}

/// A state that a learner keeps itself.
pub trait Again {
    /// Passes over the reports up to `done` steps, which somebody has heard before.
    fn pass(&mut self, done: usize);
}

/// What was learned.
pub enum Learned {
    /// Weights in memory.
    Weights(Weights),
    /// Files, by the names they have in a model's folder.
    Files(BTreeMap<String, PathBuf>),
}
