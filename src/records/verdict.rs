//! Verdicts: games of a model against a baseline.

use serde::{Deserialize, Serialize};

use super::id::{PromptId, ResponseId, VerdictId};
use super::{DrawnRow, Status, Weighed};
use crate::store::{Record, Version};

/// A row of `verdicts`; the columns' meanings stand in `schemas/verdicts.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Its id.
    pub verdict_id: VerdictId,
    /// The prompt both answer.
    pub prompt_id: PromptId,
    /// The model's answer.
    pub response_id: Option<ResponseId>,
    /// The baseline's answer.
    pub baseline_response_id: Option<ResponseId>,
    /// The baseline.
    pub baseline: String,
    /// Who decided.
    pub judge: String,
    /// Whose answer came first.
    pub first_shown: Shown,
    /// How far the model is preferred, 0 to 1.
    pub preference: Option<f64>,
    /// Whether there is a preference.
    pub status: Status,
    /// The verdict, as decoded, without what was thought before it.
    pub text: Option<String>,
    /// Characters of the model's answer.
    pub response_chars: i32,
    /// Characters of the baseline's answer.
    pub baseline_chars: i32,
    /// Why nobody decided.
    pub refusal: Option<String>,
    /// What was thought before it.
    pub thinking: Option<String>,
    /// Where it was weighed: what it might have been.
    pub weighed: Option<Vec<Weighed>>,
}

impl DrawnRow for Verdict {
    type Id = VerdictId;

    fn id(&self) -> &VerdictId {
        &self.verdict_id
    }

    fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

impl Record for Verdict {
    const TABLE: &'static str = "verdicts";
    const VERSION: Version = Version::new(1, 1);
    const DISTINCT: &'static [&'static str] =
        &["verdict_id", "prompt_id", "response_id", "baseline_response_id", "text", "thinking"];
}

/// Whose answer a judge saw first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// The model's.
    Model,
    /// The baseline's.
    Baseline,
    /// No order was shown: the verdict was computed.
    None,
}
