//! `evaluate`: a model's answers to held-out prompts against a baseline's, one verdict per game.
//!
//! [`Compare`] asks a judge model, in both orders or in one by a coin; [`Oracle`] asks a query that scores answers.

mod compare;
mod game;
mod oracle;
mod order;

pub use compare::Compare;
pub use oracle::Oracle;
pub(super) use oracle::scored_by;
pub use order::Order;

use serde_json::Value;

use crate::model::Engine;
use crate::runner::{Stage, StageError};

/// Returns the stage whose configuration a run's key spells out, to play against another baseline. A judge
/// in another program is reached as an engine says.
///
/// # Errors
/// Where it is not one of an `evaluate` run.
pub fn played_again(
    config: &Value,
    baseline: String,
    reached: Option<&Engine>,
) -> Result<Box<dyn Stage>, StageError> {
    if config.get("sql").is_some() {
        let oracle = serde_json::from_value::<Oracle>(config.clone())?;
        return Ok(Box::new(Oracle { baseline, ..oracle }));
    }
    let mut compare = Compare::of_config(config)?;
    if let Some(reached) = reached {
        compare.engine.how = reached.how.clone();
    }
    Ok(Box::new(Compare { baseline, ..compare }))
}
