//! What a run would do, and why, without doing it.

use serde::Serialize;

use super::claim::{finished, missing_table};
use super::key::{Difference, RunKey};
use super::name::NodeName;
use super::node::Plan;
use super::progress::{Error, Progress, key_of};
use crate::store::{Digest, Manifest, RecordedPlan, Store};

/// What would become of one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outlook {
    /// The node.
    pub node: NodeName,
    /// Its run, where all it reads is known.
    pub run: Option<Digest>,
    /// Whether it would be made.
    pub state: State,
    /// Rows that are there: of a finished run all, of an unfinished one those that are safe.
    pub rows: u64,
    /// Seconds that a finished run took.
    pub seconds: Option<f64>,
    /// Why it would be made, where it would.
    pub why: Option<Why>,
}

/// Whether a node would be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is finished: nothing to do.
    Hit,
    /// It was begun: some rows are safe.
    Partial,
    /// It is to be made from the start.
    Miss,
    /// What it reads is not made yet.
    Waits,
}

/// Why a node would be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No run of this stage is in the store.
    New,
    /// It differs from the nearest earlier run; this is the first field that does.
    Differs {
        /// The field.
        first: Difference,
        /// How many more fields differ.
        more: usize,
        /// The node of that earlier run.
        from_node: String,
        /// Its experiment.
        from_experiment: String,
    },
    /// It was finished once, and a table of it is gone.
    Lost {
        /// The table.
        table: String,
    },
    /// It was finished once, and its manifest is gone.
    Unrecorded,
    /// A node that it reads from has to be made first.
    After {
        /// That node.
        node: NodeName,
    },
}

/// Says what a run of the whole plan would do.
///
/// # Errors
/// Where the store or a declared file cannot be read.
pub fn survey(store: &Store, plan: &Plan) -> Result<Vec<Outlook>, Error> {
    let mut progress = Progress::new(store)?;
    let mut earlier = Earlier { store, recorded: store.plan(&plan.experiment)?, all: None };
    let mut outlooks = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let outlook = match progress.resolve(node)? {
            Err(maker) => Outlook {
                node: node.name.clone(),
                run: None,
                state: State::Waits,
                rows: 0,
                seconds: None,
                why: Some(Why::After { node: maker }),
            },
            Ok(inputs) => {
                let key = key_of(node, &inputs);
                match finished(store, key.digest())? {
                    Some(manifest) => {
                        let outlook = hit(&node.name, &manifest);
                        progress.finish(&node.name, manifest);
                        outlook
                    }
                    None => miss(store, &node.name, &key, &mut earlier)?,
                }
            }
        };
        outlooks.push(outlook);
    }
    Ok(outlooks)
}

fn hit(node: &NodeName, manifest: &Manifest) -> Outlook {
    Outlook {
        node: node.clone(),
        run: Some(manifest.run),
        state: State::Hit,
        rows: manifest.tables.values().map(|table| table.rows).sum(),
        seconds: Some(manifest.cost.seconds),
        why: None,
    }
}

fn miss(
    store: &Store,
    node: &NodeName,
    key: &RunKey,
    earlier: &mut Earlier<'_>,
) -> Result<Outlook, Error> {
    let rows = store.partial_rows(key.digest())?;
    let why = match store.manifest(key.digest())? {
        Some(manifest) => Why::Lost { table: missing_table(store, &manifest).unwrap_or_default() },
        None => earlier.why(node, key)?,
    };
    Ok(Outlook {
        node: node.clone(),
        run: Some(key.digest()),
        state: if rows > 0 { State::Partial } else { State::Miss },
        rows,
        seconds: None,
        why: Some(why),
    })
}

/// The runs that a miss is compared with. The whole store is read only when a miss needs it.
struct Earlier<'a> {
    store: &'a Store,
    recorded: Option<RecordedPlan>,
    all: Option<Vec<Manifest>>,
}

impl Earlier<'_> {
    /// Compares with the run that this node stood on before, else with the nearest of its stage.
    fn why(&mut self, node: &NodeName, key: &RunKey) -> Result<Why, Error> {
        let mut lost = self.recorded.iter().flat_map(|plan| plan.lost(self.store));
        if lost.any(|lost| lost.run == Some(key.digest())) {
            return Ok(Why::Unrecorded);
        }
        if let Some(manifest) = self.recorded_run(node)?
            && manifest.run != key.digest()
        {
            return Ok(differs(&manifest, key));
        }
        if self.all.is_none() {
            self.all = Some(self.store.manifests()?);
        }
        let stage = &key.key().stage;
        let same_stage = self.all.iter().flatten().filter(|m| m.key.stage == *stage);
        let nearest = same_stage.min_by_key(|manifest| {
            let distance = Difference::all(&manifest.key, key.key()).len();
            (distance, std::cmp::Reverse(manifest.cost.started.clone()))
        });
        Ok(nearest.map_or(Why::New, |manifest| differs(manifest, key)))
    }

    fn recorded_run(&self, node: &NodeName) -> Result<Option<Manifest>, Error> {
        let nodes = self.recorded.iter().flat_map(|plan| &plan.nodes);
        let recorded =
            nodes.filter(|known| known.node == node.as_str()).find_map(|known| known.run);
        Ok(recorded.map(|run| self.store.manifest(run)).transpose()?.flatten())
    }
}

fn differs(manifest: &Manifest, key: &RunKey) -> Why {
    let mut all = Difference::all(&manifest.key, key.key()).into_iter();
    match all.next() {
        None => Why::New,
        Some(first) => Why::Differs {
            first,
            more: all.count(),
            from_node: manifest.node.clone(),
            from_experiment: manifest.experiment.clone(),
        },
    }
}
