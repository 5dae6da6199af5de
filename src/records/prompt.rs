//! Prompts, and the messages they are made of.

use serde::{Deserialize, Serialize};

use super::id::PromptId;
use crate::store::{Record, Version};

/// A row of `prompts`; the columns' meanings stand in `schemas/prompts.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Its id.
    pub prompt_id: PromptId,
    /// Place in the share.
    pub position: i32,
    /// The text a judge is shown.
    pub prompt: String,
    /// The conversation sent to the model.
    pub messages: Vec<Message>,
    /// The right answer, where known.
    pub reference: Option<String>,
    /// The source's category.
    pub category: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
}

impl Record for Prompt {
    const TABLE: &'static str = "prompts";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["prompt_id", "position", "prompt"];
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}
