//! What a run's key says, read and written in one place.
//!
//! A key is readable JSON; its canonical form is what the run's name is the digest of. What a key does
//! not say is left out of the JSON, so that a field that is new changes no older name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::digest::Digest;

/// Everything that decides what a run makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The verb, as `judge`.
    pub stage: String,
    /// The version of the stage.
    pub version: u32,
    /// Every field of the stage, template texts and seeds among them.
    pub config: Value,
    /// What it read, by the name under which the stage asks for it.
    pub inputs: BTreeMap<String, KeyInput>,
}

/// Something that a run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum KeyInput {
    /// A table: its object.
    Table(Digest),
    /// Files from outside the store, by the names under which they are known.
    Files(BTreeMap<String, Digest>),
    /// Something that has no bytes here, by what its owner calls it.
    Declared(BTreeMap<String, String>),
}

impl Key {
    /// Returns the name of the run.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_json(&json!(self))
    }

    /// The table that stands for an input; `None` where it is files or is not read.
    #[must_use]
    pub fn table(&self, input: &str) -> Option<Digest> {
        match self.inputs.get(input)? {
            KeyInput::Table(digest) => Some(*digest),
            KeyInput::Files(_) | KeyInput::Declared(_) => None,
        }
    }

    /// The files that stand for an input; `None` where it is a table or is not read.
    #[must_use]
    pub fn files(&self, input: &str) -> Option<&BTreeMap<String, Digest>> {
        match self.inputs.get(input)? {
            KeyInput::Files(files) => Some(files),
            KeyInput::Table(_) | KeyInput::Declared(_) => None,
        }
    }

    /// Every digest that the key spells, wherever it stands in it.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        let inputs = self.inputs.values().flat_map(|input| match input {
            KeyInput::Table(digest) => vec![*digest],
            KeyInput::Files(files) => files.values().copied().collect(),
            KeyInput::Declared(_) => Vec::new(),
        });
        inputs.chain(digests_in(&self.config)).collect()
    }
}

fn digests_in(value: &Value) -> Vec<Digest> {
    match value {
        Value::String(text) => text.parse().into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(digests_in).collect(),
        Value::Object(fields) => fields.values().flat_map(digests_in).collect(),
        _ => Vec::new(),
    }
}

impl<'de> Deserialize<'de> for KeyInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Inputs)
    }
}

/// Tells a table from files by their shape, and says what it expected where it is neither.
struct Inputs;

impl<'de> Visitor<'de> for Inputs {
    type Value = KeyInput;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table's digest, files and their digests, or names")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<KeyInput, E> {
        text.parse().map(KeyInput::Table).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KeyInput, A::Error> {
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            named.insert(name, value);
        }
        // What a file is, is a digest; what is declared has to say more than digests.
        let digests = named.iter().map(|(name, value)| Some((name.clone(), value.parse().ok()?)));
        Ok(match digests.collect::<Option<BTreeMap<String, Digest>>>() {
            Some(files) => KeyInput::Files(files),
            None => KeyInput::Declared(named),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        let table = KeyInput::Table(Digest::of(b"rows"));
        let files = KeyInput::Files([("config.json".to_owned(), Digest::of(b"{}"))].into());
        Key {
            stage: "judge".to_owned(),
            version: 3,
            config: json!({ "samples": 11, "model": Digest::of(b"model").to_hex() }),
            inputs: [("responses".to_owned(), table), ("model".to_owned(), files)].into(),
        }
    }

    #[test]
    fn a_key_comes_back_as_it_was_written() {
        let key = key();
        let text = serde_json::to_string_pretty(&key).unwrap();
        let read: Key = serde_json::from_str(&text).unwrap();
        assert_eq!((read.digest(), &read), (key.digest(), &key));
    }

    #[test]
    fn a_key_has_the_name_that_it_always_had() {
        let key = key();
        let before = json!({
            "stage": "judge",
            "version": 3,
            "config": key.config,
            "inputs": { "responses": Digest::of(b"rows"), "model": { "config.json": Digest::of(b"{}") } },
        });
        assert_eq!(key.digest(), Digest::of_json(&before));
        assert_ne!(key.digest(), super::Key { version: 4, ..key }.digest());
    }

    #[test]
    fn every_digest_of_a_key_is_found() {
        let mut found = key().digests();
        found.sort_unstable();
        let mut all = [b"rows".as_slice(), b"{}", b"model"].map(Digest::of);
        all.sort_unstable();
        assert_eq!(found, all);
    }

    #[test]
    fn an_input_that_is_neither_is_told_of() {
        let wrong = serde_json::from_str::<KeyInput>("7").unwrap_err().to_string();
        assert!(wrong.contains("expected a table's digest, files"), "{wrong}");
    }

    #[test]
    fn what_is_declared_comes_back_as_what_it_is() {
        let named =
            [("served".to_owned(), "gpt-4o".to_owned()), ("revision".to_owned(), String::new())];
        let declared = KeyInput::Declared(named.into());
        let text = serde_json::to_string(&declared).unwrap();
        assert_eq!(text, r#"{"revision":"","served":"gpt-4o"}"#);
        assert_eq!(serde_json::from_str::<KeyInput>(&text).unwrap(), declared);
    }
}
