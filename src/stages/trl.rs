//! Training by TRL: what of it decides the result, and the way of a lesson there and of a model back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapted::adapted;
use super::checkpoint::{Content, Contents, keep, keep_epochs as keep_each};
use super::learn::Lesson;
use super::models::{files_of, lay_out_full, name_of};
use super::start::Start;
use super::unmoved::Watch;
use crate::model::adapter::Adapter;
use crate::model::{self, check_trained};
use crate::records::{Id, LessonRow};
use crate::runner::{Io, StageError};
use crate::store::{Digest, digest_file};
use crate::train::trl::{Dtype, Kind, Program, Running, SCRIPT, Task};
use crate::train::{Example, Learned, Learner, Objective, Preference, Settings};

/// What TRL trains with. All fields but the last decide the result.
#[derive(Debug, Clone, Serialize)]
pub struct Trl {
    /// The digest of the script: it says what is done.
    pub script: String,
    /// The versions of torch, transformers, trl, accelerate and peft: they say how.
    pub versions: BTreeMap<String, String>,
    /// The type of numbers. The script sets it, whatever a launcher's own file says.
    pub dtype: Dtype,
    /// Who asks the reference model.
    pub reference: AskedBy,
    /// What is trained in place of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Adapter>,
    /// How it is started. The number of processes and the portions that they take change the order of sums
    /// and no sum: as with devices, the manifest says them, and the key does not.
    #[serde(skip)]
    pub program: Program,
}

/// Who asks the reference model of DPO for log-probabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// A node of the loop, in this program.
    #[default]
    Precomputed,
    /// The trainer, before its first step.
    Trainer,
}

/// An example as a row of a lesson.
pub(super) trait Taught: Objective {
    /// The kind of lesson.
    fn kind(&self) -> Kind;

    /// What the reference model makes of both sides, where that is known.
    fn references(example: &Self::Example) -> [Option<f64>; 2];
}

impl Taught for crate::train::Sft {
    fn kind(&self) -> Kind {
        Kind::Sft
    }

    fn references(_: &Example) -> [Option<f64>; 2] {
        [None, None]
    }
}

impl Taught for crate::train::Dpo {
    fn kind(&self) -> Kind {
        Kind::Dpo(*self)
    }

    fn references(pair: &Preference) -> [Option<f64>; 2] {
        [pair.reference_chosen, pair.reference_rejected]
            .map(|sum| Some(sum).filter(|s| !s.is_nan()))
    }
}

/// The folder of a model to start from, and the adapter to learn on it with the folder of the one to go on with.
type Begun<'t> = (PathBuf, Option<(&'t Adapter, Option<PathBuf>)>);

