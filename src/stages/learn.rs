//! Taking the steps of a training, for the two stages that do: `sft` and `train`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint::{Content, Contents, keep, keep_epochs as keep_epochs_of};
use super::kept_epochs::KeptEpochs;
use super::models::model_files;
use super::unmoved::Watch;
use crate::model::{self, Arguments, Config, Local, Weights, weights};
use crate::records::{Id, Metric};
use crate::runner::{Io, StageError};
use crate::store::States;
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
    pub(super) fn open(
        io: &Io<'_>,
        random: Option<u64>,
        arguments: &Arguments,
    ) -> Result<Self, StageError> {
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
        let model = model.with_arguments(arguments)?;
        io.check_unchanged("model")?;
        Ok(Self { model, files, config, weights })
    }
}

/// Steps whose metrics are kept at once; as often, the state is saved.
const STEPS_PER_SHARD: usize = 50;

/// What is learned: the examples, and the ids of the rows that they come from.
pub(super) struct Lesson<O: Objective, I: Id> {
    pub(super) objective: O,
    pub(super) ids: Vec<I>,
    pub(super) examples: Vec<O::Example>,
}

/// A row that cannot be trained on.
#[derive(Debug, thiserror::Error)]
#[error("row {id}")]
struct AtFault {
    id: String,
    source: Error,
}

/// Takes all steps, and keeps the model that they end in, or where asked the one after each epoch.
pub(super) fn learn<O: Objective + Copy, I: Id>(
    io: &mut Io<'_>,
    start: Start,
    lesson: &Lesson<O, I>,
    (settings, keep_epochs): (&Settings, bool),
) -> Result<(), StageError> {
    let at_fault = |error: Error| -> StageError {
        match error.example().and_then(|example| lesson.ids.get(example)) {
            Some(id) => AtFault { id: id.to_string(), source: error }.into(),
            None => error.into(),
        }
    };
    let Start { model, files, config, weights } = start;
    drop(model);
    let mut trainer = Trainer::new(
        Arc::clone(&config),
        &weights,
        lesson.objective,
        &lesson.examples,
        settings.clone(),
    )
    .map_err(at_fault)?;
    let mut watch = Watch::from(&weights, &config)?;
    drop(weights);
    let steps = trainer.steps();
    let kept = keep_epochs.then(|| KeptEpochs::open(io, trainer.steps_per_epoch(), &config));
    let states = Saved { states: io.states(), kept: kept.transpose()? };
    let each = (0..steps).map(Ok::<usize, StageError>);
    io.each_shard(steps as u64, STEPS_PER_SHARD, each, |shard, meter| {
        let done = shard.first().copied().unwrap_or(0);
        states.reach(&mut trainer, done, &|text| meter.warn(text))?;
        let mut rows = Vec::new();
        for _ in shard {
            if let Some(metrics) = trainer.step().map_err(at_fault)? {
                states.keep_epoch(&trainer)?;
                watch.see(&metrics);
                meter.note(said(&metrics));
                rows.extend(metric_rows(metrics)?);
                meter.add(1);
            }
        }
        states.save(&trainer)?;
        Ok(rows)
    })?;
    states.reach(&mut trainer, steps, &|text| io.warn(text))?;
    let weights = trainer.weights();
    if let Some(text) = watch.said(&weights, &config, settings, steps)? {
        io.warn(text);
    }
    let folder = |weights: Content<'static>| folder_of(&files, &config, weights);
    match &states.kept {
        Some(kept) => {
            let each = kept.files()?.into_iter();
            keep_epochs_of(io, each.map(|file| Ok(folder(Content::File(file)))))
        }
        None => keep(io, folder_of(&files, &config, Content::Weights(&weights, &config))),
    }
}

/// A model's folder: what goes with any weights of its shape, and these.
fn folder_of<'c>(
    start: &BTreeMap<String, PathBuf>,
    config: &Config,
    weights: Content<'c>,
) -> Contents<'c> {
    let companions = model::companions(start);
    let mut made: Contents<'c> =
        companions.map(|(name, path)| (name.clone(), Content::File(path.clone()))).collect();
    made.insert("config.json".to_owned(), Content::Text(config.to_json()));
    made.insert("model.safetensors".to_owned(), weights);
    made
}

/// The trainer's states between shards, and the weights after each epoch where they are kept.
struct Saved<'c> {
    states: States,
    kept: Option<KeptEpochs<'c>>,
}

impl Saved<'_> {
    /// Keeps the weights, where an epoch ends and they are to be kept.
    fn keep_epoch<O: Objective>(&self, trainer: &Trainer<'_, O>) -> Result<(), StageError> {
        let kept = self.kept.as_ref();
        kept.map_or(Ok(()), |kept| kept.keep(trainer.done(), || trainer.weights()))
    }

    /// Saves the state, and drops those before the last: a kill before the shard is safe leaves the
    /// last one needed.
    fn save<O: Objective>(&self, trainer: &Trainer<'_, O>) -> Result<(), StageError> {
        let done = trainer.done();
        let kept = [done as u64, done.saturating_sub(STEPS_PER_SHARD) as u64];
        self.states.save(kept[0], |to| Ok::<_, StageError>(trainer.save(to)?))?;
        Ok(self.states.retain(|state| kept.contains(&state.done))?)
    }

    /// Brings the trainer to where `done` steps are done: takes up the last state that is whole, and
    /// takes the steps after it again. They end where they ended before.
    fn reach<O: Objective>(
        &self,
        trainer: &mut Trainer<'_, O>,
        done: usize,
        warn: &dyn Fn(String),
    ) -> Result<(), StageError> {
        if trainer.done() >= done {
            return Ok(());
        }
        let kept = self.kept.as_ref();
        let missing = kept.map(|kept| kept.first_missing(done, warn)).transpose()?.flatten();
        self.take_up(trainer, missing.unwrap_or(done), warn)?;
        self.keep_epoch(trainer)?;
        let again = trainer.done() + 1;
        if again > done {
            return Ok(());
        }
        let what = match missing {
            Some(end) => {
                format!("the weights after step {end}, which ends an epoch, are not there")
            }
            None => format!("there is no state after step {done} to go on from"),
        };
        warn(format!("{what}: steps {again} to {done} are taken again"));
        while trainer.done() < done && trainer.step()?.is_some() {
            self.keep_epoch(trainer)?;
            if trainer.done().is_multiple_of(STEPS_PER_SHARD) || trainer.done() == done {
                self.save(trainer)?;
            }
        }
        Ok(())
    }

    /// Takes up the last state up to `done` steps that is what it was, if there is one. Those that are
    /// not are named, and removed.
    fn take_up<O: Objective>(
        &self,
        trainer: &mut Trainer<'_, O>,
        done: usize,
        warn: &dyn Fn(String),
    ) -> Result<(), StageError> {
        for state in self.states.list()? {
            let Some(steps) = usize::try_from(state.done).ok().filter(|steps| *steps <= done)
            else {
                continue;
            };
            let at_fault = match state.check() {
                Err(error) => error.to_string(),
                Ok(()) => match trainer.resume(&state.path, steps) {
                    Ok(()) => return Ok(()),
                    Err(error @ Error::State { .. }) => error.to_string(),
                    Err(error) => return Err(error.into()),
                },
            };
            warn(format!("{at_fault}; it is not used"));
            self.states.retain(|other| *other != state)?;
        }
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
