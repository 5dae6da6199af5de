//! Checkpoints: the tensors of a model, and the other files of its folder.

use serde::{Deserialize, Serialize};

use crate::store::{Record, Version};

/// A row of `checkpoints`; the columns' meanings stand in `schemas/checkpoints.sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointPart {
    /// The file in the model folder.
    pub file: String,
    /// The tensor, unless it is a file without.
    pub tensor: Option<String>,
    /// Element type.
    pub dtype: Option<String>,
    /// Dimensions, outermost first.
    pub shape: Option<Vec<u64>>,
    /// First byte within the file.
    pub offset: u64,
    /// Length.
    pub bytes: u64,
    /// Digest of exactly these bytes.
    pub digest: String,
    /// The object that holds the file.
    pub object: String,
}

impl Record for CheckpointPart {
    const TABLE: &'static str = "checkpoints";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &["digest"];
}
