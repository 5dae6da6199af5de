//! Responses: what the actor drew.

use serde::{Deserialize, Serialize};

use crate::store::{Record, Version};

/// A row of `responses`; the columns' meanings stand in `schemas/responses.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Its id.
    pub response_id: String,
    /// The prompt that is answered.
    pub prompt_id: String,
    /// Which of the K draws.
    pub sample: i32,
    /// Seed of this draw alone.
    pub seed: u64,
    /// The text, as decoded.
    pub text: String,
    /// Digest of the text.
    pub text_digest: String,
    /// Tokens read.
    pub prompt_tokens: i32,
    /// Tokens drawn.
    pub completion_tokens: i32,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Summed log-probability, nats.
    pub logprob: Option<f64>,
}

impl Record for Response {
    const TABLE: &'static str = "responses";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["response_id", "seed", "text", "text_digest"];
}

/// Why a draw ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it.
    Stop,
    /// The token limit cut it.
    Length,
}
