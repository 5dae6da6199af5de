//! How the next model is made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::per_iteration::{
    Choice, Count, Decay, Each, Minority, Norm, Positive, Rate, Steps, Switch, Window,
};
use super::spanned::Spanned;
use crate::stages::{DpoLoss, OnNoPairs, Schedule};

/// `[train]`: how the next model is made, by DPO on the pairs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[train]`")]
pub(super) struct Train {
    /// Who trains.
    #[serde(default)]
    pub(super) trainer: TrainerKind,
    /// The model that training starts from.
    #[serde(default)]
    #[schemars(extend("x-paper" = "2.4"))]
    pub(super) start: StartModel,
    /// The model that training is held to.
    #[serde(default)]
    #[schemars(extend("x-paper" = "2.4"))]
    pub(super) reference: ReferenceModel,
    /// The pairs of so many iterations are trained on, this one and those before it.
    #[schemars(extend("default" = 1, "x-paper" = "2.4"))]
    pub(super) window: Each<Window>,
    /// Whether the model after each epoch is kept, as `train.m1.epoch2`.
    #[schemars(extend("default" = false, "x-paper" = "3.1"))]
    pub(super) keep_epochs: Each<Switch>,
    /// Which epoch becomes the model: the last, one by its number, or the best on `validation` prompts. The
    /// paper's: [6, 4, 2, 2].
    #[schemars(extend("default" = "last", "x-paper" = "3.1"))]
    pub(super) choose: Each<Choice>,
    /// The standard estimate of answers that the best epoch is chosen by.
    #[schemars(extend("default" = "win_rate"))]
    pub(super) choose_by: Option<Spanned<String>>,
    /// What happens where there is nothing to train on.
    #[schemars(extend("default" = "stop"))]
    pub(super) on_no_pairs: Option<OnNoPairs>,
    /// The loss of a pair.
    #[schemars(extend("default" = "sigmoid", "x-paper" = "2.4"))]
    pub(super) loss: Option<DpoLoss>,
    /// How far the model is held to its reference.
    #[schemars(extend("default" = 0.1, "x-paper" = "3.1"))]
    pub(super) beta: Each<Positive>,
    /// The share of pairs that are taken to be the wrong way round.
    #[schemars(extend("default" = 0.0))]
    pub(super) label_smoothing: Each<Minority>,
    /// The weight of -log p(chosen) beside the loss.
    #[schemars(extend("default" = 0.0))]
    pub(super) nll_weight: Each<Rate>,
    /// Whether log-probabilities are means over tokens.
    #[schemars(extend("default" = false))]
    pub(super) length_normalised: Each<Switch>,
    /// The highest learning rate.
    #[schemars(extend("default" = 5e-06, "x-paper" = "3.1"))]
    pub(super) learning_rate: Each<Rate>,
    /// How the rate goes after the warm-up.
    #[schemars(extend("default" = "cosine", "x-paper" = "3.1"))]
    pub(super) schedule: Option<Schedule>,
    /// Epochs that the schedule is laid out for, where it is more than are trained: training stops early on a
    /// longer schedule. The paper's: 10.
    #[schemars(extend("x-paper" = "3.1"))]
    pub(super) schedule_epochs: Each<Count>,
    /// Steps in which the rate climbs from 0.
    #[schemars(extend("default" = 0))]
    pub(super) warmup_steps: Each<Steps>,
    /// How often each row is trained on.
    #[schemars(extend("default" = 1, "x-paper" = "3.1"))]
    pub(super) epochs: Each<Count>,
    /// Steps at most. The schedule ends with them, unless `schedule_epochs` is given.
    pub(super) max_steps: Each<Count>,
    /// Rows of a step, whatever a machine holds at once.
    #[schemars(extend("default" = 32, "x-paper" = "3.1"))]
    pub(super) batch: Each<Count>,
    /// AdamW's weight decay.
    #[schemars(extend("default" = 0.0))]
    pub(super) weight_decay: Each<Rate>,
    /// How much AdamW keeps of the gradient's running mean.
    #[schemars(extend("default" = 0.9))]
    pub(super) adam_beta1: Each<Decay>,
    /// How much AdamW keeps of the running mean of its square.
    #[schemars(extend("default" = 0.999))]
    pub(super) adam_beta2: Each<Decay>,
    /// What AdamW adds below the fraction.
    #[schemars(extend("default" = 1e-08))]
    pub(super) adam_epsilon: Each<Positive>,
    /// The longest gradient; a longer one is scaled down.
    #[schemars(extend("default" = 1.0))]
    pub(super) max_grad_norm: Each<Norm>,
    /// Whether rows of like length share a batch.
    #[schemars(extend("default" = false))]
    pub(super) group_by_length: Each<Switch>,
    /// Whether layers are run again on the way back, which takes less memory and changes no bit.
    #[schemars(extend("default" = false))]
    pub(super) gradient_checkpointing: Option<Spanned<Switch>>,
}

/// Who trains.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TrainerKind {
    /// This program.
    #[default]
    Local,
    /// TRL, in a program of its own.
    Trl,
    /// Somebody else, whose checkpoint is imported.
    Import,
}

/// Which model training starts from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StartModel {
    /// That of the iteration.
    #[default]
    Previous,
    /// M0, in every iteration.
    M0,
}

/// Which model training is held to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReferenceModel {
    /// The one that it starts from.
    #[default]
    Start,
    /// M0, in every iteration.
    M0,
}
