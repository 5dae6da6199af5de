//! Meta-judgements: two judgements of one response, compared in one order.

use serde::{Deserialize, Serialize};

use super::FinishReason;
use crate::store::{Record, Version};

/// A row of `meta_judgements`; the columns' meanings stand in `schemas/meta_judgements.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetaJudgement {
    /// Its id.
    pub meta_judgement_id: String,
    /// The prompt that was answered.
    pub prompt_id: String,
    /// The response both are about.
    pub response_id: String,
    /// Shown as A.
    pub first_judgement_id: String,
    /// Shown as B.
    pub second_judgement_id: String,
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

impl Record for MetaJudgement {
    const TABLE: &'static str = "meta_judgements";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["meta_judgement_id", "seed", "text", "text_digest"];
}
