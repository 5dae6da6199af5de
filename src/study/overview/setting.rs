//! What an experiment was told: every setting that is in the key of a finished node.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::excerpt::Excerpt;
use crate::store::{Key, PlannedNode, RecordedPlan, Store};
use crate::study::recorded::Error;

/// A setting of a stage.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// As `judge`, or `judge.panel`.
    pub stage: String,
    /// As `temperature`.
    pub field: String,
    /// What it is, and for which models.
    pub values: Vec<SettingValue>,
}

/// What a setting is for some models.
#[derive(Debug, Serialize)]
pub struct SettingValue {
    /// The models, as `m0`.
    pub models: Vec<String>,
    /// The value as JSON, a text without its quotes.
    pub value: Excerpt,
}

/// Templates and queries are longer than this only where they hold examples.
const LONGEST: usize = 3000;

/// Reading again and estimating are told by their results.
const NOT_TOLD: [&str; 2] = ["read", "estimate"];

/// Lists the settings of an experiment, stage by stage in the order in which they first run.
pub(super) fn settings(store: &Store, plan: &RecordedPlan) -> Result<Vec<Setting>, Error> {
    let mut stages: Vec<String> = Vec::new();
    let mut told: BTreeMap<(usize, usize, String), Vec<(String, String)>> = BTreeMap::new();
    for node in &plan.nodes {
        let Some((stage, key)) = told_of(store, node)? else { continue };
        let at = stages.iter().position(|known| *known == stage).unwrap_or(stages.len());
        if at == stages.len() {
            stages.push(stage);
        }
        let mut fields = Vec::new();
        flatten("", &key.config, &mut fields);
        for (place, (field, value)) in fields.into_iter().enumerate() {
            told.entry((at, place, field)).or_default().push((node.model.clone(), value));
        }
    }
    let mut settings: Vec<Setting> = Vec::new();
    for ((at, _, field), values) in told {
        let stage = stages[at].clone();
        let known = settings.iter_mut().find(|s| s.stage == stage && s.field == field);
        match known {
            Some(setting) => setting.values.extend(gathered(values)),
            None => settings.push(Setting { stage, field, values: gathered(values) }),
        }
    }
    Ok(settings)
}

/// The stage of a node, with what else it is of, and its key.
fn told_of(store: &Store, node: &PlannedNode) -> Result<Option<(String, Key)>, Error> {
    let mut words = node.node.split('.');
    let stage = words.next().unwrap_or_default().to_owned();
    let part = words.nth(1);
    if NOT_TOLD.contains(&&*stage) || part.is_some_and(|part| part.starts_with("epoch")) {
        return Ok(None);
    }
    let Some(manifest) = node.run.map(|run| store.manifest(run)).transpose()?.flatten() else {
        return Ok(None);
    };
    let stage = part.map_or(stage.clone(), |part| format!("{stage}.{part}"));
    Ok(Some((stage, manifest.key)))
}

/// Every scalar by its path, as `adamw.beta1`; what is not set is left out.
fn flatten(path: &str, value: &Value, to: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, to);
            }
        }
        Value::String(text) => to.push((path.to_owned(), text.clone())),
        other => to.push((path.to_owned(), other.to_string())),
    }
}

/// Names the models of each value, in the order in which the values first stand.
fn gathered(values: Vec<(String, String)>) -> Vec<SettingValue> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (model, value) in values {
        match found.iter_mut().find(|(known, _)| *known == value) {
            Some((_, models)) => models.push(model),
            None => found.push((value, vec![model])),
        }
    }
    let told = |(value, models)| SettingValue { models, value: Excerpt::of(value, LONGEST) };
    found.into_iter().map(told).collect()
}
