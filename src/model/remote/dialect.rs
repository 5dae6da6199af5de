//! What servers call things: one protocol, and small differences between those that speak it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::Decoding;
use super::protocol::Api;

/// What a server calls things, and how it is started.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing that a server does or does not"
)]
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// How it is started.
    pub command: Option<String>,
    /// What else it is told where it serves an adapter on its base.
    pub lora: Option<String>,
    /// What tells its version without starting it.
    pub version_command: Option<String>,
    /// What tells the version of one that runs: a path, and a place in the JSON that stands there.
    pub version_at: Option<(String, String)>,
    /// Words of the command after which a value stands that decides results.
    #[serde(default)]
    pub decides: Vec<String>,
    /// Who writes the prompt.
    pub api: Api,
    /// Whether a draw follows its seed.
    pub seeds: bool,
    /// Bits of a seed that it takes; `None` is 64.
    pub seed_bits: Option<u32>,
    /// Whether it tells the ids that were drawn.
    pub token_ids: bool,
    /// Whether it tells log-probabilities.
    pub logprobs: bool,
    /// How many of the likeliest next tokens it tells, 0 where it tells none.
    #[serde(default)]
    pub weighs: u32,
    /// The field that asks for ids.
    pub asks_token_ids: Option<String>,
    /// The field that asks for tokens to be named by their ids.
    pub names_tokens_by_id: Option<String>,
    /// The field that limits tokens.
    pub max_tokens: Option<String>,
    /// The field, and what turns it off.
    pub top_k: Option<(String, i64)>,
    /// The field.
    pub min_p: Option<String>,
    /// The field.
    pub repetition_penalty: Option<String>,
    /// What every request says beside the usual.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// Whether it serves a model under the path of its folder.
    #[serde(default)]
    pub serves_path: bool,
}

static PRESETS: LazyLock<BTreeMap<String, Dialect>> = LazyLock::new(|| {
    let presets = toml::from_str(include_str!("presets.toml"));
    presets.unwrap_or_else(|error| unreachable!("presets.toml is part of the program: {error}"))
});

impl Dialect {
    /// The dialect of a well-known server.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        PRESETS.get(name).cloned()
    }

    /// The well-known servers.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.keys().map(String::as_str)
    }

    /// What is common to all that speak the protocol.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            command: None,
            lora: None,
            version_command: None,
            version_at: None,
            decides: Vec::new(),
            api: Api::Chat,
            seeds: false,
            seed_bits: None,
            token_ids: false,
            logprobs: false,
            weighs: 0,
            asks_token_ids: None,
            names_tokens_by_id: None,
            max_tokens: None,
            top_k: None,
            min_p: None,
            repetition_penalty: None,
            fields: Map::new(),
            serves_path: false,
        }
    }

    /// A seed as the server takes it: as many bits as it has, and as a signed number, for that is what
    /// most read.
    pub(super) fn seed(&self, seed: u64) -> i64 {
        match self.seed_bits {
            Some(bits @ 0..64) => (seed & ((1 << bits) - 1)).cast_signed(),
            _ => seed.cast_signed(),
        }
    }

    /// Writes how to draw, every field of it: what is not said, servers fill in from elsewhere.
    ///
    /// # Errors
    /// Naming a setting that the server has no field for.
    pub(super) fn decoding(
        &self,
        decoding: &Decoding,
        body: &mut Map<String, Value>,
    ) -> Result<(), &'static str> {
        let Decoding { temperature, top_p, top_k, min_p, repetition_penalty, .. } = *decoding;
        body.insert("temperature".to_owned(), temperature.into());
        body.insert("top_p".to_owned(), top_p.into());
        match (&self.top_k, top_k) {
            (Some((field, off)), k) => {
                body.insert(field.clone(), k.map_or(*off, i64::from).into());
            }
            (None, None) => {}
            (None, Some(_)) => return Err("top_k"),
        }
        match &self.min_p {
            Some(field) => {
                body.insert(field.clone(), min_p.into());
            }
            None if min_p == 0.0 => {}
            None => return Err("min_p"),
        }
        match (&self.repetition_penalty, repetition_penalty) {
            (Some(field), penalty) => {
                body.insert(field.clone(), penalty.unwrap_or(1.0).into());
            }
            (None, None) => {}
            (None, Some(_)) => return Err("repetition_penalty"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_read_and_those_that_are_started_say_how() {
        let known: Vec<&str> = Dialect::presets().collect();
        assert_eq!(known, ["llama-server", "openai", "sglang", "transformers", "vllm"]);
        for dialect in known.iter().filter_map(|name| Dialect::preset(name)) {
            let command = dialect.command.unwrap_or_default();
            assert!(
                command.is_empty() || command.contains("{model}") && command.contains("{port}")
            );
        }
    }

    #[test]
    fn a_seed_keeps_as_many_bits_as_the_server_takes() {
        let all = Dialect { seed_bits: None, ..Dialect::plain() };
        assert_eq!(all.seed(u64::MAX - 1).cast_unsigned(), u64::MAX - 1);
        let few = Dialect { seed_bits: Some(31), ..Dialect::plain() };
        assert_eq!(few.seed(u64::MAX), i64::from(i32::MAX));
    }
}
