//! `task.json`: what the trainer is asked.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::program::Program;
use crate::model::adapter::Adapter;
use crate::train::batches;
use crate::train::dpo::{Dpo, DpoLoss};
use crate::train::schedule::Schedule;
use crate::train::settings::Settings;

/// The type of numbers that the model computes with, and is saved in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32 bits.
    #[default]
    Float32,
    /// 16 bits with the range of 32: weights and sums stay in 32 while they are learned.
    Bfloat16,
}

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Examples.
    Sft,
    /// Preferences.
    Dpo(Dpo),
}

/// What the trainer is asked.
#[derive(Debug, Clone)]
pub struct Task<'t> {
    /// What is learned.
    pub kind: Kind,
    /// How.
    pub settings: &'t Settings,
    /// The type of numbers.
    pub dtype: Dtype,
    /// The folder of the model that it starts from: the base, where it has an adapter.
    pub model: PathBuf,
    /// The adapter to learn, and the folder of the one to go on with.
    pub adapter: Option<(&'t Adapter, Option<PathBuf>)>,
    /// The folder of the reference model, where the trainer asks it, and it is not the start.
    pub reference_model: Option<PathBuf>,
    /// The lesson.
    pub lesson: PathBuf,
    /// Its rows.
    pub examples: usize,
    /// Whether the model after every epoch is kept.
    pub keep_epochs: bool,
}

#[derive(Serialize)]
struct Written<'t> {
    kind: &'static str,
    model: &'t PathBuf,
    adapter: Option<WrittenAdapter<'t>>,
    reference_model: Option<&'t PathBuf>,
    lesson: &'t PathBuf,
    /// The rows that each epoch takes, in their order.
    order: Vec<Vec<usize>>,
    batch: usize,
    per_device_batch: usize,
    steps: usize,
    scheduled_steps: usize,
    learning_rate: f64,
    schedule: Schedule,
    warmup_steps: usize,
    adam_beta1: f64,
    adam_beta2: f64,
    adam_epsilon: f64,
    weight_decay: f64,
    max_grad_norm: Option<f64>,
    seed: u64,
    dtype: Dtype,
    gradient_checkpointing: bool,
    save_steps: usize,
    keep_epochs: bool,
    #[serde(flatten)]
    dpo: Option<WrittenDpo>,
}

#[derive(Serialize)]
struct WrittenAdapter<'t> {
    #[serde(flatten)]
    adapter: &'t Adapter,
    start: Option<&'t PathBuf>,
}

#[derive(Serialize)]
struct WrittenDpo {
    beta: f64,
    loss: DpoLoss,
    label_smoothing: f64,
    nll_weight: f64,
    length_normalised: bool,
}

impl Task<'_> {
    /// Steps in all.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.settings.steps(self.examples)
    }

    /// The text of `task.json`.
    ///
    /// # Errors
    /// Where a path is no text.
    pub fn to_json(&self, program: &Program) -> serde_json::Result<String> {
        let settings = self.settings;
        // Lengths have no say: examples are not grouped by them here.
        let lengths = vec![0; self.examples];
        let order = |epoch| batches::epoch(settings, &lengths, epoch).concat();
        let dpo = match self.kind {
            Kind::Sft => None,
            Kind::Dpo(Dpo {
                beta, loss, label_smoothing, nll_weight, length_normalised, ..
            }) => Some(WrittenDpo { beta, loss, label_smoothing, nll_weight, length_normalised }),
        };
        let adapter = self.adapter.as_ref();
        serde_json::to_string_pretty(&Written {
            kind: if dpo.is_some() { "dpo" } else { "sft" },
            model: &self.model,
            adapter: adapter
                .map(|(adapter, start)| WrittenAdapter { adapter, start: start.as_ref() }),
            reference_model: self.reference_model.as_ref(),
            lesson: &self.lesson,
            order: (0..settings.epochs).map(order).collect(),
            batch: settings.batch,
            per_device_batch: program.per_device_batch,
            steps: self.steps(),
            scheduled_steps: settings.scheduled_steps(self.examples),
            learning_rate: settings.learning_rate,
            schedule: settings.schedule,
            warmup_steps: settings.warmup_steps,
            adam_beta1: settings.adamw.beta1,
            adam_beta2: settings.adamw.beta2,
            adam_epsilon: settings.adamw.eps,
            weight_decay: settings.adamw.weight_decay,
            max_grad_norm: settings.max_grad_norm,
            seed: settings.seed,
            dtype: self.dtype,
            gradient_checkpointing: program.gradient_checkpointing,
            save_steps: program.save_steps,
            keep_epochs: self.keep_epochs,
            dpo,
        })
    }
}
