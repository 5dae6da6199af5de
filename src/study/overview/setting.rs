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
    /// The seeds of which this is so, where it is not so of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
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
    let told = |(value, models)| SettingValue {
        models,
        value: Excerpt::of(value, LONGEST),
        seeds: Vec::new(),
    };
    found.into_iter().map(told).collect()
}

/// The settings of experiments that differ in their seeds, each once: where it follows from the seed it is left out,
/// and where it differs otherwise, the seeds are named.
pub(super) fn settings_of_all(
    store: &Store,
    plans: &[(u64, RecordedPlan)],
) -> Result<Vec<Setting>, Error> {
    let mut all: Vec<(Setting, Vec<Told>)> = Vec::new();
    for (seed, plan) in plans {
        for Setting { stage, field, values } in settings(store, plan)? {
            let known =
                all.iter().position(|(known, _)| known.stage == stage && known.field == field);
            let at = known.unwrap_or_else(|| {
                all.push((Setting { stage, field, values: Vec::new() }, Vec::new()));
                all.len() - 1
            });
            all[at].1.extend(values.into_iter().map(|SettingValue { models, value, .. }| Told {
                seed: *seed,
                models,
                value,
            }));
        }
    }
    let merged = |(setting, told): (Setting, Vec<Told>)| {
        let values = of_all(&told);
        let differs = values.iter().any(|value| !value.seeds.is_empty());
        let follows = setting.field.rsplit('.').next() == Some("seed")
            || told.iter().all(|told| told.value.is(&told.seed.to_string()));
        (!(differs && follows)).then_some(Setting { values, ..setting })
    };
    Ok(all.into_iter().filter_map(merged).collect())
}

/// What a setting is for some models of one seed.
struct Told {
    seed: u64,
    models: Vec<String>,
    value: Excerpt,
}

/// Each value once, with the models of any seed; with the seeds where those of others have another.
fn of_all(told: &[Told]) -> Vec<SettingValue> {
    let mut values: Vec<SettingValue> = Vec::new();
    for Told { seed, models, value } in told {
        let at = values.iter().position(|known| known.value == *value).unwrap_or_else(|| {
            let value = value.clone();
            values.push(SettingValue { models: Vec::new(), value, seeds: Vec::new() });
            values.len() - 1
        });
        let known = &mut values[at];
        known.seeds.push(*seed);
        let new = models.iter().filter(|model| !known.models.contains(model)).cloned();
        known.models.extend(new.collect::<Vec<_>>());
    }
    for value in &mut values {
        let differs = |other: &Told| {
            other.value != value.value && other.models.iter().any(|m| value.models.contains(m))
        };
        if !told.iter().any(differs) {
            value.seeds.clear();
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seed: u64, models: &[&str], value: &str) -> Told {
        let models = models.iter().map(|model| (*model).to_owned()).collect();
        Told { seed, models, value: Excerpt::of(value.to_owned(), LONGEST) }
    }

    #[test]
    fn a_setting_is_told_once_of_all_seeds_unless_they_differ_in_it() {
        let of = |told: &[Told]| -> Vec<(Vec<String>, Vec<u64>)> {
            of_all(told).into_iter().map(|value| (value.models, value.seeds)).collect()
        };
        let (m0, both) = (vec!["m0".to_owned()], vec!["m0".to_owned(), "m1".to_owned()]);
        // The second seed is not made to its end.
        let same = [told(0, &["m0", "m1"], "0.8"), told(1, &["m0"], "0.8")];
        assert_eq!(of(&same), [(both.clone(), vec![])]);
        let other = [told(0, &["m0", "m1"], "0.8"), told(1, &["m0"], "0.7")];
        assert_eq!(of(&other), [(both, vec![0]), (m0, vec![1])]);
    }
}
