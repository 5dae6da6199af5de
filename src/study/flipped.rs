//! The prompts on which one model beats the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::recorded::{Error, rows};
use crate::records::{Prompt, PromptId, Response, Verdict};
use crate::store::{Store, StoredTable};

/// A prompt on which one model beats the other.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flipped {
    /// Its id.
    pub prompt_id: PromptId,
    /// Of the second model: above a half it is better.
    pub preference: f64,
    /// What was asked.
    pub prompt: String,
    /// The right answer, where one is known.
    pub reference: Option<String>,
    /// What the first model answers.
    pub first: String,
    /// What the second answers.
    pub second: String,
}

/// What games came to, prompt by prompt.
pub(super) struct Decided {
    pub(super) prompts: usize,
    pub(super) equal: usize,
    /// The worst loss first.
    pub(super) flipped: Vec<Flipped>,
}

/// Decides each prompt by the mean of its games.
pub(super) fn decide(
    store: &Store,
    asked: StoredTable,
    answers: [StoredTable; 2],
    verdicts: Vec<Verdict>,
) -> Result<Decided, Error> {
    let mut of_prompt: BTreeMap<PromptId, Vec<f64>> = BTreeMap::new();
    for Verdict { prompt_id, preference, .. } in verdicts {
        of_prompt.entry(prompt_id).or_default().extend(preference);
    }
    let first_of = |table| -> Result<BTreeMap<PromptId, String>, Error> {
        let mut texts = BTreeMap::new();
        for Response { prompt_id, text, .. } in rows::<Response>(store, table)? {
            texts.entry(prompt_id).or_insert(text);
        }
        Ok(texts)
    };
    let (mut firsts, mut seconds) = (first_of(answers[0])?, first_of(answers[1])?);
    let mut decided = Decided { prompts: 0, equal: 0, flipped: Vec::new() };
    for Prompt { prompt_id, prompt, reference, .. } in rows::<Prompt>(store, asked)? {
        let Some(all) = of_prompt.get(&prompt_id).filter(|all| !all.is_empty()) else { continue };
        decided.prompts += 1;
        #[expect(clippy::cast_precision_loss, reason = "a prompt has few games")]
        let preference = all.iter().sum::<f64>() / all.len() as f64;
        if (preference - 0.5).abs() < 1e-9 {
            decided.equal += 1;
            continue;
        }
        let (first, second) = (firsts.remove(&prompt_id), seconds.remove(&prompt_id));
        let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
        decided.flipped.push(Flipped { prompt_id, preference, prompt, reference, first, second });
    }
    decided.flipped.sort_by(|a, b| a.preference.total_cmp(&b.preference));
    Ok(decided)
}
