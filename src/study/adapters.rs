//! What two models with adapters stand on, and what was learned on it.

use std::collections::{BTreeMap, BTreeSet};

use super::recorded::{Error, RecordedModel};
use super::settings::ChangedSetting;
use crate::store::{Digest, Store};

/// The weights of an adapter, and where those of its base are.
const ADAPTER: &str = "adapter_model.safetensors";
const BASE: &str = "base/";

/// Names the weights of both models by their digests where one of them has an adapter: of the base, and of the
/// adapter.
pub(super) fn of_both(
    store: &Store,
    models: &[RecordedModel; 2],
) -> Result<Vec<ChangedSetting>, Error> {
    let [first, second] = models;
    let (one, other) = (weights_of(store, first)?, weights_of(store, second)?);
    if ![&one, &other].iter().any(|weights| weights.contains_key(ADAPTER)) {
        return Ok(Vec::new());
    }
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let said =
        |digest: Option<&Digest>| digest.map_or("(none)".to_owned(), |digest| digest.short());
    let line = |name: &String| {
        let (one, other) = (one.get(name), other.get(name));
        let change = if one == other {
            format!("{name} {}, in both", said(one))
        } else {
            format!("{name} {} → {}", said(one), said(other))
        };
        ChangedSetting { node: maker(second), change }
    };
    Ok(names.into_iter().map(line).collect())
}

/// The node that makes a model.
fn maker(model: &RecordedModel) -> String {
    let names = ["train", "sft"].map(|stage| format!("{stage}.{}", model.model));
    let made = |name: &String| model.plan.nodes.iter().any(|node| node.node == *name);
    names.into_iter().find(made).unwrap_or_else(|| model.model.clone())
}

/// The files of weights that a model's node kept, by name.
fn weights_of(store: &Store, model: &RecordedModel) -> Result<BTreeMap<String, Digest>, Error> {
    let name = maker(model);
    let run = model.plan.nodes.iter().find(|node| node.node == name).and_then(|node| node.run);
    let manifest = run.map(|run| store.manifest(run)).transpose()?.flatten();
    let objects = manifest.map(|manifest| manifest.objects).unwrap_or_default();
    let counts =
        |name: &str| name.ends_with(".safetensors") && (name == ADAPTER || name.starts_with(BASE));
    let all = objects.into_iter().filter(|(name, _)| counts(name));
    Ok(all.map(|(name, stored)| (name, stored.object)).collect())
}
