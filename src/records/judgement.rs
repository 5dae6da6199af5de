//! Judgements: what the judge drew, nothing parsed.

use serde::{Deserialize, Serialize};

use super::FinishReason;
use crate::store::{Record, Version};

/// A row of `judgements`; the columns' meanings stand in `schemas/judgements.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Its id.
    pub judgement_id: String,
    /// The prompt that was answered.
    pub prompt_id: String,
    /// The response that is judged.
    pub response_id: String,
    /// Which of the N draws.
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

impl Record for Judgement {
    const TABLE: &'static str = "judgements";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["judgement_id", "seed", "text", "text_digest"];
}
