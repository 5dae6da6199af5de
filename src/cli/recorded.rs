//! The recorded experiment that a person names.

use std::path::Path;

use super::failure::{Failure, Kind};
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

/// Finds all experiments that a name or a file means: those that a file made of seeds and of what it sweeps, where they
/// are several, or else the one that has the name.
pub(super) fn find_all(plans: &[RecordedPlan], named: &str) -> Result<Vec<RecordedPlan>, Failure> {
    let of = |is: &dyn Fn(&RecordedPlan) -> bool| -> Vec<RecordedPlan> {
        plans.iter().filter(|plan| is(plan)).cloned().collect()
    };
    let is_of_family =
        |plan: &RecordedPlan| plan.variant.as_ref().is_some_and(|variant| variant.family == named);
    let family = of(&is_of_family);
    let one = of(&|plan| plan.experiment == named);
    let known = if family.len() > 1 || one.is_empty() { family } else { one };
    if !known.is_empty() || named.is_empty() || !Path::new(named).exists() {
        return Ok(known);
    }
    let made = Experiment::all(Path::new(named), &[], &Machine::any())?;
    Ok(of(&|plan| made.iter().any(|made| made.plan().experiment == plan.experiment)))
}

/// The failure of a name that no experiment has.
pub(super) fn unknown(name: &str, plans: &[RecordedPlan]) -> Failure {
    let failure = Failure::new(Kind::Usage, format!("`{name}` is not an experiment of this store"));
    let names: Vec<&str> = plans.iter().map(|plan| plan.experiment.as_str()).collect();
    match names.as_slice() {
        [] => failure.hint("it has none: `mrx run EXPERIMENT` makes one"),
        names => failure.hint(format!("it has {}", names.join(", "))),
    }
}
