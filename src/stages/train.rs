//! `train`: the next model, by DPO on this iteration's pairs (Meta-Rewarding, section 2.4). A scripted
//! model learns nothing: it is copied, so that everything around training can run in seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checkpoint::{Content, keep};
use super::learn::{Lesson, learn};
use super::models::model_files;
use super::sides::{Candidate, Sides, Tokeniser, is_on};
use super::start::Start;
use super::trainer::Trainer;
use crate::model::{self, Arguments, Engine};
use crate::records::{Metric, PairId, Reason, ReferenceLogps};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::train::{Dpo, Preference, Settings};

/// Makes the next model.
#[derive(Debug, Clone, Serialize)]
pub struct Train {
    /// What is learned.
    pub dpo: Dpo,
    /// How.
    pub settings: Settings,
    /// Who trains.
    #[serde(skip_serializing_if = "Trainer::is_local")]
    pub trainer: Trainer,
    /// What trains; `None` where that is not this program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// What the model's chat template is given.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub template_arguments: Arguments,
    /// What happens where no pair is kept.
    pub on_no_pairs: OnNoPairs,
    /// Whether what was thought before an answer is trained on.
    #[serde(skip_serializing_if = "is_on")]
    pub thinking: bool,
}

/// What happens where there is nothing to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNoPairs {
    /// The stage fails, and says what became of every candidate.
    Stop,
    /// The model that training would start from is the next one, too.
    Keep,
}

impl Train {
    /// 1: scripted models only. 2: DPO. 3: the reference's log-probabilities are a table. 4: the key
    /// says which engine trained; where a model that an earlier node made is kept as it is, its tensors
    /// are listed, too. 5: the ids that were drawn are trained on, where they are known: no end token
    /// follows what was cut.
    const VERSION: u32 = 5;
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

/// The reference was not asked about this pair.
#[derive(Debug, thiserror::Error)]
#[error("`reference_logps` is not in step with `pairs` at {0}")]
struct NoReference(PairId);

impl Stage for Train {
    fn signature(&self) -> Signature {
        Signature::of("train", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let dropped = none_kept(io)?;
        match (&dropped, self.on_no_pairs) {
            (Some(dropped), OnNoPairs::Stop) => return Err(NoPairs(dropped.clone()).into()),
            (Some(dropped), OnNoPairs::Keep) => io.warn(format!(
                "the model is carried on as it is: no pairs to train on; dropped: {}",
                counted(dropped)
            )),
            (None, _) => {}
        }
        if let (Trainer::Import(import), None) = (&self.trainer, &dropped) {
            return import.take(io);
        }
        let files = model_files(io)?;
        if dropped.is_some() || model::is_scripted(&files)? {
            model::open(&files, &model::open_device(io.device())?)?;
            io.check_unchanged("model")?;
            io.write::<Metric>([])?;
            let files = files.into_iter().map(|(name, path)| (name, Content::File(path)));
            return keep(io, files.collect());
        }
        let start = Start::open(io, None, &self.template_arguments)?;
        let lesson = self.lesson(io, &start)?;
        match &self.trainer {
            Trainer::Trl(trl) => trl.learn(io, &start, &lesson, &self.settings),
            _ => learn(io, &start, &lesson, &self.settings),
        }
    }
}

#[derive(Deserialize)]
struct Fate {
    kept: bool,
    reason: Option<Reason>,
}

/// Where no pair is kept, counts what became of them.
fn none_kept(io: &Io<'_>) -> Result<Option<BTreeMap<&'static str, u64>>, StageError> {
    let mut dropped: BTreeMap<&'static str, u64> = BTreeMap::new();
    for candidate in io.rows::<Fate>("pairs")? {
        let candidate = candidate?;
        if candidate.kept {
            return Ok(None);
        }
        if let Some(reason) = candidate.reason {
            *dropped.entry(reason.as_str()).or_default() += 1;
        }
    }
    Ok(Some(dropped))
}

impl Train {
    /// The kept pairs, each with what the reference made of it.
    fn lesson(&self, io: &Io<'_>, start: &Start) -> Result<Lesson<Dpo, PairId>, StageError> {
        const REFERENCES: &str = "reference_logps";
        let known = io.has(REFERENCES).then(|| io.rows::<ReferenceLogps>(REFERENCES));
        let mut known = known.transpose()?;
        let mut tokeniser = Tokeniser::new(&start.language, self.thinking);
        let (mut ids, mut examples) = (Vec::new(), Vec::new());
        for pair in io.rows::<Candidate>("pairs")? {
            let Some(Sides { pair_id, prompt, chosen, rejected }) = tokeniser.sides(pair?)? else {
                continue;
            };
            let (reference_chosen, reference_rejected) = match &mut known {
                Some(rows) => match rows.next().transpose()?.filter(|row| row.pair_id == pair_id) {
                    Some(row) => (row.ref_chosen_logps, row.ref_rejected_logps),
                    None => return Err(NoReference(pair_id).into()),
                },
                None => (f64::NAN, f64::NAN),
            };
            ids.push(pair_id);
            examples.push(Preference {
                prompt,
                chosen,
                rejected,
                reference_chosen,
                reference_rejected,
            });
        }
        tokeniser.warn(io);
        Ok(Lesson { objective: self.dpo, ids, examples })
    }
}
