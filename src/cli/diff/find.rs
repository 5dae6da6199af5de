//! The model that a person names.

use std::collections::BTreeSet;

use crate::cli::failure::{Failure, Kind};
use crate::cli::recorded;
use crate::store::{PlannedNode, Store};
use crate::study::RecordedModel;

/// Finds `experiment/m1`: the experiment by its name, or by where its file is.
pub(in crate::cli) fn find(store: &Store, text: &str) -> Result<RecordedModel, Failure> {
    let plans = store.plans()?;
    let (named, model) = text.rsplit_once('/').unwrap_or(("", text));
    let plan = match recorded::find(&plans, named)? {
        None if named.is_empty() => plans.first().filter(|_| plans.len() == 1).cloned(),
        found => found,
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
