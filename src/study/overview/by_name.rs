//! Rows of several experiments, read at once and handed out by their names.

use std::collections::BTreeMap;

use crate::store::RecordedPlan;

/// Rows by the name of their experiment.
pub(super) type ByName<T> = BTreeMap<String, Vec<T>>;

/// Takes the rows of an experiment.
pub(super) fn taken<T>(from: &mut ByName<T>, name: &str) -> Vec<T> {
    from.remove(name).unwrap_or_default()
}

/// Takes the rows of each seed.
pub(super) fn each<T>(from: &mut ByName<T>, plans: &[(u64, RecordedPlan)]) -> Vec<(u64, Vec<T>)> {
    plans.iter().map(|(seed, plan)| (*seed, taken(from, &plan.experiment))).collect()
}

/// The rows of each seed, in their order.
pub(super) fn without_seeds<T>(of: Vec<(u64, Vec<T>)>) -> Vec<Vec<T>> {
    of.into_iter().map(|(_, rows)| rows).collect()
}

/// Parts rows by experiment, each part in the order of all.
pub(super) fn by_name<T>(rows: Vec<T>, name: fn(&T) -> &String) -> ByName<T> {
    let mut found: ByName<T> = BTreeMap::new();
    for row in rows {
        found.entry(name(&row).clone()).or_default().push(row);
    }
    found
}
