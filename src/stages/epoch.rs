//! The model after one of the epochs that a training keeps: `train.m1.epoch2`, as any node takes a model.

use std::collections::BTreeMap;

use serde::Serialize;

use super::checkpoint::epoch_of;
use crate::records::CheckpointPart;
use crate::runner::{Io, Signature, Stage, StageError};

/// Takes the model after one epoch.
#[derive(Debug, Clone, Serialize)]
pub struct Epoch {
    /// The epoch, from 1.
    pub epoch: usize,
}

impl Epoch {
    /// 1: the first.
    const VERSION: u32 = 1;
}

/// What keeps a table from being read as the models after some epochs.
#[derive(Debug, thiserror::Error)]
enum BadEpochs {
    #[error("`checkpoints` has the file `{0}`; expected files by their epochs, as `epoch-1/{0}`")]
    OfNone(String),
    #[error("there is no epoch {epoch}: `checkpoints` has {epochs}")]
    Missing { epoch: usize, epochs: usize },
}

impl Stage for Epoch {
    fn signature(&self) -> Signature {
        Signature::of("epoch", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let epochs = Epochs::read(io)?;
        epochs.take(io, self.epoch)
    }
}

/// The models after all epochs of a training, as rows of its `checkpoints`.
pub(super) struct Epochs(BTreeMap<usize, Vec<CheckpointPart>>);

impl Epochs {
    /// Reads the input `checkpoints`.
    pub(super) fn read(io: &Io<'_>) -> Result<Self, StageError> {
        let mut epochs: BTreeMap<usize, Vec<CheckpointPart>> = BTreeMap::new();
        for part in io.rows::<CheckpointPart>("checkpoints")? {
            let part = part?;
            let Some((epoch, file)) = epoch_of(&part.file) else {
                return Err(BadEpochs::OfNone(part.file).into());
            };
            let file = file.to_owned();
            epochs.entry(epoch).or_default().push(CheckpointPart { file, ..part });
        }
        Ok(Self(epochs))
    }

    /// Lists the epochs, the first one first.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.0.keys().copied().collect()
    }

    /// Writes the model after an epoch: the rows that a training of so many epochs would end in.
    pub(super) fn take(mut self, io: &mut Io<'_>, epoch: usize) -> Result<(), StageError> {
        let epochs = self.0.len();
        let parts = self.0.remove(&epoch).ok_or(BadEpochs::Missing { epoch, epochs })?;
        for part in &parts {
            io.keep_object(&part.file, part.object.parse()?)?;
        }
        io.write(parts.into_iter().map(Ok))
    }
}
