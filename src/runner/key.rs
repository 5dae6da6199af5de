//! The run key: readable JSON with everything that decides a result, and its digest.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::store::{Digest, Key, KeyInput};

/// Which stage, in which version, with which configuration.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The verb, as `judge`.
    pub stage: &'static str,
    /// Bumped when the same inputs would give other rows.
    pub version: u32,
    /// Every field of the stage, template texts and seeds among them.
    pub config: Value,
}

impl Signature {
    /// Makes the signature of a stage whose serialized fields are its configuration.
    ///
    /// # Panics
    /// For a type that has no JSON form, which no stage is.
    #[must_use]
    #[expect(clippy::expect_used, reason = "stages are plain structs")]
    pub fn of<S: Serialize>(stage: &'static str, version: u32, config: &S) -> Self {
        let config = serde_json::to_value(config).expect("a stage is a plain struct");
        Self { stage, version, config }
    }
}

/// Everything that decides what a run makes.
///
/// In it: stage, version, configuration, and the digest of every input. Not in it: the
/// experiment's name, paths, thread counts, batch and shard sizes, the device.
#[derive(Debug, Clone, PartialEq)]
pub struct RunKey {
    key: Box<Key>,
    digest: Digest,
}

impl RunKey {
    /// Spells out the key of a stage over its inputs.
    #[must_use]
    pub fn new(signature: Signature, inputs: BTreeMap<String, KeyInput>) -> Self {
        let Signature { stage, version, config } = signature;
        let key = Key { stage: stage.to_owned(), version, config, inputs };
        let digest = key.digest();
        Self { key: Box::new(key), digest }
    }

    /// Returns the run's name.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the readable form, as the manifest keeps it.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }
}

/// One field in which two keys differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Its path: `respond.temperature` is `config.temperature` of the stage.
    pub field: String,
    /// What the earlier run had, `None` where it had no such field.
    pub before: Option<Value>,
    /// What this run has.
    pub after: Option<Value>,
}

impl Difference {
    /// Lists every field in which `after` differs from `before`, in the order of the key.
    #[must_use]
    pub fn all(before: &Key, after: &Key) -> Vec<Self> {
        let mut found = Vec::new();
        let mut part = |name: &str, [before, after]: [Value; 2]| {
            let there = |value: Value| Some(value).filter(|value| !value.is_null());
            collect(name, there(before).as_ref(), there(after).as_ref(), &mut found);
        };
        let both = [before, after];
        part("stage", both.map(|key| json!(key.stage)));
        part("version", both.map(|key| json!(key.version)));
        if before.config != after.config {
            part("", both.map(|key| key.config.clone()));
        }
        if before.inputs != after.inputs {
            part("", both.map(|key| json!(key.inputs)));
        }
        found
    }
}

fn collect(
    field: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) {
        let gone = old.keys().filter(|key| !new.contains_key(*key));
        for key in new.keys().chain(gone) {
            let path = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            collect(&path, old.get(key), new.get(key), found);
        }
        return;
    }
    found.push(Difference {
        field: field.to_owned(),
        before: before.cloned(),
        after: after.cloned(),
    });
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, before, after } = self;
        if let (Some(Value::String(before)), Some(Value::String(after))) = (before, after)
            && let Some(line) = first_differing_line(before, after)
        {
            return write!(f, "{field} changed in line {line}");
        }
        write!(f, "{field} {} → {}", brief(before.as_ref()), brief(after.as_ref()))
    }
}

/// Returns where two texts of several lines part, counted from 1.
fn first_differing_line(before: &str, after: &str) -> Option<usize> {
    if !before.contains('\n') && !after.contains('\n') {
        return None;
    }
    let same = before.lines().zip(after.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

fn brief(value: Option<&Value>) -> String {
    const LONG: usize = 40;
    match value {
        None => "(absent)".to_owned(),
        Some(Value::Null) => "off".to_owned(),
        Some(Value::String(text)) => match text.parse::<Digest>() {
            Ok(digest) => digest.short(),
            Err(_) if text.chars().count() > LONG => {
                format!("`{}…`", text.chars().take(LONG).collect::<String>())
            }
            Err(_) => format!("`{text}`"),
        },
        Some(other) => {
            let text = other.to_string();
            match text.char_indices().nth(LONG) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(config: Value) -> RunKey {
        RunKey::new(Signature { stage: "judge", version: 1, config }, BTreeMap::new())
    }

    #[test]
    fn a_key_does_not_depend_on_the_order_of_fields() {
        let one = key(json!({ "a": 1, "b": { "c": 2, "d": 3 } }));
        let two = key(json!({ "b": { "d": 3, "c": 2 }, "a": 1 }));
        assert_eq!(one.digest(), two.digest());
        assert_ne!(one.digest(), key(json!({ "a": 1, "b": { "c": 2, "d": 4 } })).digest());
    }

    #[test]
    fn a_difference_reads_as_a_person_would_say_it() {
        let say = |before: Value, after: Value| {
            let all = Difference::all(key(before).key(), key(after).key());
            all.first().map(ToString::to_string).unwrap_or_default()
        };
        assert_eq!(say(json!({ "t": 0.7, "n": 1 }), json!({ "t": 0.8, "n": 1 })), "t 0.7 → 0.8");
        assert_eq!(say(json!({ "t": null }), json!({ "t": 3 })), "t off → 3");
        assert_eq!(
            say(json!({ "text": "a\nb" }), json!({ "text": "a\nc" })),
            "text changed in line 2"
        );
        assert_eq!(say(json!({ "old": 1 }), json!({})), "old 1 → (absent)");
        assert_eq!(say(json!({ "a": 1 }), json!({ "a": 1 })), "");
    }
}
