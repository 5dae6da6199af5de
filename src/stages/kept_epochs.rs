//! The weights after each epoch of a training, kept beside its states while it goes on: what a kill leaves
//! is taken up, and ends in the same bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::form::Form;
use crate::model::Weights;
use crate::runner::{Io, StageError};
use crate::store::{State, States};

/// The folder of them, among the work in hand.
const FOLDER: &str = "epochs";

/// The weights after the epochs that have ended.
pub(super) struct KeptEpochs<'c> {
    states: States,
    steps_per_epoch: usize,
    form: Form<'c>,
}

impl<'c> KeptEpochs<'c> {
    /// Opens what there is of this run.
    pub(super) fn open(
        io: &Io<'_>,
        steps_per_epoch: usize,
        form: Form<'c>,
    ) -> Result<Self, StageError> {
        let states = io.states_of(FOLDER);
        // What a kill left half written.
        states.retain(|_| true)?;
        Ok(Self { states, steps_per_epoch, form })
    }

    /// Whether an epoch ends with so many steps.
    pub(super) const fn ends(&self, done: usize) -> bool {
        done > 0 && done.is_multiple_of(self.steps_per_epoch)
    }

    /// Keeps the weights after the epoch that ends with so many steps. When this returns, a power cut does
    /// not take them.
    pub(super) fn keep(&self, done: usize, weights: &Weights) -> Result<(), StageError> {
        let epoch = (done / self.steps_per_epoch) as u64;
        self.states
            .save(epoch, |to| Ok::<_, StageError>(self.form.write(weights, to, &mut |_, _| {})?))
    }

    /// Finds the first epoch of those that end within so many steps whose weights are not there, or are not
    /// what they were; these are named, and removed. Returns the steps with which it ends.
    pub(super) fn first_missing(
        &self,
        done: usize,
        warn: &dyn Fn(String),
    ) -> Result<Option<usize>, StageError> {
        for state in self.states.list()? {
            if let Err(error) = state.check() {
                warn(format!("{error}; it is not used"));
                self.states.retain(|other| *other != state)?;
            }
        }
        let kept = self.by_epoch()?;
        let ended = 1..=done / self.steps_per_epoch;
        let missing = ended.into_iter().find(|epoch| !kept.contains_key(&(*epoch as u64)));
        Ok(missing.map(|epoch| epoch * self.steps_per_epoch))
    }

    /// The files of the weights, the first epoch's first, after checking the bytes of each.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, StageError> {
        let each = self.by_epoch()?.into_values();
        each.map(|state| Ok(state.check().map(|()| state.path)?)).collect()
    }

    fn by_epoch(&self) -> Result<BTreeMap<u64, State>, StageError> {
        Ok(self.states.list()?.into_iter().map(|state| (state.done, state)).collect())
    }
}
