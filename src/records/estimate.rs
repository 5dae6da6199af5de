//! Estimates: numbers with intervals.

use serde::{Deserialize, Serialize};

use crate::store::{Record, Version};

/// A row of `estimates`; the columns' meanings stand in `schemas/estimates.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// What is estimated.
    pub name: String,
    /// What for.
    pub group: String,
    /// The estimate.
    pub value: Option<f64>,
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Nominal coverage.
    pub level: Option<f64>,
    /// Independent units.
    pub n: i64,
    /// How.
    pub method: String,
    /// Seed of the resampling.
    pub seed: Option<u64>,
}

impl Record for Estimate {
    const TABLE: &'static str = "estimates";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &[];
}
