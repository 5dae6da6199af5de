//! Nodes: stages with a place in an experiment, and the plan that lists them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::key::Signature;
use super::name::NodeName;
use super::stage::Stage;
use crate::store::{Digest, StoredTable, Variant};

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
    /// Something that has no bytes here, by what its owner calls it.
    Declared(BTreeMap<String, String>),
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
    /// What tells it from the others of its file, where the file expands to several.
    pub variant: Option<Variant>,
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

    /// Says of each node what it comes from, down to stages and files: nodes of one recipe share one run, before it
    /// is made and its key is known.
    #[must_use]
    pub fn recipes(&self) -> Vec<Digest> {
        let mut known: BTreeMap<&str, Digest> = BTreeMap::new();
        let mut recipes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let Signature { stage, version, config } = node.stage.signature();
            let input = |input: &Input| {
                let source = match &input.source {
                    Source::Table { node, table } => {
                        json!([known.get(node.as_str()).copied().map(Digest::to_hex), table])
                    }
                    Source::Stored(table) => json!(table.object.to_hex()),
                    Source::Files(files) => json!(files),
                    Source::Declared(named) => json!(named),
                };
                (input.name.to_owned(), source)
            };
            let inputs: serde_json::Map<String, Value> = node.inputs.iter().map(input).collect();
            let recipe = Digest::of_json(&json!([stage, version, config, inputs]));
            known.insert(node.name.as_str(), recipe);
            recipes.push(recipe);
        }
        recipes
    }
}
