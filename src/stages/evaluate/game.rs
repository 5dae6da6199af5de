//! Games: two answers to one prompt.

use std::collections::HashMap;

use serde::Deserialize;

use crate::records::{FinishReason, PromptId, ResponseId, RowId};
use crate::runner::{Io, StageError};
use crate::stages::align::{InStep, OutOfStep, groups};

/// A held-out prompt.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct AskedPrompt {
    pub(super) prompt_id: PromptId,
    pub(super) prompt: String,
}

/// An answer to one.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PlayedResponse {
    pub(super) response_id: ResponseId,
    pub(super) prompt_id: PromptId,
    pub(super) text: String,
    pub(super) finish_reason: FinishReason,
}

impl PlayedResponse {
    pub(super) fn chars(&self) -> Result<i32, StageError> {
        Ok(i32::try_from(self.text.chars().count())?)
    }
}

/// Two answers to one prompt.
#[derive(Debug, Clone)]
pub(in crate::stages) struct Game {
    pub(super) question: AskedPrompt,
    pub(super) response: PlayedResponse,
    pub(super) baseline: PlayedResponse,
}

impl Game {
    /// Whether one of the answers was refused: the model that should have given it refused the prompt.
    pub(super) fn is_refused(&self) -> bool {
        [&self.response, &self.baseline].iter().any(|a| a.finish_reason == FinishReason::Refused)
    }

    /// Starts the id of a verdict: both answers.
    pub(super) fn id(&self) -> RowId {
        RowId::of(self.response.response_id.clone()).and(self.baseline.response_id.clone())
    }
}

/// Streams the games: each answer of the model against one of the baseline's, in turn where it has
/// fewer. The baseline's may stand in the order of another experiment's seed, so they are held whole.
pub(super) fn games(
    io: &Io<'_>,
) -> Result<impl Iterator<Item = Result<Game, StageError>> + use<>, StageError> {
    let questions = io.rows::<AskedPrompt>("prompts")?;
    let responses = groups(io.rows::<PlayedResponse>("responses")?, |row| row.prompt_id.clone());
    let mut responses = InStep::new("responses", responses);
    let mut of_baseline: HashMap<PromptId, Vec<PlayedResponse>> = HashMap::new();
    for answer in io.rows::<PlayedResponse>("baseline")? {
        let answer = answer?;
        of_baseline.entry(answer.prompt_id.clone()).or_default().push(answer);
    }
    let mut of_prompt = move |question: Result<AskedPrompt, _>| -> Result<Vec<Game>, StageError> {
        let question = question.map_err(StageError::from)?;
        let responses = responses.take(&question.prompt_id)?;
        let at = &question.prompt_id;
        let baselines = of_baseline
            .remove(at)
            .ok_or_else(|| OutOfStep { table: "baseline", at: at.to_string() })?;
        let game = |(response, baseline): (PlayedResponse, &PlayedResponse)| Game {
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
