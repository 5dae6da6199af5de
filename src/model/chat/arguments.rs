//! What an experiment gives a chat template beside the conversation: `enable_thinking = false`, and the
//! date that `strftime_now` tells.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The function by which a template asks for today's date, and the argument that answers it.
pub(super) const DATE: &str = "strftime_now";

/// What a rendering gives itself.
const GIVEN: [&str; 6] = [
    "messages",
    "add_generation_prompt",
    "continue_final_message",
    "tools",
    "documents",
    "raise_exception",
];

/// Arguments of a chat template: strings, booleans, numbers and lists of these, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arguments(BTreeMap<String, Value>);

/// Why a chat template cannot be given an argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadArgument {
    /// The rendering gives it itself.
    #[error("`{0}` is given by the conversation itself; expected another name")]
    Given(String),
    /// No template can say this name.
    #[error("expected a name of letters, digits and `_`, found `{0}`")]
    Name(String),
    /// Of another type.
    #[error("expected text, a boolean, a number, or a list of these, found {0}")]
    Type(&'static str),
    /// Not a date.
    #[error("expected a date, as `2026-01-01` or `2026-01-01T09:30:00`, found `{0}`")]
    Date(String),
}

impl Arguments {
    /// Adds one.
    ///
    /// # Errors
    /// Where a template cannot be given it.
    pub fn add(&mut self, name: &str, value: Value) -> Result<(), BadArgument> {
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(BadArgument::Name(name.to_owned()));
        }
        if GIVEN.contains(&name) {
            return Err(BadArgument::Given(name.to_owned()));
        }
        match (name, &value) {
            (DATE, Value::String(text)) if moment(text).is_some() => {}
            (DATE, Value::String(text)) => return Err(BadArgument::Date(text.clone())),
            (DATE, other) => return Err(BadArgument::Date(other.to_string())),
            (_, other) => plain(other)?,
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The arguments as JSON, for keys and ids.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// What stands in a template under its name, by name.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &Value)> {
        let variables = self.0.iter().filter(|(name, _)| *name != DATE);
        variables.map(|(name, value)| (name.as_str(), value))
    }

    /// Tells whether there is one of a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names of all, the date's among them.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The date, where there is one.
    pub(super) fn date(&self) -> Option<NaiveDateTime> {
        self.0.get(DATE).and_then(Value::as_str).and_then(moment)
    }
}

fn plain(value: &Value) -> Result<(), BadArgument> {
    match value {
        Value::Null => Err(BadArgument::Type("nothing")),
        Value::Object(_) => Err(BadArgument::Type("a table")),
        Value::Array(items) => items.iter().try_for_each(plain),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// A date, with or without a time of day.
fn moment(text: &str) -> Option<NaiveDateTime> {
    let text = text.replacen(' ', "T", 1);
    let at = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok());
    at.or_else(|| {
        let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?;
        Some(day.and_time(NaiveTime::MIN))
    })
}

/// The date in a form, as Python's `strftime` writes it; `None` where the form is not one.
pub(super) fn written(date: NaiveDateTime, form: &str) -> Option<String> {
    let mut text = String::new();
    write!(text, "{}", date.format(form)).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_argument_has_a_free_name_and_a_plain_value() {
        let mut arguments = Arguments::default();
        let mut add = |name, value| arguments.add(name, value).map_err(|e| e.to_string());
        for (name, value) in [
            ("enable_thinking", json!(false)),
            ("levels", json!([1, "two", [3.5]])),
            ("bos_token", json!("<s>")),
            (DATE, json!("2026-01-01")),
        ] {
            assert_eq!(add(name, value), Ok(()), "{name}");
        }
        for (name, value, expected) in [
            ("messages", json!("a"), "`messages` is given by the conversation itself"),
            ("enable-thinking", json!(true), "found `enable-thinking`"),
            ("x", json!({"a": 1}), "found a table"),
            ("x", json!([null]), "found nothing"),
            (DATE, json!("tomorrow"), "expected a date, as `2026-01-01`"),
            (DATE, json!(2026), "found `2026`"),
        ] {
            let found = add(name, value).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
        assert_eq!(arguments.variables().count(), 3);
        let date = arguments.date().unwrap();
        assert_eq!(written(date, "%d %b %Y, %A").unwrap(), "01 Jan 2026, Thursday");
        assert_eq!(written(date, "%Q"), None);
        for text in ["2026-01-01 09:30", "2026-01-01T09:30:00"] {
            assert_eq!(written(moment(text).unwrap(), "%H:%M").unwrap(), "09:30");
        }
    }
}
