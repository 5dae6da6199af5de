//! The recorded experiment that a person names.

use std::path::Path;

use super::failure::Failure;
use crate::experiment::{Experiment, Machine};
use crate::store::{RecordedPlan, Variant};

/// Reads the file of a recorded experiment, as it says today; of a file that makes several, this one.
pub(super) fn load(
    plan: &RecordedPlan,
    machine: &Machine<'_>,
) -> Result<Option<Experiment>, Failure> {
    let Some(file) = &plan.file else { return Ok(None) };
    let picked: Vec<String> = plan.variant.iter().flat_map(Variant::overrides).collect();
    Ok(Some(Experiment::load(file, &picked, machine)?))
}

/// Finds an experiment by its name, or by where its file is.
pub(super) fn find(plans: &[RecordedPlan], named: &str) -> Result<Option<RecordedPlan>, Failure> {
    let by_name = |name: &str| plans.iter().find(|plan| plan.experiment == name).cloned();
    match by_name(named) {
        Some(plan) => Ok(Some(plan)),
        None if !named.is_empty() && Path::new(named).exists() => {
            let experiment = Experiment::load(Path::new(named), &[], &Machine::any())?;
            Ok(by_name(&experiment.plan().experiment))
        }
        None => Ok(None),
    }
}
