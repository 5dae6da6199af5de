//! Lessons: what a trainer in another program learned from, in token ids.

use serde::{Deserialize, Serialize};

use crate::store::{Record, Version};

/// A row of `lessons`; the columns' meanings stand in `schemas/lessons.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LessonRow {
    /// The pair, or the example.
    pub row_id: String,
    /// What is read.
    pub prompt_ids: Vec<u32>,
    /// What is learned, or preferred.
    pub chosen_ids: Vec<u32>,
    /// What it is preferred to.
    pub rejected_ids: Option<Vec<u32>>,
    /// Of the chosen side, under the reference model.
    pub ref_chosen_logps: Option<f64>,
    /// Of the rejected side.
    pub ref_rejected_logps: Option<f64>,
}

impl Record for LessonRow {
    const TABLE: &'static str = "lessons";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["row_id", "ref_chosen_logps", "ref_rejected_logps"];
}
