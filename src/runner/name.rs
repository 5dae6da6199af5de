//! What nodes are called.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A node's name, `stage.model` or `stage.model.part`: `judge.m1`, `read.m0.meta`.
///
/// The same string stands in the experiment, on the command line, in progress and in SQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

/// Text that names no node.
#[derive(Debug, thiserror::Error)]
#[error("expected a node like `judge.m1`, found `{0}`")]
pub struct BadName(String);

impl NodeName {
    /// Returns the verb: `judge`.
    #[must_use]
    pub fn stage(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Returns the model it works with, or makes: `m1`.
    #[must_use]
    pub fn model(&self) -> &str {
        self.0.split('.').nth(1).unwrap_or_default()
    }

    /// Returns the whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('.').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        if (2..=3).contains(&parts.len()) && parts.iter().all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName(text.to_owned()))
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_stage_and_a_model() {
        let name: NodeName = "read.m0.meta".parse().unwrap();
        assert_eq!((name.stage(), name.model()), ("read", "m0"));
        for bad in ["judge", "judge.", ".m1", "a.b.c.d", "judge m1.x", ""] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }
}
