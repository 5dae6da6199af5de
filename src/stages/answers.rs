//! `answers`: ready-made answers to the held-out prompts, as a baseline to play against.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::columns::{BadColumns, check, select};
use super::conversation::{self, BadConversation, GivenMessage};
use crate::query::Inputs;
use crate::records::{FinishReason, PromptId, Response, RowId};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::store::Digest;

/// Takes the answers that a query gives.
#[derive(Debug, Clone, Serialize)]
pub struct Answers {
    /// The query, of `prompt` and `response`; see [`Inputs`] for what it may do.
    pub sql: String,
}

impl Answers {
    /// 1: the first. 2: time zones are UTC's, not the machine's; `read_text` says no place and no time.
    /// 3: `response` are text in the query's result, never cast to it.
    const VERSION: u32 = 3;
}

/// Why a query's rows are no answers. Rows are counted from 1, as the query gives them.
#[derive(Debug, thiserror::Error)]
enum BadAnswers {
    #[error(transparent)]
    Columns(#[from] BadColumns),
    #[error(transparent)]
    Conversation(#[from] BadConversation),
    #[error("row {row} has no response: it is NULL")]
    NoResponse { row: usize },
    #[error("rows {first} and {second} answer the same prompt")]
    Twice { first: usize, second: usize },
    #[error("no answer to {missing} of the {of} evaluation prompts; the first is `{first}`")]
    Lost { missing: usize, of: usize, first: String },
}

#[derive(Deserialize)]
struct Given {
    text: Option<String>,
    messages: Option<Vec<Option<GivenMessage>>>,
    response: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    prompt_id: PromptId,
    prompt: String,
}

impl Stage for Answers {
    fn signature(&self) -> Signature {
        Signature::of("answers", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let files = io.files("files")?.unwrap_or_default();
        let inputs = Inputs::open(&self.sql, &files, &[], &[])?;
        let columns = inputs.columns()?;
        check(&columns, &["prompt", "response"], &[], "ready-made answers")?;
        inputs.check_texts(&columns, &["response"])?;
        let response = select(&columns, "response", "VARCHAR", "response");
        let given = inputs.rows(&format!("{}, {response}", conversation::select(&columns)?))?;
        io.check_unchanged("files")?;
        let mut answers = by_prompt(given)?;
        let (mut rows, mut lost) = (Vec::new(), Vec::new());
        for asked in io.rows::<Asked>("prompts")? {
            let Asked { prompt_id, prompt } = asked?;
            match answers.remove(&prompt_id) {
                Some((_, text)) => rows.push(response_of(prompt_id, text)),
                None => lost.push(prompt),
            }
        }
        if let Some(first) = lost.first() {
            let first = first.chars().take(60).collect();
            let (missing, of) = (lost.len(), lost.len() + rows.len());
            return Err(BadAnswers::Lost { missing, of, first }.into());
        }
        io.write(rows.into_iter().map(Ok))
    }
}

/// The answers by the ids of their prompts, with the rows that they come from.
fn by_prompt(given: Vec<Given>) -> Result<HashMap<PromptId, (usize, String)>, BadAnswers> {
    let mut answers = HashMap::with_capacity(given.len());
    for (row, Given { text, messages, response }) in (1..).zip(given) {
        let prompt = conversation::id(&conversation::read(row, text, messages)?);
        let response = response.ok_or(BadAnswers::NoResponse { row })?;
        if let Some((first, _)) = answers.insert(prompt, (row, response)) {
            return Err(BadAnswers::Twice { first, second: row });
        }
    }
    Ok(answers)
}

/// A row for a text that no model of this experiment drew: it has no seed and no tokens.
pub(super) fn ready_made(prompt_id: PromptId, id: RowId, sample: i32, text: String) -> Response {
    Response {
        response_id: id.finish(),
        prompt_id,
        sample,
        seed: 0,
        text_digest: Digest::of(text.as_bytes()).to_hex(),
        text,
        thinking: None,
        completion_ids: None,
        prompt_tokens: 0,
        completion_tokens: 0,
        finish_reason: FinishReason::Stop,
        logprob: None,
        refusal: None,
    }
}

fn response_of(prompt_id: PromptId, text: String) -> Response {
    let id = RowId::of(prompt_id.clone()).and("ready-made").and(text.clone());
    ready_made(prompt_id, id, 0, text)
}
