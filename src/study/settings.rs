//! What was not the same in the making of two models.

use serde::{Deserialize, Serialize};

use super::recorded::{Error, RecordedModel};
use crate::runner::Difference;
use crate::store::{Key, KeyInput, PlannedNode, Store};

/// A setting or a file that is not the same.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangedSetting {
    /// The node that it is of.
    pub node: String,
    /// As `temperature 0.8 → 0.7`.
    pub change: String,
}

/// What differs between the nodes that made both models, and those that worked with them.
pub(super) fn changed_settings(
    store: &Store,
    models: &[RecordedModel; 2],
) -> Result<Vec<ChangedSetting>, Error> {
    let [first, second] = models;
    let same_experiment = first.experiment == second.experiment;
    let (before, after) = (nodes_of(first, same_experiment), nodes_of(second, same_experiment));
    let counterpart = |node: &PlannedNode, nodes: &[&PlannedNode], model: &str| {
        let name = counted_as(node, nodes);
        if same_experiment { name.replacen(&node.model, model, 1) } else { name }
    };
    let find = |nodes: &[&PlannedNode], wanted: &str| {
        nodes.iter().position(|other| counted_as(other, nodes) == wanted)
    };
    let mut found = Vec::new();
    for node in &after {
        match find(&before, &counterpart(node, &after, &first.model)) {
            Some(at) => {
                let keys = (key_of(store, first, before[at])?, key_of(store, second, node)?);
                if let (Some(before), Some(after)) = keys {
                    found.extend(changes(&node.node, &before, &after));
                }
            }
            None => found.extend((!same_experiment).then(|| only(&node.node, second))),
        }
    }
    for node in &before {
        let wanted = counterpart(node, &before, &second.model);
        if !same_experiment && find(&after, &wanted).is_none() {
            found.push(only(&node.node, first));
        }
    }
    Ok(found)
}

/// The name by which a node is compared: a training whose epochs are kept stands beside one whose are not,
/// and the choice among them beside none.
fn counted_as(node: &PlannedNode, nodes: &[&PlannedNode]) -> String {
    const KEPT: &str = ".all";
    let kept = format!("{}{KEPT}", node.node);
    match node.node.strip_suffix(KEPT) {
        Some(training) => training.to_owned(),
        None if nodes.iter().any(|other| other.node == kept) => format!("{}.choice", node.node),
        None => node.node.clone(),
    }
}

/// Whether a node is about an epoch that may be chosen: that there is one follows from the choice.
fn is_of_epoch(node: &PlannedNode) -> bool {
    let epoch = node.node.split('.').nth(2).and_then(|part| part.strip_prefix("epoch"));
    epoch.is_some_and(|number| number.parse::<usize>().is_ok())
}

/// The nodes that count: of one experiment those of the model; of two, all up to it.
fn nodes_of(model: &RecordedModel, same_experiment: bool) -> Vec<&PlannedNode> {
    let counts = |node: &&PlannedNode| {
        node.run.is_some()
            && !is_of_epoch(node)
            && match node.iteration() {
                Some(_) if same_experiment => node.model == model.model,
                Some(number) => number <= model.iteration(),
                None => !same_experiment,
            }
    };
    model.plan.nodes.iter().filter(counts).collect()
}

/// What differs between two runs of a node. Estimates are compared as numbers.
fn changes(node: &str, before: &Key, after: &Key) -> Vec<ChangedSetting> {
    if [before, after].iter().any(|key| key.stage == "estimate") {
        return Vec::new();
    }
    let made = [before, after].map(|key| key.table("model").is_some());
    let all = Difference::all(&own(before), &own(after)).into_iter();
    // One model is a folder, the other was made by a node: that is no difference of settings.
    let all = all.filter(|found| made[0] == made[1] || !found.field.starts_with("model"));
    let change = |difference: Difference| ChangedSetting {
        node: node.to_owned(),
        change: difference.to_string(),
    };
    all.map(change).collect()
}

fn key_of(store: &Store, model: &RecordedModel, node: &PlannedNode) -> Result<Option<Key>, Error> {
    Ok(model.manifest(store, node)?.map(|manifest| manifest.key))
}

fn only(node: &str, model: &RecordedModel) -> ChangedSetting {
    ChangedSetting { node: node.to_owned(), change: format!("only of {}", model.name()) }
}

/// A key without the tables that other nodes made: those differ because something before them does.
fn own(key: &Key) -> Key {
    let mut own = key.clone();
    own.inputs.retain(|_, input| !matches!(input, KeyInput::Table(_)));
    own
}
