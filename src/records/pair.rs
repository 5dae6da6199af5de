//! Pairs: candidates for preference training, kept or dropped with the reason.

use serde::{Deserialize, Serialize};

use super::Message;
use super::id::{JudgementId, PairId, PromptId, ResponseId};
use crate::store::{Record, Version};

/// A row of `pairs`; the columns' meanings stand in `schemas/pairs.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Its id.
    pub pair_id: PairId,
    /// The prompt it stems from.
    pub prompt_id: PromptId,
    /// Whose behaviour it trains.
    pub role: Role,
    /// Whether training uses it.
    pub kept: bool,
    /// Why it was dropped.
    pub reason: Option<Reason>,
    /// Preferred response, or the one judged.
    pub chosen_response_id: Option<ResponseId>,
    /// The other response.
    pub rejected_response_id: Option<ResponseId>,
    /// Preferred judgement.
    pub chosen_judgement_id: Option<JudgementId>,
    /// The other judgement.
    pub rejected_judgement_id: Option<JudgementId>,
    /// Score or strength of the preferred side.
    pub score_chosen: Option<f64>,
    /// The same of the other.
    pub score_rejected: Option<f64>,
    /// What both sides answer.
    pub messages: Vec<Message>,
    /// Text of the preferred side.
    pub chosen: Option<String>,
    /// Text of the other side.
    pub rejected: Option<String>,
    /// Ids of the tokens drawn for the preferred side.
    pub chosen_ids: Option<Vec<u32>>,
    /// The same of the other.
    pub rejected_ids: Option<Vec<u32>>,
}

impl Record for Pair {
    const TABLE: &'static str = "pairs";
    const VERSION: Version = Version::new(1, 1);
    const DISTINCT: &'static [&'static str] = &[
        "pair_id",
        "prompt_id",
        "chosen_response_id",
        "rejected_response_id",
        "chosen_judgement_id",
        "rejected_judgement_id",
        "chosen",
        "rejected",
    ];
}

/// Whose behaviour a pair trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Two responses to a prompt.
    Actor,
    /// Two judgements of a response.
    Judge,
}

/// Why a candidate is not trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Fewer than two responses have a valid score; no judgement has one.
    NoValidScore,
    /// Every response scores the same.
    EqualScores,
    /// Every response has the same text.
    EqualTexts,
    /// Both sides are the same tokens.
    EqualIds,
    /// The token limit cut what would be preferred.
    Cut,
    /// Tiers of scores cross, and what would be preferred scores no better.
    NotBetter,
    /// The preferred side is longer than the limit.
    ChosenTooLong,
    /// No response's scores vary.
    NoVariance,
    /// The tournament tells no judgement from another.
    NoInformation,
    /// More judge pairs than are wanted prefer its score.
    TooManyOfScore,
    /// There are more judge pairs than are wanted.
    TooManyJudgePairs,
}

impl Reason {
    /// Returns the word that stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoValidScore => "no_valid_score",
            Self::EqualScores => "equal_scores",
            Self::EqualTexts => "equal_texts",
            Self::EqualIds => "equal_ids",
            Self::Cut => "cut",
            Self::NotBetter => "not_better",
            Self::ChosenTooLong => "chosen_too_long",
            Self::NoVariance => "no_variance",
            Self::NoInformation => "no_information",
            Self::TooManyOfScore => "too_many_of_score",
            Self::TooManyJudgePairs => "too_many_judge_pairs",
        }
    }
}
