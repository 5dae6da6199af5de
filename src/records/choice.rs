//! Choices: which epoch of a training is the model.

use serde::{Deserialize, Serialize};

use crate::store::{Record, Version};

/// A row of `choices`; the columns' meanings stand in `schemas/choices.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The epoch, from 1.
    pub epoch: i32,
    /// Whether it is the model.
    pub chosen: bool,
    /// By which rule.
    pub rule: String,
    /// What the rule goes by.
    pub estimate: Option<String>,
    /// Its value.
    pub value: Option<f64>,
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Nominal coverage.
    pub level: Option<f64>,
    /// Independent units.
    pub n: Option<i64>,
}

impl Record for Choice {
    const TABLE: &'static str = "choices";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &[];
}
