//! The column `prompt` of an experiment's query: a text, or a conversation.

use serde::Deserialize;
use serde_json::Value;

use super::columns::find;
use crate::query::Column;
use crate::records::{Message, PromptId, RowId};

/// Why a row's `prompt` is not a conversation. Rows are counted from 1, as the query gives them.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadConversation {
    #[error(
        "column `prompt` is {0}; expected VARCHAR, or a list of STRUCT(role VARCHAR, content VARCHAR)"
    )]
    WrongType(String),
    #[error("row {row} has no prompt: it is {what}")]
    Empty { row: usize, what: &'static str },
    #[error("row {row}, message {message}: role `{role}` is not system, user or assistant")]
    BadRole { row: usize, message: usize, role: String },
    #[error("row {row} asks nothing: its roles are {roles}, and {what}")]
    AsksNothing { row: usize, roles: String, what: &'static str },
}

/// A message as the query gives it.
#[derive(Deserialize)]
pub(super) struct GivenMessage {
    role: Option<String>,
    content: Option<String>,
}

/// Selects the column as `text` or as `messages`, and NULL as the other.
pub(super) fn select(columns: &[Column]) -> Result<&'static str, BadConversation> {
    match find(columns, "prompt").map(|column| column.kind.as_str()) {
        Some("VARCHAR") => {
            Ok("prompt AS text, NULL::STRUCT(\"role\" VARCHAR, \"content\" VARCHAR)[] AS messages")
        }
        Some(kind) if is_conversation(kind) => Ok(
            "NULL::VARCHAR AS text, [{'role': m.\"role\"::VARCHAR, 'content': m.\"content\"::VARCHAR} FOR m IN prompt] AS messages",
        ),
        kind => Err(BadConversation::WrongType(kind.unwrap_or_default().to_owned())),
    }
}

fn is_conversation(kind: &str) -> bool {
    let fields = kind.strip_prefix("STRUCT(").and_then(|kind| kind.strip_suffix(")[]"));
    let fields = fields.unwrap_or_default().replace('"', "");
    ["role VARCHAR", "content VARCHAR"].iter().all(|field| fields.split(", ").any(|f| f == *field))
}

/// Reads what [`select`] gives of a row: at least one message, and some text in them.
pub(super) fn read(
    row: usize,
    text: Option<String>,
    messages: Option<Vec<Option<GivenMessage>>>,
) -> Result<Vec<Message>, BadConversation> {
    let messages = match (text, messages) {
        (Some(text), _) => vec![Message { role: "user".to_owned(), content: text }],
        (None, Some(messages)) => given(row, messages)?,
        (None, None) => return Err(BadConversation::Empty { row, what: "NULL" }),
    };
    if messages.iter().all(|message| message.content.trim().is_empty()) {
        return Err(BadConversation::Empty { row, what: "empty" });
    }
    Ok(messages)
}

fn given(row: usize, messages: Vec<Option<GivenMessage>>) -> Result<Vec<Message>, BadConversation> {
    let check = |(message, given): (usize, Option<GivenMessage>)| {
        let Some(GivenMessage { role: Some(role), content: Some(content) }) = given else {
            return Err(BadConversation::Empty { row, what: "a conversation with a NULL in it" });
        };
        if ["system", "user", "assistant"].contains(&role.as_str()) {
            Ok(Message { role, content })
        } else {
            Err(BadConversation::BadRole { row, message, role })
        }
    };
    (1..).zip(messages).map(check).collect()
}

/// Checks that a conversation asks for an answer: somebody speaks in it, and the answer is not there yet.
pub(super) fn check_asks(row: usize, messages: &[Message]) -> Result<(), BadConversation> {
    let is = |role: &'static str| move |message: &Message| message.role == role;
    let what = if messages.last().is_some_and(is("assistant")) {
        "the last is the assistant's, whose turn comes next"
    } else if !messages.iter().any(is("user")) {
        "none is the user's"
    } else {
        return Ok(());
    };
    let roles = messages.iter().map(|message| message.role.as_str());
    let roles = roles.collect::<Vec<_>>().join(", ");
    Err(BadConversation::AsksNothing { row, roles, what })
}

/// A conversation as part of an id.
pub(super) fn parts(messages: &[Message]) -> Value {
    messages.iter().map(|m| vec![m.role.clone(), m.content.clone()]).collect()
}

/// The id of the prompt that a conversation is.
pub(super) fn id(messages: &[Message]) -> PromptId {
    RowId::of(parts(messages)).finish()
}
