//! `[model.template]`: what a model's chat template is given beside the conversation.

use serde_json::Value;

use super::Error;
use super::toml_file::{File, Given};
use crate::stages::Arguments;

impl File {
    /// Reads the arguments of a chat template.
    pub(super) fn arguments(&self, given: &Given) -> Result<Arguments, Error> {
        let mut arguments = Arguments::default();
        for (name, value) in given {
            let added = arguments.add(name, json(value.as_ref()));
            added.map_err(|error| {
                self.text.error(&value.span(), format!("the argument `{name}`: {error}"))
            })?;
        }
        Ok(arguments)
    }
}

/// A date is text, and a number that JSON has no name for is nothing.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(on) => Value::from(*on),
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(items) => items.iter().map(json).collect(),
        toml::Value::Table(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
    }
}
