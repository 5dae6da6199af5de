//! What was not the same in the making of two models.

use serde::{Deserialize, Serialize};

use super::gather::Side;
use crate::cli::failure::Failure;
use crate::runner::Difference;
use crate::store::{Key, KeyInput, PlannedNode, Store};

/// A setting or a file that is not the same.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) node: String,
    pub(super) change: String,
}

/// What differs between the nodes that made both models, and those that worked with them.
pub(super) fn settings(store: &Store, sides: &[Side; 2]) -> Result<Vec<Setting>, Failure> {
    let [first, second] = sides;
    let same_experiment = first.experiment == second.experiment;
    let until = |side: &Side| side.model[1..].parse::<usize>().unwrap_or(0);
    let of_side = |side: &Side| -> Vec<PlannedNode> {
        let counts = |node: &&PlannedNode| {
            node.run.is_some()
                && match node.iteration() {
                    Some(_) if same_experiment => node.model == side.model,
                    Some(number) => number <= until(side),
                    None => !same_experiment,
                }
        };
        side.plan.nodes.iter().filter(counts).cloned().collect()
    };
    let (before, after) = (of_side(first), of_side(second));
    let counterpart = |node: &PlannedNode, model: &str| {
        if same_experiment { node.node.replacen(&node.model, model, 1) } else { node.node.clone() }
    };
    let mut found = Vec::new();
    for node in &after {
        let wanted = counterpart(node, &first.model);
        let Some(other) = before.iter().find(|other| other.node == wanted) else {
            found.extend((!same_experiment).then(|| only(&node.node, second)));
            continue;
        };
        let (Some(before), Some(after)) = (key_of(store, other)?, key_of(store, node)?) else {
            continue;
        };
        // Estimates are compared as numbers.
        if [&before, &after].iter().any(|key| key.stage == "estimate") {
            continue;
        }
        let made = [&before, &after].map(|key| key.table("model").is_some());
        let all = Difference::all(&own(&before), &own(&after)).into_iter();
        // One model is a folder, the other was made by a node: that is no difference of settings.
        let all = all.filter(|found| made[0] == made[1] || !found.field.starts_with("model"));
        let change = |difference: Difference| Setting {
            node: node.node.clone(),
            change: difference.to_string(),
        };
        found.extend(all.map(change));
    }
    for node in &before {
        let wanted = counterpart(node, &second.model);
        if !same_experiment && !after.iter().any(|other| other.node == wanted) {
            found.push(only(&node.node, first));
        }
    }
    Ok(found)
}

fn key_of(store: &Store, node: &PlannedNode) -> Result<Option<Key>, Failure> {
    let manifest = node.run.map(|run| store.manifest(run)).transpose()?.flatten();
    Ok(manifest.map(|manifest| manifest.key))
}

fn only(node: &str, side: &Side) -> Setting {
    Setting { node: node.to_owned(), change: format!("only of {}", side.name()) }
}

/// A key without the tables that other nodes made: those differ because something before them does.
fn own(key: &Key) -> Key {
    let mut own = key.clone();
    own.inputs.retain(|_, input| matches!(input, KeyInput::Files(_)));
    own
}
