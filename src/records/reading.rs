//! Readings: what a text says, or why nothing could be read.

use serde::{Deserialize, Serialize};

use super::id::{JudgementId, MetaJudgementId};
use crate::store::{Record, Version};

/// A row of `readings`; the columns' meanings stand in `schemas/readings.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The judgement that was read.
    pub judgement_id: Option<JudgementId>,
    /// The meta-judgement that was read.
    pub meta_judgement_id: Option<MetaJudgementId>,
    /// The score, or the winner.
    pub value: Option<f64>,
    /// Where the verdict was weighed: the mean of what it might have been.
    pub soft_value: Option<f64>,
    /// Whether there is a value.
    pub status: Status,
    /// The rule and its version.
    pub rule: String,
}

impl Record for Reading {
    const TABLE: &'static str = "readings";
    const VERSION: Version = Version::new(1, 1);
    const DISTINCT: &'static [&'static str] = &["judgement_id", "meta_judgement_id"];
}

/// Whether a text could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has a value.
    Ok,
    /// It has no marker.
    Missing,
    /// Its number is outside the scale.
    OffScale,
    /// The token limit cut it, so what it says is not its last word.
    Truncated,
    /// Its marker names no one.
    Ambiguous,
    /// There is no text: the model did not take the prompt.
    Refused,
}

impl Status {
    /// Returns the word that stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::OffScale => "off_scale",
            Self::Truncated => "truncated",
            Self::Ambiguous => "ambiguous",
            Self::Refused => "refused",
        }
    }
}
