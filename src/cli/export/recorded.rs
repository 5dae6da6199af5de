//! An experiment as the store knows it.

use crate::cli::failure::Failure;
use crate::cli::recorded::unknown;
use crate::store::{RecordedPlan, Store};

/// Finds what is recorded of an experiment.
pub(super) fn recorded(store: &Store, experiment: &str) -> Result<RecordedPlan, Failure> {
    match store.plan(experiment)? {
        Some(plan) => Ok(plan),
        None => Err(unknown(experiment, &store.plans()?)),
    }
}
