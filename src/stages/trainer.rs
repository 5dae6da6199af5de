//! Who trains: this program, or somebody else, whose checkpoint is brought.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::adapted::brought;
use super::checkpoint::{Content, keep};
use super::logged;
use super::models::model_files;
use super::trl::{AskedBy, Trl};
use crate::model::adapter::is_adapter_alone;
use crate::model::weights::same_weights;
use crate::model::{self, Config, check_trained, files_read};
use crate::records::Metric;
use crate::runner::{Io, StageError};
use crate::store::Imported;

/// Who trains.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Trainer {
    /// This program.
    #[default]
    Local,
    /// TRL, in a program of its own.
    Trl(Box<Trl>),
    /// Somebody else, somewhere else: the stage waits for what came of it.
    Import(Import),
}

impl Trainer {
    /// Whether whoever trains asks the reference model, too: no node does so before.
    #[must_use]
    pub fn asks_reference(&self) -> bool {
        matches!(self, Self::Trl(trl) if trl.reference == AskedBy::Trainer)
    }

    /// Whether this program trains: keys leave that out.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }
}

/// A checkpoint from elsewhere. What is brought decides nothing but this one run: the key says that it was
/// imported, and the manifest where from.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Import {
    /// What is brought; `None` where the stage still waits.
    #[serde(skip)]
    pub brought: Option<Brought>,
}

/// What is brought.
#[derive(Debug, Clone)]
pub struct Brought {
    /// The files of the model's folder, by name.
    pub files: BTreeMap<String, PathBuf>,
    /// What the training reported: JSON lines, or a `trainer_state.json`.
    pub metrics: Option<PathBuf>,
    /// Where it is from, and who made it.
    pub from: Imported,
}

/// Nothing was brought yet.
#[derive(Debug, thiserror::Error)]
#[error("it waits for a checkpoint that is trained elsewhere, and none was imported")]
pub struct Awaited;

/// A scripted model has no weights that somebody could train.
#[derive(Debug, thiserror::Error)]
#[error(
    "a scripted model has no weights: there is nothing to train elsewhere, and nothing to import"
)]
struct NothingToTrain;

/// What was brought cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint in {folder} cannot be taken")]
struct NotTaken {
    folder: String,
    source: StageError,
}

impl Import {
    /// Keeps what was brought as the model that training the input `model` made.
    pub(super) fn take(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let start = model_files(io)?;
        if model::is_scripted(&start)? {
            return Err(NothingToTrain.into());
        }
        let Brought { files, metrics, from } = self.brought.as_ref().ok_or(Awaited)?;
        let config = Config::open(&start)?;
        io.check_unchanged("model")?;
        let fail = |source| NotTaken { folder: from.folder.clone(), source };
        let files = &whole(io, &start, files).map_err(fail)?;
        check_trained(files, &config).map_err(|error| fail(error.into()))?;
        let metrics = metrics.as_deref().map(logged::read).transpose()?.unwrap_or_default();
        if same_weights(files, &start, &config)? {
            io.warn("its weights are those that training starts from: nothing was learned, or another folder was meant");
        }
        if let Some(path) = other_template(&start, files)? {
            io.warn(format!(
                "{} is not the chat template of the model that training starts from: from here on conversations \
                 are written otherwise",
                path.display()
            ));
        }
        io.import(from.clone());
        io.write::<Metric>(metrics.into_iter().map(Ok))?;
        keep(io, made(&start, files))
    }
}

/// The chat template that was brought, where both have one and they differ.
fn other_template<'f>(
    start: &BTreeMap<String, PathBuf>,
    files: &'f BTreeMap<String, PathBuf>,
) -> Result<Option<&'f PathBuf>, StageError> {
    const TEMPLATE: &str = "chat_template.jinja";
    let (Some(old), Some(new)) = (start.get(TEMPLATE), files.get(TEMPLATE)) else {
        return Ok(None);
    };
    let same = fs::read(old)? == fs::read(new)?;
    Ok(Some(new).filter(|_| !same))
}

/// What was brought, with the base of an adapter that came alone.
fn whole(
    io: &Io<'_>,
    start: &BTreeMap<String, PathBuf>,
    files: &BTreeMap<String, PathBuf>,
) -> Result<BTreeMap<String, PathBuf>, StageError> {
    if is_adapter_alone(files) { brought(io, start, files) } else { Ok(files.clone()) }
}

/// The files of the model: those that were brought, and the companions of the start that they leave out.
fn made(
    start: &BTreeMap<String, PathBuf>,
    files: &BTreeMap<String, PathBuf>,
) -> BTreeMap<String, Content<'static>> {
    let inherited = model::companions(start).map(|(name, path)| (name.clone(), path.clone()));
    let all = inherited.chain(files_read(files));
    all.map(|(name, path)| (name, Content::File(path))).collect()
}
