//! How another program is spoken to, as far as that decides what comes back: part of the key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How another program is spoken to, as far as that decides what comes back.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing that a server does or does not"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Who writes the prompt.
    pub api: Api,
    /// Whether a draw follows its seed.
    pub seeds: bool,
    /// Whether the ids that were drawn are told.
    pub token_ids: bool,
    /// Whether log-probabilities are told.
    pub logprobs: bool,
    /// Whether the draws of a prompt are asked for in one request, under one seed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub n: bool,
    /// Tokens that it takes, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    /// What every request says beside the usual.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// Who writes the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// mrx: the template and the tokens are those of the model's folder.
    Completions,
    /// The server, by its own template.
    Chat,
}
