//! `evaluate`: a model's answers to held-out prompts against a baseline's, one verdict per game.
//!
//! [`Compare`] asks a judge model, in both orders; [`Oracle`] asks a query that scores answers.

mod compare;
mod oracle;

pub use compare::Compare;
pub use oracle::Oracle;
pub(super) use oracle::scored_by;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::align::{InStep, OutOfStep, groups};
use crate::records::{FinishReason, RowId};
use crate::runner::{Io, Stage, StageError};

/// Returns the stage whose configuration a run's key spells out, to play against another baseline.
///
/// # Errors
/// Where it is not one of an `evaluate` run.
pub fn played_again(config: &Value, baseline: String) -> Result<Box<dyn Stage>, StageError> {
    if config.get("sql").is_some() {
        let oracle = serde_json::from_value::<Oracle>(config.clone())?;
        return Ok(Box::new(Oracle { baseline, ..oracle }));
    }
    Ok(Box::new(Compare { baseline, ..Compare::of_config(config)? }))
}

/// A held-out prompt.
#[derive(Debug, Clone, Deserialize)]
struct Question {
    prompt_id: String,
    prompt: String,
}

/// An answer to one.
#[derive(Debug, Clone, Deserialize)]
struct Answer {
    response_id: String,
    prompt_id: String,
    text: String,
    finish_reason: FinishReason,
}

impl Answer {
    fn chars(&self) -> Result<i32, StageError> {
        Ok(i32::try_from(self.text.chars().count())?)
    }
}

/// Two answers to one prompt.
#[derive(Debug, Clone)]
pub(in crate::stages) struct Game {
    question: Question,
    response: Answer,
    baseline: Answer,
}

impl Game {
    /// Whether one of the answers is none: the model that should have given it refused the prompt.
    fn is_refused(&self) -> bool {
        [&self.response, &self.baseline].iter().any(|a| a.finish_reason == FinishReason::Refused)
    }

    /// Starts the id of a verdict: both answers.
    fn id(&self) -> RowId {
        RowId::of(self.response.response_id.clone()).and(self.baseline.response_id.clone())
    }
}

/// Streams the games: each answer of the model against one of the baseline's, in turn where it has
/// fewer. The baseline's may stand in the order of another experiment's seed, so they are held whole.
fn games(
    io: &Io<'_>,
) -> Result<impl Iterator<Item = Result<Game, StageError>> + use<>, StageError> {
    let questions = io.rows::<Question>("prompts")?;
    let responses = groups(io.rows::<Answer>("responses")?, |row| row.prompt_id.clone());
    let mut responses = InStep::new("responses", responses);
    let mut of_baseline: HashMap<String, Vec<Answer>> = HashMap::new();
    for answer in io.rows::<Answer>("baseline")? {
        let answer = answer?;
        of_baseline.entry(answer.prompt_id.clone()).or_default().push(answer);
    }
    let mut of_prompt = move |question: Result<Question, _>| -> Result<Vec<Game>, StageError> {
        let question = question.map_err(StageError::from)?;
        let responses = responses.take(&question.prompt_id)?;
        let at = &question.prompt_id;
        let baselines = of_baseline
            .remove(at)
            .ok_or_else(|| OutOfStep { table: "baseline", at: at.clone() })?;
        let game = |(response, baseline): (Answer, &Answer)| Game {
            question: question.clone(),
            response,
            baseline: baseline.clone(),
        };
        Ok(responses.into_iter().zip(baselines.iter().cycle()).map(game).collect())
    };
    Ok(questions.flat_map(move |question| match of_prompt(question) {
        Ok(games) => games.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }))
}
