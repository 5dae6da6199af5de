//! An experiment as the store knows it.

use crate::cli::failure::{Failure, Kind};
use crate::store::{RecordedPlan, Store};

/// Finds what is recorded of an experiment.
pub(super) fn recorded(store: &Store, experiment: &str) -> Result<RecordedPlan, Failure> {
    if let Some(plan) = store.plan(experiment)? {
        return Ok(plan);
    }
    let known: Vec<String> = store.plans()?.into_iter().map(|plan| plan.experiment).collect();
    let text = format!("`{experiment}` is not an experiment in this store");
    Err(Failure::new(Kind::Usage, text).hint(format!("one of {}", known.join(", "))))
}
