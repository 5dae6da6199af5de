//! Ids and seeds belong to rows: both come from what defines a row before it is generated.

use std::fmt::Write as _;

use serde_json::Value;

use crate::store::Digest;

/// Hexadecimal digits of an id. With the prefix, ids fit the 64 characters of batch APIs.
const DIGITS: usize = 40;

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

    /// Returns the id with the letter of its table, as `r_3f…`.
    #[must_use]
    pub fn finish(self, letter: char) -> String {
        let digest = Digest::of_json(&Value::Array(self.0)).to_hex();
        let mut id = String::with_capacity(2 + DIGITS);
        let _ = write!(id, "{letter}_{}", &digest[..DIGITS]);
        id
    }
}

/// Returns the seed of one row: from the experiment's seed and the row's id, never from a running
/// generator, so that order, batches and interruptions cannot change it.
#[must_use]
pub fn seed_of(experiment_seed: u64, id: &str) -> u64 {
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
        let one = RowId::of("ab").and("c").finish('r');
        let two = RowId::of("a").and("bc").finish('r');
        assert_ne!(one, two);
        assert_eq!(one.len(), 42);
        assert!(one.starts_with("r_"));
    }

    #[test]
    fn a_seed_follows_the_row_and_the_experiment() {
        assert_eq!(seed_of(1, "r_a"), seed_of(1, "r_a"));
        assert_ne!(seed_of(1, "r_a"), seed_of(2, "r_a"));
        assert_ne!(seed_of(1, "r_a"), seed_of(1, "r_b"));
        assert_ne!(seed_of(1, "1\nr"), seed_of(11, "r"));
    }
}
