//! Reference log-probabilities: what the reference model of DPO thinks of both sides.

use serde::{Deserialize, Serialize};

use super::id::PairId;
use crate::store::{Record, Version};

/// A row of `reference_logps`; the columns' meanings stand in `schemas/reference_logps.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceLogps {
    /// The pair.
    pub pair_id: PairId,
    /// Chosen side, nats.
    pub ref_chosen_logps: f64,
    /// Rejected side, nats.
    pub ref_rejected_logps: f64,
    /// Tokens of the chosen side.
    pub chosen_tokens: i32,
    /// Tokens of the rejected side.
    pub rejected_tokens: i32,
}

impl Record for ReferenceLogps {
    const TABLE: &'static str = "reference_logps";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] =
        &["pair_id", "ref_chosen_logps", "ref_rejected_logps"];
}
