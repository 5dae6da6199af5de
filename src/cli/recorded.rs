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

/// Finds all experiments that a name or a file means: one, or those that a file makes of seeds and of what it sweeps.
pub(super) fn find_all(plans: &[RecordedPlan], named: &str) -> Result<Vec<RecordedPlan>, Failure> {
    let names: Vec<String> = if plans.iter().any(|plan| plan.experiment == named) {
        vec![named.to_owned()]
    } else {
        let is_of = |plan: &&RecordedPlan| plan.variant.as_ref().is_some_and(|v| v.family == named);
        plans.iter().filter(is_of).map(|plan| plan.experiment.clone()).collect()
    };
    let is_file = names.is_empty() && !named.is_empty() && Path::new(named).exists();
    let names = if is_file {
        let experiments = Experiment::all(Path::new(named), &[], &Machine::any())?;
        experiments.iter().map(|experiment| experiment.plan().experiment.clone()).collect()
    } else {
        names
    };
    Ok(plans.iter().filter(|plan| names.contains(&plan.experiment)).cloned().collect())
}
