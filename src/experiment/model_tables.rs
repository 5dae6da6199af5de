//! The model that an experiment begins with, and what its examples and prompts are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::per_iteration::{Count, Decay, Norm, Positive, Rate, Seed, Steps, Switch};
use super::spanned::Spanned;
use super::train_table::TrainerKind;
use crate::stages::Schedule;

/// Arguments of a chat template.
pub(super) type Given = BTreeMap<String, Spanned<toml::Value>>;

/// `[model]`: the model that the experiment begins with, a folder or `[model.init]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[model]`")]
pub(super) struct Model {
    /// The model's folder, as transformers saves it, or a GGUF file, which draws and is not trained.
    pub(super) path: Option<Spanned<PathBuf>>,
    /// A folder whose weights, if it has any, are replaced by random ones, for `[sft]` to train.
    pub(super) init: Option<Init>,
    /// Arguments for the model's chat template, as `enable_thinking = false`; `strftime_now = "2026-01-01"` is the
    /// date for a template that asks for today's.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub(super) template: Given,
}

/// `[model.init]`: a folder whose weights, if it has any, are replaced by random ones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[model.init]`")]
pub(super) struct Init {
    /// The folder: its configuration, tokenizer and chat template.
    pub(super) path: Spanned<PathBuf>,
    /// The seed of the weights; the experiment's where not given.
    pub(super) seed: Option<Seed>,
}

/// `[thinking]`: what models write between two markers is no part of their answers: no judge sees it, no length
/// counts it, no verdict is read in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[thinking]`")]
pub(super) struct ThinkingTable {
    /// The marker before it.
    #[schemars(extend("default" = "<think>"))]
    pub(super) begin: Option<Spanned<String>>,
    /// The marker after it.
    #[schemars(extend("default" = "</think>"))]
    pub(super) end: Option<Spanned<String>>,
    /// Whether it is trained on.
    #[schemars(extend("default" = true))]
    pub(super) train: Option<Switch>,
}

/// `[sft]`: how M0 is made from the first model, by fine-tuning on examples; the loss is of targets only.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[sft]`")]
pub(super) struct Sft {
    /// The query of the examples: columns `prompt`, `target` and, if you like, `category`.
    #[schemars(extend("x-paper" = "3.1"))]
    pub(super) sql: Spanned<PathBuf>,
    /// The files that the query may read, relative to the experiment's folder; their digests are part of the key.
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    /// Who trains.
    #[serde(default)]
    pub(super) trainer: TrainerKind,
    /// The highest learning rate.
    #[schemars(extend("default" = 5e-06, "x-paper" = "3.1"))]
    pub(super) learning_rate: Option<Rate>,
    /// How the rate goes after the warm-up.
    #[schemars(extend("default" = "cosine", "x-paper" = "3.1"))]
    pub(super) schedule: Option<Schedule>,
    /// Epochs that the schedule is laid out for, where it is more than are trained: training stops early on a
    /// longer schedule. The paper's: 10.
    #[schemars(extend("x-paper" = "3.1"))]
    pub(super) schedule_epochs: Option<Spanned<Count>>,
    /// Steps in which the rate climbs from 0.
    #[schemars(extend("default" = 0))]
    pub(super) warmup_steps: Option<Steps>,
    /// How often each row is trained on.
    #[schemars(extend("default" = 1, "x-paper" = "3.1"))]
    pub(super) epochs: Option<Count>,
    /// Steps at most. The schedule ends with them, unless `schedule_epochs` is given.
    pub(super) max_steps: Option<Count>,
    /// Rows of a step, whatever a machine holds at once.
    #[schemars(extend("default" = 32, "x-paper" = "3.1"))]
    pub(super) batch: Option<Count>,
    /// AdamW's weight decay.
    #[schemars(extend("default" = 0.0))]
    pub(super) weight_decay: Option<Rate>,
    /// How much AdamW keeps of the gradient's running mean.
    #[schemars(extend("default" = 0.9))]
    pub(super) adam_beta1: Option<Decay>,
    /// How much AdamW keeps of the running mean of its square.
    #[schemars(extend("default" = 0.999))]
    pub(super) adam_beta2: Option<Decay>,
    /// What AdamW adds below the fraction.
    #[schemars(extend("default" = 1e-08))]
    pub(super) adam_epsilon: Option<Positive>,
    /// The longest gradient; a longer one is scaled down.
    #[schemars(extend("default" = 1.0))]
    pub(super) max_grad_norm: Option<Norm>,
    /// Whether rows of like length share a batch.
    #[schemars(extend("default" = false))]
    pub(super) group_by_length: Option<Switch>,
    /// Whether layers are run again on the way back, which takes less memory and changes no bit.
    #[schemars(extend("default" = false))]
    pub(super) gradient_checkpointing: Option<Spanned<Switch>>,
}

/// `[prompts]`: where prompts come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[prompts]`")]
pub(super) struct Prompts {
    /// The query of the prompts: columns `prompt` (a text, or messages of role and content) and, if you like,
    /// `reference`, `category`, `source`.
    pub(super) sql: Spanned<PathBuf>,
    /// The files that the query may read, relative to the experiment's folder; their digests are part of the key.
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    /// Prompts of an iteration, in disjoint and seeded shares; all there are, divided, where not given. The
    /// paper's: 5000.
    #[schemars(extend("x-paper" = "3.1"))]
    pub(super) per_iteration: Option<Count>,
}
