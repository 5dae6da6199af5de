//! `reference`: what DPO's reference model thinks of both sides of each kept pair, before training
//! begins (Meta-Rewarding, section 2.4).

use serde::{Deserialize, Serialize};

use super::draw::{conversation, open_model};
use crate::model::{Arguments, Continuation, Engine, LanguageModel, Local, Prompt, Scored};
use crate::records::{Message, ReferenceLogps};
use crate::runner::{Io, Signature, Stage, StageError};

/// Scores pairs. A scripted model knows no probabilities: it leaves the table empty.
#[derive(Debug, Clone, Serialize)]
pub struct Reference {
    /// What scores.
    pub engine: Engine,
    /// What the model's chat template is given.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub template_arguments: Arguments,
}

impl Reference {
    /// 1: the first. 2: the key says which engine scored.
    const VERSION: u32 = 2;

    /// Pairs in a shard.
    const SHARD: usize = 64;
}

#[derive(Deserialize)]
struct Candidate {
    pair_id: String,
    kept: bool,
    messages: Vec<Message>,
    chosen: Option<String>,
    rejected: Option<String>,
}

/// A kept pair as the model reads it.
struct Sides {
    pair_id: String,
    prompt: Vec<u32>,
    chosen: Vec<u32>,
    rejected: Vec<u32>,
}

impl Sides {
    fn asked(&self) -> Scored {
        let side = |tokens: &Vec<u32>| Continuation::Tokens(tokens.clone());
        Scored {
            prompt: Prompt::Tokens(self.prompt.clone()),
            continuations: vec![side(&self.chosen), side(&self.rejected)],
        }
    }
}

/// A model gave other than two log-probabilities for the two sides of a pair.
#[derive(Debug, thiserror::Error)]
#[error("the model gave {found} log-probabilities for the two sides of pair {pair_id}")]
struct NotTwo {
    pair_id: String,
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
        let pairs = io.rows::<Candidate>("pairs")?.filter_map(|row| match row {
            Ok(row) => sides(model, row).transpose(),
            Err(error) => Some(Err(error.into())),
        });
        io.each_shard(total, Self::SHARD, pairs, |pairs, _| {
            let asked: Vec<Scored> = pairs.iter().map(Sides::asked).collect();
            let scores = model.score(&asked)?;
            pairs.into_iter().zip(scores).map(|(pair, scores)| row(pair, &scores)).collect()
        })
    }
}

#[derive(Deserialize)]
struct Kept {
    kept: bool,
}

fn sides(model: &Local, row: Candidate) -> Result<Option<Sides>, StageError> {
    let Candidate { pair_id, kept: true, messages, chosen: Some(chosen), rejected: Some(rejected) } =
        row
    else {
        return Ok(None);
    };
    let messages = conversation(messages);
    let (prompt, chosen) = model.example(&messages, &chosen)?;
    let (_, rejected) = model.example(&messages, &rejected)?;
    Ok(Some(Sides { pair_id, prompt, chosen, rejected }))
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