/// The model that TRL made cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("the model that the trainer wrote cannot be taken")]
struct NotTaken(#[source] model::Error);

impl Trl {
    /// Says what it trains with; all weights, where there is no adapter.
    #[must_use]
    pub fn new(
        versions: BTreeMap<String, String>,
        dtype: Dtype,
        reference: AskedBy,
        adapter: Option<Adapter>,
        program: Program,
    ) -> Self {
        let script = Digest::of(SCRIPT.as_bytes()).to_hex();
        Self { script, versions, dtype, reference, adapter, program }
    }

    /// Says so where a launcher started other processes than its words ask for: accelerate starts one on a CPU,
    /// however many are asked for.
    fn check_processes(&self, io: &Io<'_>, running: &Running) {
        match (self.program.asked_processes(), running.processes()) {
            (Some(asked), Some(found)) if found < asked => io
                .warn(format!("the launcher was asked for {asked} processes, and {found} trained")),
            _ => {}
        }
    }

    /// How it is started, for the manifest: files among the words stand with their digests, for what they
    /// say may change.
    fn started(&self) -> Result<String, StageError> {
        let mut words = self.program.words().iter();
        let mut said: Vec<String> = words.next().cloned().into_iter().collect();
        for word in words {
            said.push(if Path::new(word).is_file() {
                format!("{word} ({})", digest_file(Path::new(word))?.short())
            } else {
                word.clone()
            });
        }
        Ok(said.join(" "))
    }

    /// Has all steps taken, and keeps the model that they end in, or where asked the one after each epoch.
    pub(super) fn learn<O: Taught, I: Id>(
        &self,
        io: &mut Io<'_>,
        start: &Start,
        lesson: &Lesson<O, I>,
        (settings, keep_epochs): (&Settings, bool),
    ) -> Result<(), StageError> {
        io.write(rows(lesson).map(Ok))?;
        let folder = io.folder("trainer")?;
        let (model, adapter) = self.start(io, start, folder.join("start"))?;
        let task = Task {
            kind: lesson.objective.kind(),
            settings,
            dtype: self.dtype,
            model,
            adapter,
            reference_model: Self::reference_model(io)?,
            lesson: io.made::<LessonRow>()?,
            examples: lesson.examples.len(),
            keep_epochs,
        };
        let started = self.started()?;
        io.reach(vec![started.clone()]);
        let mut running = Running::start(&self.program, &task, &folder)?;
        let mut watch = Watch::of_steps();
        lesson.take_steps(io, &mut running, &mut watch, None)?;
        self.check_processes(io, &running);
        let learned = running.learned(&|| !io.interrupted()).map_err(|e| lesson.at_fault(e))?;
        io.reach(std::iter::once(started).chain(running.said()).collect());
        if let Some(text) = watch.said(None, settings, running.steps())? {
            io.warn(text);
        }
        if keep_epochs {
            let epochs = (1..=settings.epochs)
                .map(|epoch| self.taken(io, start, running.after_epoch(epoch)?));
            let epochs = epochs.collect::<Result<Vec<_>, _>>()?;
            return keep_each(io, epochs);
        }
        let Learned::Files(files) = learned else { return Ok(()) };
        let made = self.taken(io, start, files)?;
        keep(io, made)
    }

    /// Where the trainer finds the model that it starts from, and what it learns an adapter with: a new one, or
    /// the one that the start has.
    fn start<'t>(
        &'t self,
        io: &Io<'_>,
        start: &Start,
        own: PathBuf,
    ) -> Result<Begun<'t>, StageError> {
        let Some(adapter) = &self.adapter else { return Ok((start.folder(io, own)?, None)) };
        let begun = start.has(adapter)?;
        match start.apart(io)?.filter(|_| begun) {
            Some([base, folder]) => Ok((base, Some((adapter, Some(folder))))),
            None => Ok((start.folder(io, own)?, Some((adapter, None)))),
        }
    }

    /// The folder of the reference model, where the trainer has to ask one that is not the start.
    fn reference_model(io: &Io<'_>) -> Result<Option<PathBuf>, StageError> {
        const INPUT: &str = "reference_model";
        if !io.has(INPUT) {
            return Ok(None);
        }
        let files = files_of(io, INPUT)?;
        Ok(Some(lay_out_full(io, &name_of(io, INPUT)?, &files)?.join("model")))
    }

    /// Takes the weights that the trainer wrote into the folder of the model that it started from: tokenizer,
    /// template and configuration are nothing that it learns.
    fn taken(
        &self,
        io: &Io<'_>,
        start: &Start,
        mut files: BTreeMap<String, PathBuf>,
    ) -> Result<Contents<'static>, StageError> {
        let mut made = if let Some(adapter) = &self.adapter {
            adapted(io, &start.files, adapter, files)?
        } else {
            files.retain(|name, _| name.starts_with("model"));
            let config = start.files.get_key_value("config.json");
            files.extend(config.map(|(name, path)| (name.clone(), path.clone())));
            files
        };
        check_trained(&made, &start.config).map_err(NotTaken)?;
        let companions = model::companions(&start.files);
        made.extend(companions.map(|(name, path)| (name.clone(), path.clone())));
        Ok(made.into_iter().map(|(name, path)| (name, Content::File(path))).collect())
    }
}

fn rows<O: Taught, I: Id>(lesson: &Lesson<O, I>) -> impl Iterator<Item = LessonRow> + '_ {
    lesson.ids.iter().zip(&lesson.examples).map(|(id, example)| {
        let (prompt, targets) = lesson.objective.parts(example);
        let [ref_chosen_logps, ref_rejected_logps] = O::references(example);
        LessonRow {
            row_id: id.to_string(),
            prompt_ids: prompt.to_vec(),
            chosen_ids: targets.first().map(|ids| ids.to_vec()).unwrap_or_default(),
            rejected_ids: targets.get(1).map(|ids| ids.to_vec()),
            ref_chosen_logps,
            ref_rejected_logps,
        }
    })
}
