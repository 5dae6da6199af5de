//! Training: preferences (or examples) and a model in, a model out. No table in sight.
//!
//! - [`Sft`] and [`Dpo`] are [`Objective`]s: from the log-probabilities of an example's targets to a
//!   loss and its slopes
//! - a [`Learner`] takes the steps. [`Trainer`] does so here: batches in a seeded order, gradients in
//!   chunks of tokens, clipping, [AdamW](adamw), a [`Schedule`]; its state can be saved after any step and
//!   taken up again. [`trl`] has them taken by TRL, in a program of its own

#![expect(
    clippy::cast_precision_loss,
    reason = "steps, examples and tokens stay far below what f64 holds exactly"
)]

pub mod adamw;
mod batches;
mod dpo;
mod error;
mod learner;
mod memory;
mod objective;
mod schedule;
mod settings;
mod sft;
mod state;
mod trainer;
pub mod trl;

pub use dpo::{Dpo, DpoLoss, Preference};
pub use error::Error;
pub use learner::{Again, Learned, Learner, Metrics, Saved, State};
pub use memory::{Chunk, Memory, Plan};
pub use objective::{Objective, Outcome, Totals};
pub use schedule::Schedule;
pub use settings::Settings;
pub use sft::{Example, Sft};
pub use state::Snapshot;
pub use trainer::{Start, Trainer};
