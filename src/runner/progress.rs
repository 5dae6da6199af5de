//! How far a plan is known: the inputs of its nodes, their keys, and the manifests of what is finished.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::events::Interrupted;
use super::io::Resolved;
use super::key::RunKey;
use super::name::NodeName;
use super::node::{Node, Source};
use crate::store::{self, Digest, Manifest, Sources, Store};

/// What keeps a plan from running at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that a node reads is not there, or cannot be read.
    #[error("{node} needs `{name}`, which cannot be read")]
    File {
        /// The node.
        node: NodeName,
        /// The file, as the experiment names it.
        name: String,
        /// Why.
        source: store::Error,
    },
    /// A node reads from one that is not before it in the plan: a mistake in mrx.
    #[error("{node} reads `{table}` of {maker}, which does not make it")]
    NoSuchTable {
        /// The reader.
        node: NodeName,
        /// The table.
        table: &'static str,
        /// The supposed maker.
        maker: NodeName,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The run was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// The keys and manifests of a plan, as far as they are known.
pub(super) struct Progress {
    sources: Sources,
    finished: BTreeMap<NodeName, Manifest>,
}

impl Progress {
    pub(super) fn new(store: &Store) -> Result<Self, Error> {
        Ok(Self { sources: Sources::open(store)?, finished: BTreeMap::new() })
    }

    pub(super) fn finish(&mut self, node: &NodeName, manifest: Manifest) {
        self.finished.insert(node.clone(), manifest);
    }

    /// Returns the inputs of a node, or the node that has to be made before they are known.
    pub(super) fn resolve(
        &mut self,
        node: &Node,
    ) -> Result<Result<BTreeMap<String, Resolved>, NodeName>, Error> {
        let mut inputs = BTreeMap::new();
        for input in &node.inputs {
            let resolved = match &input.source {
                Source::Table { node: maker, table } => match self.finished.get(maker) {
                    None => return Ok(Err(maker.clone())),
                    Some(manifest) => {
                        Resolved::Table(*manifest.tables.get(*table).ok_or_else(|| {
                            let (node, maker) = (node.name.clone(), maker.clone());
                            Error::NoSuchTable { node, table, maker }
                        })?)
                    }
                },
                Source::Stored(table) => Resolved::Table(*table),
                Source::Declared(named) => Resolved::Declared(named.clone()),
                Source::Files(files) => Resolved::Files(self.digest_files(&node.name, files)?),
            };
            inputs.insert(input.name.to_owned(), resolved);
        }
        Ok(Ok(inputs))
    }

    fn digest_files(
        &mut self,
        node: &NodeName,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, (PathBuf, Digest)>, Error> {
        let digest = |(name, path): (&String, &PathBuf)| match self.sources.digest(path) {
            Ok(digest) => Ok((name.clone(), (path.clone(), digest))),
            Err(source) => Err(Error::File { node: node.clone(), name: name.clone(), source }),
        };
        files.iter().map(digest).collect()
    }

    /// Keeps what was learnt about files outside the store.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        Ok(self.sources.save()?)
    }
}

/// Spells out the key of a node over inputs that are known.
pub(super) fn key_of(node: &Node, inputs: &BTreeMap<String, Resolved>) -> RunKey {
    let inputs = inputs.iter().map(|(name, input)| (name.clone(), input.key())).collect();
    RunKey::new(node.stage.signature(), inputs)
}
