//! `reference`: what DPO's reference model thinks of both sides of each kept pair, before training
//! begins (Meta-Rewarding, section 2.4).

use serde::{Deserialize, Serialize};

use super::models::open_model;
use super::sides::{Candidate, Sides, Tokeniser, is_on};
use crate::model::{Arguments, Continuation, Engine, LanguageModel, Local, Prompt, ScoreRequest};
use crate::records::{PairId, ReferenceLogps};
use crate::runner::{Io, Signature, Stage, StageError};

/// Scores pairs. A scripted model knows no probabilities: it leaves the table empty.
#[derive(Debug, Clone, Serialize)]
pub struct Reference {
    /// What scores.
    pub engine: Engine,
    /// Whether what was thought before an answer is part of it.
    #[serde(skip_serializing_if = "is_on")]
    pub thinking: bool,
    /// What the model's chat template is given.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub template_arguments: Arguments,
}

impl Reference {
    /// 1: the first. 2: the key says which engine scored. 3: the ids that were drawn are scored, where they
    /// are known.
    const VERSION: u32 = 3;

    /// Pairs in a shard.
    const SHARD: usize = 64;
}

fn asked(sides: &Sides) -> ScoreRequest {
    let side = |tokens: &Vec<u32>| Continuation::Tokens(tokens.clone());
    ScoreRequest {
        prompt: Prompt::Tokens(sides.prompt.clone()),
        continuations: vec![side(&sides.chosen), side(&sides.rejected)],
    }
}

/// A model gave other than two log-probabilities for the two sides of a pair.
#[derive(Debug, thiserror::Error)]
#[error("the model gave {found} log-probabilities for the two sides of pair {pair_id}")]
struct NotTwo {
    pair_id: PairId,
    found: usize,
}

impl Stage for Reference {
    fn signature(&self) -> Signature {
        Signature::of("reference", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let opened = open_model(io, &self.template_arguments)?;
        let Some(model) = opened.as_any().downcast_ref::<Local>() else {
            return io.write::<ReferenceLogps>([]);
        };
        let mut total = 0;
        for row in io.rows::<Kept>("pairs")? {
            total += u64::from(row?.kept);
        }
        let mut tokeniser = Tokeniser::new(model.language(), self.thinking);
        let pairs = io.rows::<Candidate>("pairs")?.filter_map(|row| match row {
            Ok(row) => tokeniser.sides(row).transpose(),
            Err(error) => Some(Err(error.into())),
        });
        io.each_shard(total, Self::SHARD, pairs, |pairs, _| {
            let asked: Vec<ScoreRequest> = pairs.iter().map(asked).collect();
            let scores = model.score(&asked)?;
            pairs.into_iter().zip(scores).map(|(pair, scores)| row(pair, &scores)).collect()
        })
    }
}

#[derive(Deserialize)]
struct Kept {
    kept: bool,
}

fn row(pair: Sides, scores: &[f64]) -> Result<ReferenceLogps, StageError> {
    let &[ref_chosen_logps, ref_rejected_logps] = scores else {
        return Err(NotTwo { pair_id: pair.pair_id, found: scores.len() }.into());
    };
    Ok(ReferenceLogps {
        pair_id: pair.pair_id,
        ref_chosen_logps,
        ref_rejected_logps,
        chosen_tokens: i32::try_from(pair.chosen.len())?,
        rejected_tokens: i32::try_from(pair.rejected.len())?,
    })
}
