//! Ratings: the strength of each judgement in its tournament.

use serde::{Deserialize, Serialize};

use super::id::{JudgementId, PromptId, ResponseId};
use crate::store::{Record, Version};

/// A row of `ratings`; the columns' meanings stand in `schemas/ratings.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// The prompt whose tournament it is.
    pub prompt_id: PromptId,
    /// The response all players judged.
    pub response_id: ResponseId,
    /// The player.
    pub judgement_id: JudgementId,
    /// Natural-log units, mean 0.
    pub strength: f64,
    /// Approximate, same unit.
    pub standard_error: Option<f64>,
    /// Decided comparisons.
    pub bouts: i32,
    /// Weighted wins.
    pub wins: f64,
    /// Weight of a win from the first position.
    pub omega_first: f64,
    /// Weight of a win from the second.
    pub omega_second: f64,
}

impl Record for Rating {
    const TABLE: &'static str = "ratings";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["judgement_id", "strength", "standard_error"];
}
