//! Whether what a node does fits the machine: told by `mrx plan`, and looked at before a training starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use crate::model::Footprint;
use crate::model::adapter::Adapter;
use crate::model::{Config, Keep, is_scripted};
pub use crate::train::Memory;
use crate::train::{Chunk, Plan};

/// A training takes more memory than there is.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "training needs about {} of memory ({}), and {} may be used",
    in_words(*.needed), listed(.parts), in_words(*.limit)
)]
pub struct DoesNotFit {
    /// What it needs, in bytes.
    pub needed: u64,
    /// What of it is for what.
    pub parts: Memory,
    /// What may be used.
    pub limit: u64,
    /// Whether layers are not run again on the way back yet.
    pub keeps_all: bool,
    /// Whether all weights are trained.
    pub trains_all: bool,
}

/// `4.9 GiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
pub fn in_words(bytes: u64) -> String {
    const UNITS: [(&str, u64); 2] = [("GiB", 1 << 30), ("MiB", 1 << 20)];
    let (unit, size) =
        UNITS.into_iter().find(|(_, size)| bytes >= *size).unwrap_or(("KiB", 1 << 10));
    format!("{:.1} {unit}", bytes as f64 / size as f64)
}

fn listed(memory: &Memory) -> String {
    let Memory { weights, gradients, optimizer, activations, logits, reading } = *memory;
    let parts = [
        ("weights", weights),
        ("gradients", gradients),
        ("optimizer", optimizer),
        ("activations", activations),
        ("logits", logits),
        ("reading", reading),
    ];
    parts.map(|(name, bytes)| format!("{name} {}", in_words(bytes))).join(", ")
}

/// Refuses a training that takes more than may be used.
pub(super) fn check(plan: &Plan<'_>, chunk: Chunk, limit: Option<u64>) -> Result<(), DoesNotFit> {
    let parts = Memory::of(plan, chunk);
    let needed = parts.total();
    match limit {
        Some(limit) if needed > limit => Err(DoesNotFit {
            needed,
            parts,
            limit,
            keeps_all: plan.keep == Keep::All,
            trains_all: plan.adapter.is_none(),
        }),
        _ => Ok(()),
    }
}

/// A training whose examples are not known yet.
#[derive(Debug, Clone, Copy)]
pub struct Foreseen<'f> {
    /// The files of the model that is trained.
    pub files: &'f BTreeMap<String, PathBuf>,
    /// The adapter that is trained in place of its weights.
    pub adapter: Option<&'f Adapter>,
    /// Whether layers are run again on the way back.
    pub gradient_checkpointing: bool,
    /// Tokens of the longest prompt and of all that is learned after it.
    pub longest: (usize, usize),
    /// Chunks that run side by side.
    pub threads: usize,
}

impl Foreseen<'_> {
    /// What it takes, as far as can be told, and why it cannot be whatever the examples are, where that is so;
    /// `None` where the files do not say.
    #[must_use]
    pub fn memory(&self, limit: Option<u64>) -> Option<(Memory, Option<DoesNotFit>)> {
        let config = match is_scripted(self.files) {
            Ok(false) => &Config::open(self.files).ok()?,
            _ => return None,
        };
        let keep = Keep::checkpointing(self.gradient_checkpointing);
        let plan = Plan { config, adapter: self.adapter, keep, threads: self.threads };
        let (prompt, targets) = self.longest;
        let context = config.max_position_embeddings;
        let chunk = Chunk::around((prompt + targets).min(2 * context), targets.min(2 * context));
        let refused = check(&plan, Chunk::default(), limit).err();
        Some((Memory::of(&plan, chunk), refused))
    }
}

/// Drawing takes more memory than there is.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "drawing needs about {} of memory (weights {}, work {}, keys and values of one text {}), and {} may be used",
    in_words(.0.least()), in_words(.0.weights), in_words(.0.work), in_words(.0.text), in_words(*.1)
)]
pub struct CannotDraw(Footprint, u64);

/// What drawing texts takes that end, with their prompt, after `tokens` tokens, and why it cannot be, where that
/// is so; `None` where the files do not say.
#[must_use]
pub fn of_drawing(
    files: &BTreeMap<String, PathBuf>,
    tokens: usize,
    limit: Option<u64>,
) -> Option<(Footprint, Option<CannotDraw>)> {
    if !matches!(is_scripted(files), Ok(false)) {
        return None;
    }
    let footprint = Footprint::of(files, tokens)?;
    let over = |limit: &u64| footprint.least() > *limit;
    Some((footprint, limit.filter(over).map(|limit| CannotDraw(footprint, limit))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let config = serde_json::json!({
            "architectures": ["LlamaForCausalLM"], "hidden_size": 576, "intermediate_size": 1536,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "vocab_size": 49152, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
            "tie_word_embeddings": true, "eos_token_id": 2,
        });
        Config::of(config.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn layers_that_are_run_again_and_adapters_make_room() {
        let (config, chunk) = (config(), Chunk { tokens: 4096, targets: 3000 });
        let adapter = Adapter {
            rank: 8,
            alpha: 16.0,
            dropout: 0.0,
            target_modules: vec!["q_proj".to_owned(), "v_proj".to_owned()],
        };
        let full = Plan { config: &config, adapter: None, keep: Keep::All, threads: 2 };
        let limit = Some(4 << 30);
        let refused = check(&full, chunk, limit).unwrap_err();
        assert!(refused.keeps_all && refused.trains_all);
        let said = refused.to_string();
        assert!(said.contains("weights 513.1 MiB, gradients 513.1 MiB"), "{said}");
        assert!(said.ends_with("and 4.0 GiB may be used"), "{said}");
        check(&Plan { keep: Keep::Inputs, ..full }, chunk, limit).unwrap();
        check(&full, Chunk::around(100, 50), limit).unwrap();
        check(&full, chunk, None).unwrap();
        let adapted = Plan { adapter: Some(&adapter), keep: Keep::Inputs, ..full };
        check(&adapted, chunk, Some(2 << 30)).unwrap();
    }
}
