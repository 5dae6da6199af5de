//! Metrics: what training reported at each step.

use serde::{Deserialize, Serialize};

use crate::store::{Record, Version};

/// A row of `metrics`; the columns' meanings stand in `schemas/metrics.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Optimizer step, from 1.
    pub step: i32,
    /// Passes over the rows.
    pub epoch: f64,
    /// TRL's name.
    pub metric: String,
    /// Its value.
    pub value: f64,
}

impl Record for Metric {
    const TABLE: &'static str = "metrics";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["value"];
}
