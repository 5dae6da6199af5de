//! A model of a recorded experiment, and the tables of its nodes.

use std::collections::HashSet;

use serde::Deserialize;

use crate::query;
use crate::records::PromptId;
use crate::store::{
    self, Manifest, PlannedNode, Record, RecordedPlan, Store, StoredTable, TableReader,
};

/// What keeps results from being read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A query failed.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// A node that is needed was never finished, or what it made is gone.
    #[error("`{experiment}/{node}` is not made")]
    NotMade {
        /// The experiment.
        experiment: String,
        /// The node.
        node: String,
    },
    /// Two models were not asked the same.
    #[error(
        "{} and {} answered other prompts: {} of {} and {} are the same", names[0], names[1], both,
        asked[0], asked[1]
    )]
    OtherPrompts {
        /// The models.
        names: [String; 2],
        /// How many prompts each was asked.
        asked: [usize; 2],
        /// How many of these are the same.
        both: usize,
    },
}

/// A model of a recorded experiment.
pub struct RecordedModel {
    /// The experiment's name.
    pub experiment: String,
    /// As `m1`.
    pub model: String,
    /// What was recorded of the experiment.
    pub plan: RecordedPlan,
}

/// The node of the prompts that every model of an experiment is asked.
const HELD_OUT: &str = "prompts.eval";

impl RecordedModel {
    /// Returns `experiment/m1`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.experiment, self.model)
    }

    /// Which iteration works with it.
    pub(super) fn iteration(&self) -> usize {
        self.model.strip_prefix('m').and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Returns the manifest of one of the experiment's nodes, where it is finished.
    ///
    /// # Errors
    /// Where the store is damaged.
    pub fn manifest(&self, store: &Store, node: &PlannedNode) -> Result<Option<Manifest>, Error> {
        Ok(node.run.map(|run| store.manifest(run)).transpose()?.flatten())
    }

    fn table(&self, store: &Store, node: &str, table: &str) -> Result<StoredTable, Error> {
        let known = self.plan.nodes.iter().find(|known| known.node == node);
        let manifest = known.map(|known| self.manifest(store, known)).transpose()?.flatten();
        let stored = manifest.and_then(|manifest| manifest.tables.get(table).copied());
        stored.ok_or_else(|| Error::NotMade {
            experiment: self.experiment.clone(),
            node: node.to_owned(),
        })
    }

    /// Whether its experiment asks every model the same prompts.
    #[must_use]
    pub fn is_evaluated(&self) -> bool {
        self.plan.nodes.iter().any(|node| node.node == HELD_OUT)
    }

    /// Returns the prompts that every model of its experiment is asked.
    ///
    /// # Errors
    /// [`Error::NotMade`], and where the store is damaged.
    pub fn held_out(&self, store: &Store) -> Result<StoredTable, Error> {
        self.table(store, HELD_OUT, "prompts")
    }

    /// Returns its answers to these.
    ///
    /// # Errors
    /// As [`RecordedModel::held_out`].
    pub fn answers(&self, store: &Store) -> Result<StoredTable, Error> {
        self.table(store, &format!("respond.{}.eval", self.model), "responses")
    }

    /// Returns a run that decided games of its experiment, if one did: its key spells out how.
    ///
    /// # Errors
    /// Where the store is damaged.
    pub fn decider(&self, store: &Store) -> Result<Option<Manifest>, Error> {
        for node in self.plan.nodes.iter().filter(|node| node.node.starts_with("evaluate.")) {
            if let Some(manifest) = self.manifest(store, node)? {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }
}

/// The id of a prompt, which follows from what it says.
#[derive(Deserialize)]
struct Asked {
    prompt_id: PromptId,
}

/// Checks that two models were asked the same prompts, in whichever order.
pub(super) fn asked_the_same(store: &Store, models: &[RecordedModel; 2]) -> Result<(), Error> {
    let [first, second] = models;
    let tables = [first.held_out(store)?, second.held_out(store)?];
    if tables[0].object == tables[1].object {
        return Ok(());
    }
    let ids = |table: StoredTable| -> Result<HashSet<PromptId>, Error> {
        let rows = TableReader::<Asked>::open(store, table.object)?;
        Ok(rows.map(|row| row.map(|row| row.prompt_id)).collect::<Result<_, _>>()?)
    };
    let [before, after] = [ids(tables[0])?, ids(tables[1])?];
    if before == after {
        return Ok(());
    }
    Err(Error::OtherPrompts {
        names: models.each_ref().map(RecordedModel::name),
        asked: [before.len(), after.len()],
        both: before.intersection(&after).count(),
    })
}

/// Reads a whole table.
pub(super) fn rows<R: Record>(store: &Store, table: StoredTable) -> Result<Vec<R>, Error> {
    Ok(TableReader::open(store, table.object)?.collect::<Result<_, _>>()?)
}
