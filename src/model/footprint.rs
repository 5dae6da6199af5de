//! What drawing takes of memory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::cache::Cache;
use super::config::Config;
use super::generate::{LOGITS_AT_ONCE, PROMPT_TOKENS_ON_DEVICE};
use super::ops::BLOCK;
use super::weights::files_read;

/// Bytes, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// The weights, in the type of their file.
    pub weights: u64,
    /// Hidden states and logits of one run of the network.
    pub work: u64,
    /// Keys and values of the longest text; those of others wait where there is no room for them.
    pub text: u64,
}

impl Footprint {
    /// What a model of these files takes to draw texts that end, with their prompt, after `tokens` tokens; `None`
    /// where the files do not say.
    #[must_use]
    pub fn of(files: &BTreeMap<String, PathBuf>, tokens: usize) -> Option<Self> {
        let config = Config::open(files).ok()?;
        let names = files_read(files).ok()?;
        let size = |name: &String| std::fs::metadata(files.get(name)?).ok().map(|file| file.len());
        let weights = names.iter().filter_map(size).sum();
        let inner = 3 * config.intermediate_size + 6 * config.hidden_size;
        // No file says what draws: a device takes most.
        let work = PROMPT_TOKENS_ON_DEVICE * inner + LOGITS_AT_ONCE * config.vocab_size;
        let tokens = tokens.min(config.max_position_embeddings);
        let text = tokens.div_ceil(BLOCK) * Cache::bytes_per_block(&config);
        Some(Self { weights, work: (work * size_of::<f32>()) as u64, text: text as u64 })
    }

    /// Bytes without which nothing is drawn.
    #[must_use]
    pub const fn least(&self) -> u64 {
        self.weights.saturating_add(self.work).saturating_add(self.text)
    }
}
