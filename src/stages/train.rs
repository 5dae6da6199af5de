//! `train`: the next model, by DPO on this iteration's pairs. A scripted model learns nothing: it is
//! copied, so that everything around training can run in seconds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::draw::{conversation, model_files};
use crate::model::{self, Continuation, LanguageModel, Local, Prompt, Scored, weights};
use crate::records::{CheckpointPart, Message, Metric, Reason};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::store::Digest;
use crate::train::{Dpo, Error, Metrics, Pair, Settings, Trainer};

/// Makes the next model.
#[derive(Debug, Clone, Serialize)]
pub struct Train {
    /// What is learned. The reference is the model that the iteration starts from.
    pub dpo: Dpo,
    /// How.
    pub settings: Settings,
}

impl Train {
    /// 1: scripted models only. 2: DPO.
    const VERSION: u32 = 2;
}

/// There is nothing to train on. Says what became of every candidate.
#[derive(Debug, thiserror::Error)]
#[error("no pairs to train on; dropped: {}", counted(.0))]
pub struct NoPairs(BTreeMap<&'static str, u64>);

fn counted(dropped: &BTreeMap<&'static str, u64>) -> String {
    let counts: Vec<String> = dropped.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    if counts.is_empty() {
        "none, for there were no candidates".to_owned()
    } else {
        counts.join(", ")
    }
}

#[derive(Deserialize)]
struct Candidate {
    kept: bool,
    reason: Option<Reason>,
}

impl Stage for Train {
    fn signature(&self) -> Signature {
        Signature::of("train", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        refuse_no_pairs(io)?;
        let files = model_files(io)?;
        if model::is_scripted(&files)? {
            model::open(&files, &model::open_device(io.device())?)?;
            io.check_unchanged("model")?;
            return keep(io, files);
        }
        let made = tempfile::tempdir()?;
        self.learn(io, &files, made.path())?;
        let entries = fs::read_dir(made.path())?.collect::<Result<Vec<_>, _>>()?;
        let named =
            |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path());
        keep(io, entries.into_iter().map(named).collect())
    }
}

/// A pair that cannot be trained on.
#[derive(Debug, thiserror::Error)]
#[error("pair {pair_id}")]
struct AtFault {
    pair_id: String,
    source: Error,
}

/// Steps whose metrics are kept at once; as often, the state is saved.
const STEPS_PER_SHARD: usize = 50;

impl Train {
    /// Trains on the kept pairs, and writes the new model's folder.
    fn learn(
        &self,
        io: &mut Io<'_>,
        files: &BTreeMap<String, PathBuf>,
        to: &Path,
    ) -> Result<(), StageError> {
        let device = model::open_device(io.device())?;
        let start = Local::open(files, &device)?;
        let config = Arc::clone(start.network().config());
        let weights = weights::load(files, &config, model::DType::F32, &device)?;
        io.check_unchanged("model")?;
        let (ids, pairs) = pairs(io, &start)?;
        drop(start);
        let at_fault = |error: Error| -> StageError {
            match error.example().and_then(|example| ids.get(example)) {
                Some(pair_id) => AtFault { pair_id: pair_id.clone(), source: error }.into(),
                None => error.into(),
            }
        };
        let settings = self.settings.clone();
        let mut trainer = Trainer::new(Arc::clone(&config), &weights, self.dpo, &pairs, settings)
            .map_err(at_fault)?;
        let steps = trainer.steps();
        let states = States(io.checkpoint_folder()?);
        let each = (0..steps).map(Ok::<usize, StageError>);
        io.each_shard(steps as u64, STEPS_PER_SHARD, each, |shard, meter| {
            states.reach(&mut trainer, shard.first().copied().unwrap_or(0)).map_err(at_fault)?;
            let mut rows = Vec::new();
            for _ in shard {
                if let Some(metrics) = trainer.step().map_err(at_fault)? {
                    rows.extend(metric_rows(metrics)?);
                    meter.add(1);
                }
            }
            states.save(&trainer)?;
            Ok(rows)
        })?;
        states.reach(&mut trainer, steps)?;
        Ok(model::save(to, &config, &trainer.weights(), files)?)
    }
}

/// The trainer's states between shards, by the number of steps done.
struct States(PathBuf);

impl States {
    fn path(&self, done: usize) -> PathBuf {
        self.0.join(format!("after-{done}.safetensors"))
    }

    /// Saves the state, and drops those before the last: a kill before the shard is safe leaves the
    /// last one needed.
    fn save(&self, trainer: &Trainer<'_, Dpo>) -> Result<(), StageError> {
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
    fn reach(&self, trainer: &mut Trainer<'_, Dpo>, done: usize) -> Result<(), Error> {
        let path = self.path(done);
        if trainer.done() < done && path.exists() {
            trainer.resume(&path)?;
        }
        while trainer.done() < done && trainer.step()?.is_some() {}
        Ok(())
    }
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

/// What training reads of a pair that is kept.
#[derive(Deserialize)]
struct Kept {
    pair_id: String,
    kept: bool,
    messages: Vec<Message>,
    chosen: Option<String>,
    rejected: Option<String>,
}

/// The kept pairs as ids, with what the model that training starts from makes of them.
fn pairs(io: &Io<'_>, start: &Local) -> Result<(Vec<String>, Vec<Pair>), StageError> {
    let (mut ids, mut pairs) = (Vec::new(), Vec::new());
    for row in io.rows::<Kept>("pairs")? {
        let Kept { pair_id, kept: true, messages, chosen: Some(chosen), rejected: Some(rejected) } =
            row?
        else {
            continue;
        };
        let messages = conversation(messages);
        let (prompt, chosen) = start.example(&messages, &chosen)?;
        let (_, rejected) = start.example(&messages, &rejected)?;
        ids.push(pair_id);
        let (reference_chosen, reference_rejected) = (0.0, 0.0);
        pairs.push(Pair { prompt, chosen, rejected, reference_chosen, reference_rejected });
    }
    let asked = |pair: &Pair| Scored {
        prompt: Prompt::Tokens(pair.prompt.clone()),
        continuations: [&pair.chosen, &pair.rejected]
            .map(|side| Continuation::Tokens(side.clone()))
            .to_vec(),
    };
    let scores = start.score(&pairs.iter().map(asked).collect::<Vec<_>>())?;
    for (pair, scores) in pairs.iter_mut().zip(scores) {
        if let [chosen, rejected] = scores[..] {
            (pair.reference_chosen, pair.reference_rejected) = (chosen, rejected);
        }
    }
    Ok((ids, pairs))
}

/// Keeps the files of a model, and lists them: a row a tensor, or one for a file without.
fn keep(io: &mut Io<'_>, files: BTreeMap<String, PathBuf>) -> Result<(), StageError> {
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

fn refuse_no_pairs(io: &Io<'_>) -> Result<(), StageError> {
    let mut dropped: BTreeMap<&'static str, u64> = BTreeMap::new();
    for candidate in io.rows::<Candidate>("pairs")? {
        let candidate = candidate?;
        if candidate.kept {
            return Ok(());
        }
        if let Some(reason) = candidate.reason {
            *dropped.entry(reason.as_str()).or_default() += 1;
        }
    }
    Err(NoPairs(dropped).into())
}
