//! What results come to, worked out once for every face that shows it: rows and numbers in, plain
//! structs out. Nothing here prints, and nothing is made.
//!
//! - [`models`]: what is known of each model of an experiment, as the table at the end of a run
//! - [`OverSeeds`]: what experiments come to over their seeds, and which claims that bears out
//! - [`Beside`]: two models over seeds beside each other
//! - [`Comparison`]: two models beside each other, as `mrx diff`
//! - [`Overview`]: all that a report tells of some experiments, as `mrx report`

mod adapters;
mod beside;
mod compared;
mod comparison;
mod flipped;
mod models;
mod over_seeds;
mod overview;
mod recorded;
mod settings;

pub use beside::Beside;
pub use compared::Compared;
pub use comparison::{Comparison, Games};
pub use flipped::Flipped;
pub use models::{ModelNumbers, models};
pub use over_seeds::{COMPARED, Claim, Holds, Mean, OverSeeds, Place, Tested};
pub use overview::{Asked, Overview};
pub use recorded::{Error, RecordedModel};
pub use settings::ChangedSetting;
