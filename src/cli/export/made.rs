//! How an experiment was made, for a card: its settings, its models and its tables by their digests.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::super::failure::Failure;
use crate::store::{Manifest, PlannedNode, RecordedPlan, Store};

/// How an experiment was made.
#[derive(Serialize)]
pub(super) struct Made {
    /// The versions of mrx that made it.
    versions: Vec<String>,
    /// The files of the model that it began with.
    model: Vec<ModelFile>,
    settings: Vec<Setting>,
    tables: Vec<Table>,
    #[serde(skip)]
    nodes: Vec<Value>,
    #[serde(skip)]
    experiment: String,
}

#[derive(Serialize)]
struct ModelFile {
    name: String,
    digest: String,
}

#[derive(Serialize)]
struct Setting {
    stage: String,
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Table {
    node: String,
    table: String,
    rows: u64,
    run: String,
    object: String,
}

/// The values of a setting, in the order of their models, each with the models that have it.
type Values = Vec<(String, Vec<String>)>;

impl Made {
    pub(super) fn of(store: &Store, plan: &RecordedPlan) -> Result<Self, Failure> {
        let mut made = Self {
            versions: Vec::new(),
            model: Vec::new(),
            settings: Vec::new(),
            tables: Vec::new(),
            nodes: Vec::new(),
            experiment: plan.experiment.clone(),
        };
        let mut stages: Vec<(String, BTreeMap<String, Values>)> = Vec::new();
        for node in &plan.nodes {
            let Some(manifest) = node.run.map(|run| store.manifest(run)).transpose()?.flatten()
            else {
                continue;
            };
            made.add(node, &manifest);
            let stage = &manifest.key.stage;
            // What an estimate is made of is a long text, and stands in the JSON.
            if stage == "estimate" {
                continue;
            }
            let at = stages.iter().position(|(name, _)| name == stage).unwrap_or_else(|| {
                stages.push((stage.clone(), BTreeMap::new()));
                stages.len() - 1
            });
            let mut fields = BTreeMap::new();
            flatten("", &manifest.key.config, &mut fields);
            for (field, value) in fields {
                note(stages[at].1.entry(field).or_default(), value, &node.node);
            }
        }
        for (stage, fields) in stages {
            made.settings.extend(fields.into_iter().map(|(name, values)| Setting {
                stage: stage.clone(),
                name,
                value: told(&values),
            }));
        }
        made.versions.sort();
        Ok(made)
    }

    fn add(&mut self, node: &PlannedNode, manifest: &Manifest) {
        let version = manifest.made_by.as_ref().map_or("0.1.0", |made_by| &made_by.mrx);
        if !self.versions.iter().any(|known| known == version) {
            self.versions.push(version.to_owned());
        }
        let files = manifest.key.files("model").filter(|_| self.model.is_empty());
        self.model.extend(
            files
                .into_iter()
                .flatten()
                .map(|(name, digest)| ModelFile { name: name.clone(), digest: digest.to_hex() }),
        );
        for (table, stored) in &manifest.tables {
            self.tables.push(Table {
                node: node.node.clone(),
                table: table.clone(),
                rows: stored.rows,
                run: manifest.run.short(),
                object: stored.object.short(),
            });
        }
        self.nodes.push(json!({
            "node": node.node, "model": node.model, "run": manifest.run, "key": manifest.key,
            "tables": manifest.tables, "made_by": manifest.made_by,
        }));
    }

    /// All of it, for programs.
    pub(super) fn json(&self) -> Value {
        json!({ "experiment": self.experiment, "nodes": self.nodes })
    }
}

/// Lays a configuration out as `a.b` and values.
fn flatten(place: &str, value: &Value, to: &mut BTreeMap<String, String>) {
    /// A text that is longer stands in the JSON beside the card.
    const LONGEST: usize = 80;
    let inner =
        |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| flatten(&inner(name), value, to));
        }
        Value::Null => {}
        other => {
            let text = other.to_string();
            let text = match text.chars().count() {
                n if n > LONGEST => format!("({n} characters)"),
                _ => format!("`{}`", text.replace('|', "\\|").replace('`', "'")),
            };
            to.insert(place.to_owned(), text);
        }
    }
}

fn note(values: &mut Values, value: String, node: &str) {
    match values.iter_mut().find(|(known, _)| *known == value) {
        Some((_, nodes)) => nodes.push(node.to_owned()),
        None => values.push((value, vec![node.to_owned()])),
    }
}

/// One value, or each with the nodes that have it.
fn told(values: &Values) -> String {
    match values.as_slice() {
        [(value, _)] => value.clone(),
        several => {
            let each =
                several.iter().map(|(value, nodes)| format!("{value} ({})", nodes.join(", ")));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}
