//! Nodes: stages with a place in an experiment, and the plan that lists them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::stage::Stage;
use crate::store::StoredTable;

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

/// Something a stage reads, under the name by which it asks for it.
#[derive(Debug, Clone)]
pub struct Input {
    /// As `responses`, `model`, `files`.
    pub name: &'static str,
    /// Where it comes from.
    pub source: Source,
}

/// Where an input comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A table that an earlier node makes.
    Table {
        /// The maker.
        node: NodeName,
        /// The table, as `responses`.
        table: &'static str,
    },
    /// A table that the store has, whoever made it.
    Stored(StoredTable),
    /// Files outside the store, by the names under which they enter the key.
    Files(BTreeMap<String, PathBuf>),
}

impl Input {
    /// Makes an input from a table of an earlier node; it goes by the table's name.
    #[must_use]
    pub const fn table(node: NodeName, table: &'static str) -> Self {
        Self { name: table, source: Source::Table { node, table } }
    }
}

/// A stage with a place in an experiment.
pub struct Node {
    /// As `judge.m1`.
    pub name: NodeName,
    /// What it does.
    pub stage: Box<dyn Stage>,
    /// What it reads. Tables come from nodes that stand earlier in the plan.
    pub inputs: Vec<Input>,
}

/// The nodes of an experiment, each after those that it reads from.
pub struct Plan {
    /// The experiment's name.
    pub experiment: String,
    /// The file that it was read from, where there is one.
    pub file: Option<PathBuf>,
    /// Its nodes, in the order in which they run.
    pub nodes: Vec<Node>,
}

impl Plan {
    /// Returns `wanted` and every node they stand on, in the plan's order; all for an empty list.
    #[must_use]
    pub fn with_ancestors(&self, wanted: &[NodeName]) -> Vec<bool> {
        let mut chosen: Vec<bool> = self
            .nodes
            .iter()
            .map(|node| wanted.is_empty() || wanted.contains(&node.name))
            .collect();
        for index in (0..self.nodes.len()).rev().filter(|_| !wanted.is_empty()) {
            if !chosen[index] {
                continue;
            }
            for input in &self.nodes[index].inputs {
                if let Source::Table { node: maker, .. } = &input.source
                    && let Some(at) = self.nodes.iter().position(|node| node.name == *maker)
                {
                    chosen[at] = true;
                }
            }
        }
        chosen
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
