//! The model that a person names.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::failure::{Failure, Kind};
use crate::experiment::{Experiment, Machine};
use crate::store::{PlannedNode, Store};
use crate::study::RecordedModel;

/// Finds `experiment/m1`: the experiment by its name, or by where its file is.
pub(in crate::cli) fn find(store: &Store, text: &str) -> Result<RecordedModel, Failure> {
    let plans = store.plans()?;
    let (named, model) = text.rsplit_once('/').unwrap_or(("", text));
    let by_name = |name: &str| plans.iter().find(|plan| plan.experiment == name).cloned();
    let plan = match by_name(named) {
        Some(plan) => Some(plan),
        None if named.is_empty() => plans.first().filter(|_| plans.len() == 1).cloned(),
        None if Path::new(named).exists() => {
            by_name(&Experiment::load(Path::new(named), &[], &Machine::any())?.plan().experiment)
        }
        None => None,
    };
    let Some(plan) = plan else {
        let names: Vec<String> =
            plans.iter().map(|plan| format!("{}/{model}", plan.experiment)).collect();
        let text = format!("`{text}` is not a model of an experiment in this store");
        return Err(Failure::new(Kind::Usage, text).hint(format!("one of {}", names.join(", "))));
    };
    let models: BTreeSet<usize> = plan.nodes.iter().filter_map(PlannedNode::iteration).collect();
    let models: Vec<String> = models.iter().map(|number| format!("m{number}")).collect();
    if !models.iter().any(|known| known == model) {
        let text = format!("`{}` has no model `{model}`", plan.experiment);
        let hint = format!("it has {}", models.join(", "));
        return Err(Failure::new(Kind::Usage, text).hint(hint));
    }
    Ok(RecordedModel { experiment: plan.experiment.clone(), model: model.to_owned(), plan })
}
