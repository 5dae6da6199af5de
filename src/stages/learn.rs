//! Taking the steps of a training, for the two stages that do: `sft` and `train`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::draw::model_files;
use crate::model::{self, Config, Local, Weights, weights};
use crate::records::{CheckpointPart, Metric};
use crate::runner::{Io, StageError};
use crate::store::Digest;
use crate::train::{Error, Metrics, Objective, Settings, Trainer};

/// The model that a training starts from.
pub(super) struct Start {
    pub(super) model: Local,
    files: BTreeMap<String, PathBuf>,
    config: Arc<Config>,
    weights: Weights,
}

impl Start {
    /// Opens the input `model`, with random weights in place of its own where a seed is given.
    pub(super) fn open(io: &Io<'_>, random: Option<u64>) -> Result<Self, StageError> {
        // A model that draws and one that learns do not stand in memory together.
        io.let_go();
        let device = model::open_device(io.device())?;
        let files = model_files(io)?;
        let config = Arc::new(Config::open(&files)?);
        let weights = match random {
            Some(seed) => weights::initialise(&config, seed, &device)?,
            None => weights::load(&files, &config, model::DType::F32, &device)?,
        };
        let model = Local::with_weights(&files, Arc::clone(&config), &weights)?;
        io.check_unchanged("model")?;
        Ok(Self { model, files, config, weights })
    }
}

/// Steps whose metrics are kept at once; as often, the state is saved.
const STEPS_PER_SHARD: usize = 50;

/// What is learned: the examples, and the ids of the rows that they come from.
pub(super) struct Lesson<O: Objective> {
    pub(super) objective: O,
    pub(super) ids: Vec<String>,
    pub(super) examples: Vec<O::Example>,
}

/// A row that cannot be trained on.
#[derive(Debug, thiserror::Error)]
#[error("row {id}")]
struct AtFault {
    id: String,
    source: Error,
}

/// Takes all steps, and keeps the model that they end in.
pub(super) fn learn<O: Objective + Copy>(
    io: &mut Io<'_>,
    start: Start,
    lesson: &Lesson<O>,
    settings: &Settings,
) -> Result<(), StageError> {
    let at_fault = |error: Error| -> StageError {
        match error.example().and_then(|example| lesson.ids.get(example)) {
            Some(id) => AtFault { id: id.clone(), source: error }.into(),
            None => error.into(),
        }
    };
    let Start { model, files, config, weights } = start;
    drop(model);
    let (objective, settings) = (lesson.objective, settings.clone());
    let mut trainer =
        Trainer::new(Arc::clone(&config), &weights, objective, &lesson.examples, settings)
            .map_err(at_fault)?;
    drop(weights);
    let steps = trainer.steps();
    let states = States(io.checkpoint_folder()?);
    let each = (0..steps).map(Ok::<usize, StageError>);
    io.each_shard(steps as u64, STEPS_PER_SHARD, each, |shard, meter| {
        states.reach(&mut trainer, shard.first().copied().unwrap_or(0)).map_err(at_fault)?;
        let mut rows = Vec::new();
        for _ in shard {
            if let Some(metrics) = trainer.step().map_err(at_fault)? {
                meter.note(said(&metrics));
                rows.extend(metric_rows(metrics)?);
                meter.add(1);
            }
        }
        states.save(&trainer)?;
        Ok(rows)
    })?;
    states.reach(&mut trainer, steps)?;
    let made = tempfile::tempdir()?;
    model::save(made.path(), &config, &trainer.weights(), &files)?;
    keep(io, files_in(made.path())?)
}
/// The trainer's states between shards, by the number of steps done.
struct States(PathBuf);

impl States {
    fn path(&self, done: usize) -> PathBuf {
        self.0.join(format!("after-{done}.safetensors"))
    }

    /// Saves the state, and drops those before the last: a kill before the shard is safe leaves the
    /// last one needed.
    fn save<O: Objective>(&self, trainer: &Trainer<'_, O>) -> Result<(), StageError> {
        let kept = [trainer.done(), trainer.done().saturating_sub(STEPS_PER_SHARD)];
        let kept = kept.map(|done| self.path(done));
        trainer.save(&kept[0])?;
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if !kept.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Takes up the state after `done` steps; where it is gone, the steps are taken again.
    fn reach<O: Objective>(&self, trainer: &mut Trainer<'_, O>, done: usize) -> Result<(), Error> {
        let path = self.path(done);
        if trainer.done() < done && path.exists() {
            trainer.resume(&path)?;
        }
        while trainer.done() < done && trainer.step()?.is_some() {}
        Ok(())
    }
}

/// `loss 0.642, accuracies 0.71`: what a person watches.
fn said(metrics: &Metrics) -> String {
    let watched = ["loss", "rewards/accuracies", "rewards/margins"];
    let said = |(name, value): &(&str, f64)| {
        watched
            .contains(name)
            .then(|| format!("{} {value:.3}", name.rsplit('/').next().unwrap_or(name)))
    };
    metrics.values.iter().filter_map(said).collect::<Vec<_>>().join(", ")
}

fn metric_rows(metrics: Metrics) -> Result<Vec<Metric>, StageError> {
    let step = i32::try_from(metrics.step)?;
    let row = |(name, value): (&str, f64)| Metric {
        step,
        epoch: metrics.epoch,
        metric: name.to_owned(),
        value,
    };
    Ok(metrics.values.into_iter().map(row).collect())
}

/// The files of a folder by their names.
fn files_in(folder: &Path) -> Result<BTreeMap<String, PathBuf>, StageError> {
    let named = |entry: Result<fs::DirEntry, std::io::Error>| -> Result<_, StageError> {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
    };
    fs::read_dir(folder)?.map(named).collect()
}

/// Keeps the files of a model, and lists them: a row a tensor, or one for a file without.
pub(super) fn keep(io: &mut Io<'_>, files: BTreeMap<String, PathBuf>) -> Result<(), StageError> {
    let mut parts = Vec::new();
    for (file, path) in files {
        let (object, bytes) = io.keep_file(&file, &path)?;
        let object = object.to_hex();
        if path.extension().is_some_and(|end| end == "safetensors") {
            let content = fs::read(&path)?;
            for tensor in weights::list(&path)? {
                let (start, length) =
                    (usize::try_from(tensor.offset)?, usize::try_from(tensor.bytes)?);
                parts.push(CheckpointPart {
                    file: file.clone(),
                    tensor: Some(tensor.name),
                    dtype: Some(tensor.dtype),
                    shape: Some(tensor.shape.into_iter().map(|size| size as u64).collect()),
                    offset: tensor.offset,
                    bytes: tensor.bytes,
                    digest: Digest::of(&content[start..start + length]).to_hex(),
                    object: object.clone(),
                });
            }
        } else {
            parts.push(CheckpointPart {
                file,
                tensor: None,
                dtype: None,
                shape: None,
                offset: 0,
                bytes,
                digest: object.clone(),
                object,
            });
        }
    }
    io.write(parts.into_iter().map(Ok))
}
