//! Supervised examples: what fine-tuning makes M0 from.

use serde::{Deserialize, Serialize};

use super::Message;
use super::id::ExampleId;
use crate::store::{Record, Version};

/// A row of `examples`; the columns' meanings stand in `schemas/examples.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Its id.
    pub example_id: ExampleId,
    /// Place in the order of training.
    pub position: i32,
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The answer to learn.
    pub target: String,
    /// What it teaches.
    pub category: Option<String>,
}

impl Record for Example {
    const TABLE: &'static str = "examples";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["example_id", "position"];
}
