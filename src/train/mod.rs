//! Training: preferences (or examples) and a model in, a model out. No table in sight.
//!
//! - [`Sft`] and [`Dpo`] are [`Objective`]s: from the log-probabilities of an example's targets to a
//!   loss and its slopes
//! - [`Trainer`] takes the steps: batches in a seeded order, gradients in chunks of tokens, clipping,
//!   [AdamW](adamw), a [`Schedule`]; its state can be saved after any step and taken up again

#![expect(
    clippy::cast_precision_loss,
    reason = "steps, examples and tokens stay far below what f64 holds exactly"
)]

pub mod adamw;
mod batches;
mod dpo;
mod error;
mod objective;
mod schedule;
mod settings;
mod sft;
mod state;
mod trainer;

pub use dpo::{Dpo, DpoLoss, Preference};
pub use error::Error;
pub use objective::{Objective, Outcome, Totals};
pub use schedule::Schedule;
pub use settings::Settings;
pub use sft::{Example, Sft};
pub use trainer::{Metrics, Trainer};
