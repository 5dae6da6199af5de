//! What an experiment's file may say, as a JSON Schema: generated from the types that read it, for editors, and for
//! whoever asks what a field means.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::toml_file::Root;

/// Returns the schema of `experiment.toml`, draft 7, which most editors know.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Root>().to_value();
    without_null(&mut schema);
    schema
}

/// TOML has no null: a field that may be left out is one that need not be there.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(fields) => {
            fields.values_mut().for_each(without_null);
            let null = json!({ "type": "null" });
            for name in ["type", "enum", "anyOf"] {
                if let Some(Value::Array(kinds)) = fields.get_mut(name) {
                    kinds.retain(|kind| *kind != null && !kind.is_null() && kind != "null");
                }
            }
            if let Some(one) = alone(fields, "type") {
                fields.insert("type".to_owned(), one);
            }
            if let Some(one) = alone(fields, "anyOf") {
                fields.remove("anyOf");
                join(fields, one);
            }
        }
        _ => {}
    }
}

/// The only element of a list.
fn alone(fields: &Map<String, Value>, name: &str) -> Option<Value> {
    match fields.get(name)?.as_array()?.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// Adds what is said of the only alternative; what is said of the field itself counts.
fn join(fields: &mut Map<String, Value>, one: Value) {
    let Value::Object(inner) = one else { return };
    // Beside a reference draft 7 reads nothing.
    if inner.contains_key("$ref") {
        fields.insert("allOf".to_owned(), json!([inner]));
        return;
    }
    for (name, value) in inner {
        fields.entry(name).or_insert(value);
    }
}
