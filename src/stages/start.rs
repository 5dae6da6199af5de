//! The model that a training starts from: what it reads and writes, and its weights for whoever trains.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::adapted::said;
use super::models::{lay_out_apart, lay_out_full, model_files, name_of};
use crate::model::adapter::{Adapter, base_files, is_adapted};
use crate::model::{self, Arguments, Config, Language, Weights, weights};
use crate::runner::{Io, StageError};

/// A training that would start from a GGUF file.
#[derive(Debug, thiserror::Error)]
#[error("training cannot start from {}: a GGUF file is drawn from and scores, it does not learn", path.display())]
pub struct FromGguf {
    /// The file.
    pub path: PathBuf,
}

/// The model that training starts from has an adapter that is not the one to learn.
#[derive(Debug, thiserror::Error)]
#[error("the model to start from has an adapter of {begun}; the one to learn is of {asked}")]
struct OtherAdapter {
    begun: String,
    asked: String,
}

/// The model that a training starts from. Its weights are not in memory yet.
pub(super) struct Start {
    pub(super) language: Language,
    pub(super) files: BTreeMap<String, PathBuf>,
    pub(super) config: Arc<Config>,
    /// The seed of random weights to take in place of its own.
    random: Option<u64>,
}

impl Start {
    /// Opens the input `model`, with random weights in place of its own where a seed is given.
    pub(super) fn open(
        io: &Io<'_>,
        random: Option<u64>,
        arguments: &Arguments,
    ) -> Result<Self, StageError> {
        // A model that draws and one that learns do not stand in memory together.
        io.let_go();
        let files = model_files(io)?;
        if let Some(path) = model::gguf_of(&files) {
            return Err(FromGguf { path: path.to_owned() }.into());
        }
        let config = Arc::new(Config::open(&files)?);
        let language = Language::open(&files, &config)?.with_arguments(arguments)?;
        Ok(Self { language, files, config, random })
    }

    /// Loads its weights.
    pub(super) fn weights(&self, io: &Io<'_>) -> Result<Weights, StageError> {
        let device = model::open_device(io.device())?;
        let weights = match self.random {
            Some(seed) => weights::initialise(&self.config, seed, &device)?,
            None => weights::load(&self.files, &self.config, model::DType::F32, &device)?,
        };
        io.check_unchanged("model")?;
        Ok(weights)
    }

    /// Loads the weights that an adapter stands beside: those of its base, where it has one.
    pub(super) fn base(&self, io: &Io<'_>) -> Result<Weights, StageError> {
        if !is_adapted(&self.files) {
            return self.weights(io);
        }
        let device = model::open_device(io.device())?;
        let base = base_files(&self.files);
        let weights = weights::load(&base, &self.config, model::DType::F32, &device)?;
        io.check_unchanged("model")?;
        Ok(weights)
    }

    /// Whether it has the adapter to learn already.
    pub(super) fn has(&self, adapter: &Adapter) -> Result<bool, StageError> {
        adapter.check(&self.config)?;
        match Adapter::open(&self.files)? {
            None => Ok(false),
            Some(begun) if begun == *adapter => Ok(true),
            Some(begun) => Err(OtherAdapter { begun: said(&begun), asked: said(adapter) }.into()),
        }
    }

    /// Loads the tensors of the adapter to learn, or draws them.
    pub(super) fn tensors(
        &self,
        io: &Io<'_>,
        adapter: &Adapter,
        seed: u64,
    ) -> Result<Weights, StageError> {
        let device = model::open_device(io.device())?;
        if self.has(adapter)?
            && let Some(tensors) = Adapter::tensors(&self.files, &self.config, &device)?
        {
            return Ok(tensors);
        }
        Ok(adapter.initialise(&self.config, seed, &device)?)
    }

    /// Lays it out as a folder for another program, with its weights as one piece. Random ones are written
    /// into `own`.
    pub(super) fn folder(&self, io: &Io<'_>, own: PathBuf) -> Result<PathBuf, StageError> {
        if self.random.is_some() {
            std::fs::create_dir_all(&own)?;
            model::save(&own, &self.config, &self.weights(io)?, &self.files)?;
            return Ok(own);
        }
        let folder = lay_out_full(io, &name_of(io, "model")?, &self.files)?.join("model");
        io.check_unchanged("model")?;
        Ok(folder)
    }

    /// Lays it out as the folders of a base and of an adapter on it, where it has one.
    pub(super) fn apart(&self, io: &Io<'_>) -> Result<Option<[PathBuf; 2]>, StageError> {
        if !is_adapted(&self.files) {
            return Ok(None);
        }
        let folders = lay_out_apart(io, &name_of(io, "model")?, &self.files)?;
        io.check_unchanged("model")?;
        Ok(Some(folders.map(|folder| folder.join("model"))))
    }
}
