//! Training by TRL: what of it decides the result, and the way of a lesson there and of a model back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::{Content, Contents, keep, keep_epochs as keep_each};
use super::learn::Lesson;
use super::models::files_of;
use super::start::Start;
use super::unmoved::Watch;
use crate::model::{self, check_trained};
use crate::records::{Id, LessonRow};
use crate::runner::{Io, StageError};
use crate::store::Digest;
use crate::train::trl::{Adapter, Dtype, Kind, Program, Running, SCRIPT, Task};
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
        program: Program,
    ) -> Self {
        let script = Digest::of(SCRIPT.as_bytes()).to_hex();
        Self { script, versions, dtype, reference, adapter: None, program }
    }

    /// How it is started, for the manifest: files among the words stand with their digests, for what they
    /// say may change.
    fn started(&self) -> Result<String, StageError> {
        let mut said = Vec::new();
        for word in self.program.words() {
            said.push(match Path::new(word) {
                path if path.is_file() && !self.program.words().starts_with(&[word.clone()]) => {
                    format!("{word} ({})", Digest::of(&std::fs::read(path)?).short())
                }
                _ => word.clone(),
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
        let reference_model = self.reference_model(io)?;
        let task = Task {
            kind: lesson.objective.kind(),
            settings,
            dtype: self.dtype,
            model: start.folder(io, folder.join("start"))?,
            adapter: None,
            reference_model,
            lesson: io.made::<LessonRow>()?,
            examples: lesson.examples.len(),
            keep_epochs,
        };
        let started = self.started()?;
        io.reach(vec![started.clone()]);
        let mut running = Running::start(&self.program, &task, &folder)?;
        let mut watch = Watch::of_steps();
        lesson.take_steps(io, &mut running, &mut watch, None)?;
        let learned = running.learned(&|| !io.interrupted()).map_err(|e| lesson.at_fault(e))?;
        io.reach(std::iter::once(started).chain(running.said()).collect());
        if let Some(text) = watch.said(None, settings, running.steps())? {
            io.warn(text);
        }
        if keep_epochs {
            let epochs =
                (1..=settings.epochs).map(|epoch| taken(start, running.after_epoch(epoch)?));
            return keep_each(io, epochs.collect::<Result<Vec<_>, _>>()?);
        }
        let Learned::Files(files) = learned else { return Ok(()) };
        keep(io, taken(start, files)?)
    }

    /// The folder of the reference model, where the trainer has to ask one that is not the start.
    fn reference_model(&self, io: &Io<'_>) -> Result<Option<PathBuf>, StageError> {
        const INPUT: &str = "reference_model";
        if !io.has(INPUT) {
            return Ok(None);
        }
        let files = files_of(io, INPUT)?;
        let name = format!("mrx-{}", io.digest(INPUT)?.short());
        Ok(Some(io.lay_out(&name, &files)?.join("model")))
    }
}

/// The weights that the trainer wrote, in the folder of the model that it started from: tokenizer, template
/// and configuration are nothing that it learns.
fn taken(
    start: &Start,
    mut files: BTreeMap<String, PathBuf>,
) -> Result<Contents<'static>, StageError> {
    files.retain(|name, _| name.starts_with("model"));
    if let Some(path) = start.files.get("config.json") {
        files.insert("config.json".to_owned(), path.clone());
    }
    check_trained(&files, &start.config).map_err(NotTaken)?;
    let companions = model::companions(&start.files);
    files.extend(companions.map(|(name, path)| (name.clone(), path.clone())));
    Ok(files.into_iter().map(|(name, path)| (name, Content::File(path))).collect())
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
