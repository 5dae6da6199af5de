//! What a run has ahead of it, and what its nodes took before: all that its end can be told from.

use std::collections::{BTreeMap, BTreeSet};

use super::screen::{Eta, Upcoming};
use crate::experiment::Experiment;
use crate::runner::{Error, NodeName, State, survey};
use crate::store::{Manifest, Store};

/// Looks at what is ahead. Where the store cannot be read, nothing is known: the run itself says why.
pub(super) fn look(
    store: &Store,
    experiments: &[Experiment],
    wanted: &[Vec<NodeName>],
    device: &str,
) -> Eta {
    ahead(store, experiments, wanted, device).unwrap_or_default()
}

fn ahead(
    store: &Store,
    experiments: &[Experiment],
    wanted: &[Vec<NodeName>],
    device: &str,
) -> Result<Eta, Error> {
    let mut upcoming = Vec::new();
    let mut shared = BTreeSet::new();
    for (experiment, wanted) in experiments.iter().zip(wanted) {
        let plan = experiment.plan();
        let outlooks = survey(store, plan)?;
        let nodes = outlooks.into_iter().zip(plan.recipes()).zip(plan.with_ancestors(wanted));
        for ((outlook, recipe), _) in nodes.filter(|(_, is_chosen)| *is_chosen) {
            let is_made = !shared.insert(recipe) || outlook.state == State::Hit;
            upcoming.push(Upcoming { node: outlook.node, is_made });
        }
    }
    let families = experiments.iter().map(|experiment| family(&experiment.plan().experiment));
    let families: BTreeSet<&str> = families.collect();
    let mut manifests = store.manifests()?;
    manifests.retain(|manifest| is_alike(manifest, &families, device));
    manifests.sort_by(|one, other| one.cost.started.cmp(&other.cost.started));
    let took = |manifest: Manifest| (manifest.node, manifest.cost.seconds);
    let before: BTreeMap<String, f64> = manifests.into_iter().map(took).collect();
    Ok(Eta::new(upcoming, before))
}

/// Whether what a run took says something of what is ahead: it was made here, for these experiments, on such a device.
fn is_alike(manifest: &Manifest, families: &BTreeSet<&str>, device: &str) -> bool {
    let made_here =
        manifest.made_by.as_ref().is_some_and(|by| by.device == device && by.imported.is_none());
    made_here && families.contains(family(&manifest.experiment))
}

/// The name that all experiments of a file begin with.
fn family(experiment: &str) -> &str {
    experiment.split('@').next().unwrap_or_default()
}
