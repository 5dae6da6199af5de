//! `train`: the next model, by DPO on this iteration's pairs (Meta-Rewarding, section 2.4) and, where asked,
//! on those of the iterations before. A scripted model learns nothing: it is copied, so that everything around
//! training can run in seconds.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checkpoint::{Content, keep, keep_as_epochs};
use super::learn::{How, Lesson, learn};
use super::models::model_files;
use super::sides::{Candidate, Sides, Tokeniser, is_on};
use super::start::Start;
use super::trainer::Trainer;
use crate::model::adapter::Adapter;
use crate::model::{self, Arguments, Engine, Keep};
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
    /// What this program trains in place of the weights; TRL's is its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Adapter>,
    /// Whether this program computes the inside of layers again on the way back. No number depends on it.
    #[serde(skip)]
    pub gradient_checkpointing: bool,
    /// Bytes of memory that it may take, where the machine says.
    #[serde(skip)]
    pub memory: Option<u64>,
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
    /// Whether the model after each epoch is kept, not only the last.
    #[serde(skip_serializing_if = "is_off")]
    pub keep_epochs: bool,
}

/// What a key leaves out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_off(keep_epochs: &bool) -> bool {
    !*keep_epochs
}

/// What happens where there is nothing to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// follows what was cut. 6: gradients are summed in another order.
    const VERSION: u32 = 6;

    /// The inputs of pairs, each with that of what the reference makes of them: of this iteration first, then
    /// of the one before it, and so on, as far as the node has them.
    pub const WINDOW: [[&'static str; 2]; 10] = [
        ["pairs", "reference_logps"],
        ["pairs_1", "reference_logps_1"],
        ["pairs_2", "reference_logps_2"],
        ["pairs_3", "reference_logps_3"],
        ["pairs_4", "reference_logps_4"],
        ["pairs_5", "reference_logps_5"],
        ["pairs_6", "reference_logps_6"],
        ["pairs_7", "reference_logps_7"],
        ["pairs_8", "reference_logps_8"],
        ["pairs_9", "reference_logps_9"],
    ];
}

/// The tables of pairs that the node has, each with that of the reference.
fn window<'i>(io: &'i Io<'_>) -> impl Iterator<Item = [&'static str; 2]> + 'i {
    Train::WINDOW.into_iter().take_while(|[pairs, _]| io.has(pairs))
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
#[error("`{reference_logps}` is not in step with `{pairs}` at {pair_id}")]
struct NoReference {
    pairs: &'static str,
    reference_logps: &'static str,
    pair_id: PairId,
}

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
            let files = files.into_iter().map(|(name, path)| (name, Content::File(path))).collect();
            return if self.keep_epochs {
                keep_as_epochs(io, self.settings.epochs, files)
            } else {
                keep(io, files)
            };
        }
        let start = Start::open(io, None, &self.template_arguments)?;
        let lesson = self.lesson(io, &start)?;
        match &self.trainer {
            Trainer::Trl(trl) => trl.learn(io, &start, &lesson, (&self.settings, self.keep_epochs)),
            _ => learn(
                io,
                &start,
                &lesson,
                How {
                    settings: &self.settings,
                    adapter: self.adapter.as_ref(),
                    keep_epochs: self.keep_epochs,
                    keep: Keep::checkpointing(self.gradient_checkpointing),
                    memory: self.memory,
                },
            ),
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
    for [pairs, _] in window(io) {
        for candidate in io.rows::<Fate>(pairs)? {
            let candidate = candidate?;
            if candidate.kept {
                return Ok(None);
            }
            if let Some(reason) = candidate.reason {
                *dropped.entry(reason.as_str()).or_default() += 1;
            }
        }
    }
    Ok(Some(dropped))
}

impl Train {
    /// The kept pairs, each with what the reference made of it: this iteration's first. A pair that an
    /// earlier iteration made, too, is trained on once.
    fn lesson(&self, io: &Io<'_>, start: &Start) -> Result<Lesson<Dpo, PairId>, StageError> {
        let mut tokeniser = Tokeniser::new(&start.language, self.thinking);
        let mut taken = Vec::new();
        for [pairs, reference_logps] in window(io) {
            // There is no such table where whoever trains asks the reference.
            let known = io.has(reference_logps).then(|| io.rows::<ReferenceLogps>(reference_logps));
            let mut known = known.transpose()?;
            for pair in io.rows::<Candidate>(pairs)? {
                let Some(sides) = tokeniser.sides(pair?)? else { continue };
                let reference = match &mut known {
                    None => None,
                    Some(rows) => match rows.next().transpose()? {
                        Some(row) if row.pair_id == sides.pair_id => Some(row),
                        _ => {
                            let pair_id = sides.pair_id;
                            return Err(NoReference { pairs, reference_logps, pair_id }.into());
                        }
                    },
                };
                taken.push(preference(sides, reference.as_ref()));
            }
        }
        tokeniser.warn(io);
        let (ids, examples) = each_once(taken).unzip();
        Ok(Lesson { objective: self.dpo, ids, examples })
    }
}

fn preference(sides: Sides, reference: Option<&ReferenceLogps>) -> (PairId, Preference) {
    let Sides { pair_id, prompt, chosen, rejected } = sides;
    let preference = Preference {
        prompt,
        chosen,
        rejected,
        reference_chosen: reference.map_or(f64::NAN, |row| row.ref_chosen_logps),
        reference_rejected: reference.map_or(f64::NAN, |row| row.ref_rejected_logps),
    };
    (pair_id, preference)
}

/// Leaves out every pair that came before.
fn each_once(taken: Vec<(PairId, Preference)>) -> impl Iterator<Item = (PairId, Preference)> {
    let mut known = HashSet::new();
    taken.into_iter().filter(move |(pair_id, _)| known.insert(pair_id.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Id as _;

    #[test]
    fn a_pair_of_two_iterations_is_trained_on_once_and_where_it_stood_first() {
        let of = |pair: &str, token: u32| {
            let sides = Sides {
                pair_id: PairId::from_text(pair.to_owned()),
                prompt: vec![token],
                chosen: vec![1],
                rejected: vec![2],
            };
            let reference = ReferenceLogps {
                pair_id: sides.pair_id.clone(),
                ref_chosen_logps: -1.0,
                ref_rejected_logps: -2.0,
                chosen_tokens: 1,
                rejected_tokens: 1,
            };
            preference(sides, Some(&reference))
        };
        let both = vec![of("d_b", 1), of("d_a", 2), of("d_c", 3), of("d_b", 4), of("d_d", 5)];
        let left = each_once(both).map(|(pair, preference)| (pair.to_string(), preference.prompt));
        let expected = [("d_b", 1), ("d_a", 2), ("d_c", 3), ("d_d", 5)];
        let expected = expected.map(|(pair, token)| (pair.to_owned(), vec![token]));
        assert_eq!(left.collect::<Vec<_>>(), expected);
    }
}
