//! Ids and seeds belong to rows: both come from what defines a row before it is generated.

use std::fmt::{self, Display, Formatter};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::Digest;

/// Hexadecimal digits of an id. With the prefix, ids fit the 64 characters of batch APIs.
const DIGITS: usize = 40;

/// The id of a row of one table: a letter, `_` and 40 hexadecimal digits. In tables it is a text.
pub trait Id: Clone + Display + Into<Value> + Serialize + DeserializeOwned {
    /// The letter that ids of the table begin with.
    const LETTER: char;

    /// Takes a text for an id, unchecked.
    #[must_use]
    fn from_text(text: String) -> Self;

    /// The text.
    #[must_use]
    fn as_str(&self) -> &str;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident begins with $letter:literal,)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl Id for $name {
            const LETTER: char = $letter;

            fn from_text(text: String) -> Self {
                Self(text)
            }

            fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for Value {
            fn from(id: $name) -> Self {
                Self::String(id.0)
            }
        }
    )*};
}

ids! {
    /// Of a prompt: its conversation.
    PromptId begins with 'p',
    /// Of a response: its prompt, who drew it and how.
    ResponseId begins with 'r',
    /// Of a judgement: its response, who drew it and how.
    JudgementId begins with 'j',
    /// Of a meta-judgement: its two judgements in their order, who drew it and how.
    MetaJudgementId begins with 'm',
    /// Of a preference pair: what it is about and its two sides.
    PairId begins with 'd',
    /// Of a verdict: its game, and who decided it.
    VerdictId begins with 'v',
    /// Of an example to fine-tune on: its conversation, its answer, and how often they came before.
    ExampleId begins with 'x',
}

/// An id in the making: the digest of everything that defines a row.
#[derive(Debug)]
pub struct RowId(Vec<Value>);

impl RowId {
    /// Starts an id from the first thing that defines the row.
    #[must_use]
    pub fn of(part: impl Into<Value>) -> Self {
        Self(vec![part.into()])
    }

    /// Adds another thing that defines the row. Order counts.
    #[must_use]
    pub fn and(mut self, part: impl Into<Value>) -> Self {
        self.0.push(part.into());
        self
    }

    /// Returns the id, as `r_3f…`.
    #[must_use]
    pub fn finish<I: Id>(self) -> I {
        let digest = Digest::of_json(&Value::Array(self.0)).to_hex();
        I::from_text(format!("{}_{}", I::LETTER, &digest[..DIGITS]))
    }
}

/// Returns the seed of one row: from the experiment's seed and the row's id, never from a running
/// generator, so that order, batches and interruptions cannot change it.
#[must_use]
pub fn seed_of(experiment_seed: u64, id: &impl Id) -> u64 {
    let digest = Digest::of(format!("{experiment_seed}\n{id}").as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_run_into_each_other() {
        let one: ResponseId = RowId::of("ab").and("c").finish();
        let two: ResponseId = RowId::of("a").and("bc").finish();
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 42);
        assert!(one.as_str().starts_with("r_"));
    }

    #[test]
    fn an_id_is_a_text_in_tables() {
        let id: PairId = RowId::of("ab").finish();
        assert_eq!(serde_json::to_value(&id).unwrap(), Value::from(id.clone()));
        assert_eq!(serde_json::to_value(&id).unwrap(), id.to_string());
    }

    #[test]
    fn a_seed_follows_the_row_and_the_experiment() {
        let seed = |experiment, id: &str| seed_of(experiment, &ResponseId(id.to_owned()));
        assert_eq!(seed(1, "r_a"), seed(1, "r_a"));
        assert_ne!(seed(1, "r_a"), seed(2, "r_a"));
        assert_ne!(seed(1, "r_a"), seed(1, "r_b"));
        assert_ne!(seed(1, "1\nr"), seed(11, "r"));
    }
}
