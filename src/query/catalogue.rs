//! The catalogue: which objects make up each table, over the plans that a store has recorded.
//!
//! Nothing is read before somebody asks, and then only the manifests of nodes that may have made what is
//! asked for: an answer must not wait for the plans of two hundred other experiments.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use rayon::prelude::*;

use crate::store::{Digest, Error, Manifest, PlannedNode, RecordedPlan, Store, StoredTable};

/// The stages that make each table, as the names of their nodes begin. A stage that is not here is looked
/// into for every table.
const MAKERS: [(&str, &[&str]); 15] = [
    ("prompts", &["prompts"]),
    ("examples", &["examples"]),
    ("responses", &["respond", "answers", "panel"]),
    ("judgements", &["judge"]),
    ("meta_judgements", &["meta_judge"]),
    ("readings", &["read"]),
    ("ratings", &["rate"]),
    ("pairs", &["pair"]),
    ("reference_logps", &["reference"]),
    ("lessons", &["sft", "train"]),
    ("checkpoints", &["sft", "train"]),
    ("metrics", &["sft", "train"]),
    ("choices", &["train"]),
    ("verdicts", &["evaluate"]),
    ("estimates", &["estimate"]),
];

fn may_make(node: &PlannedNode, table: &str) -> bool {
    let stage = node.node.split('.').next().unwrap_or_default();
    let makes = |(name, stages): &(&str, &[&str])| *name == table && stages.contains(&stage);
    MAKERS.iter().any(makes) || !MAKERS.iter().any(|(_, stages)| stages.contains(&stage))
}

/// One table of one node, where its bytes are.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) experiment: String,
    pub(super) model: String,
    pub(super) node: String,
    /// What it is of besides the loop.
    pub(super) part: Option<String>,
    pub(super) run: Digest,
    pub(super) stored: StoredTable,
    /// The table that this one was made from row by row, if it was.
    pub(super) of: Option<Digest>,
}

/// A node that was finished when its plan was recorded, and whose manifest is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LostNode {
    /// The experiment.
    pub experiment: String,
    /// As `judge.m1`.
    pub node: String,
}

/// What there is of a table.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) parts: Vec<Part>,
    pub(super) lost: BTreeSet<LostNode>,
}

/// What the recorded plans of a store lead to.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) store: Store,
    /// The experiments that are asked about; `None` for all.
    experiments: Option<Vec<String>>,
    plans: OnceCell<Vec<RecordedPlan>>,
}

impl Catalogue {
    pub(super) fn new(store: &Store, experiments: Option<&[&str]>) -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self { store: store.clone(), experiments: experiments.map(names), plans: OnceCell::new() }
    }

    /// The recorded plans, of the experiments that are asked about.
    pub(super) fn plans(&self) -> Result<&[RecordedPlan], Error> {
        if let Some(plans) = self.plans.get() {
            return Ok(plans);
        }
        let plans = match &self.experiments {
            None => self.store.plans()?,
            Some(names) => {
                let plans = names.iter().map(|name| self.store.plan(name));
                plans.filter_map(Result::transpose).collect::<Result<_, _>>()?
            }
        };
        Ok(self.plans.get_or_init(|| plans))
    }

    /// Finds every part of a table.
    ///
    /// # Errors
    /// Where a plan or a manifest cannot be read, and where an object is gone or is not what was written:
    /// an answer over a part of the rows would not be true.
    pub(super) fn find(&self, table: &str) -> Result<Found, Error> {
        let nodes = self.plans()?.iter().flat_map(|plan| plan.nodes.iter().map(move |n| (plan, n)));
        let nodes = nodes.filter(|(_, node)| may_make(node, table));
        let nodes: Vec<_> =
            nodes.filter_map(|(plan, node)| Some((plan, node, node.run?))).collect();
        let store = &self.store;
        let manifests = nodes.par_iter().map(|(.., run)| store.manifest(*run));
        let manifests: Vec<Option<Manifest>> = manifests.collect::<Result<_, _>>()?;
        let mut found = Found::default();
        for ((plan, node, run), manifest) in nodes.into_iter().zip(manifests) {
            let Some(manifest) = manifest else {
                found.lost.extend(lost(plan, node));
                continue;
            };
            let Some(stored) = manifest.tables.get(table) else { continue };
            check_length(&self.store, stored)?;
            found.parts.push(Part {
                experiment: plan.experiment.clone(),
                model: node.model.clone(),
                node: node.node.clone(),
                part: part_of(node),
                run,
                stored: *stored,
                of: source_of_readings(table, &manifest),
            });
        }
        self.store.check_objects(found.parts.iter().map(|part| part.stored.object))?;
        Ok(found)
    }

    /// Finds the manifests that there are, of all runs or of the experiments that are asked about; and the
    /// nodes whose manifests are gone.
    pub(super) fn runs(&self) -> Result<(Vec<PathBuf>, BTreeSet<LostNode>), Error> {
        let plans = self.plans()?;
        let nodes = || plans.iter().flat_map(|plan| plan.nodes.iter().map(move |n| (plan, n)));
        let path = |run: Digest| self.store.runs_folder().join(format!("{run}.json"));
        let made: BTreeSet<Digest> = if self.is_whole() {
            self.store.run_keys()?.into_iter().collect()
        } else {
            // A few files are looked for sooner than all are listed.
            let planned = nodes().filter_map(|(_, node)| node.run);
            planned.filter(|run| path(*run).exists()).collect()
        };
        // DuckDB reads what is written; whether that is what was meant, a manifest vouches for itself.
        let (store, runs): (_, Vec<Digest>) = (&self.store, made.iter().copied().collect());
        runs.par_iter().try_for_each(|run| store.manifest(*run).map(|_| ()))?;
        let gone = nodes().filter(|(_, node)| node.run.is_some_and(|run| !made.contains(&run)));
        let gone = gone.filter_map(|(plan, node)| lost(plan, node)).collect();
        Ok((made.into_iter().map(path).collect(), gone))
    }

    /// Whether every run of the store is asked about.
    pub(super) fn is_whole(&self) -> bool {
        self.experiments.is_none()
    }
}

/// The node, where its plan says that it was finished.
fn lost(plan: &RecordedPlan, node: &PlannedNode) -> Option<LostNode> {
    let lost = || LostNode { experiment: plan.experiment.clone(), node: node.node.clone() };
    node.finished.then(lost)
}

/// The last word of a node's name: `panel` of `judge.m1.panel`, and of `prompts.eval`, which is of no
/// model, `eval`.
fn part_of(node: &PlannedNode) -> Option<String> {
    let part = node.node.split('.').nth(2);
    part.or_else(|| node.iteration().is_none().then_some(&*node.model)).map(ToOwned::to_owned)
}

/// The object that a readings table was read from, as its run's key says.
fn source_of_readings(table: &str, manifest: &Manifest) -> Option<Digest> {
    let key = Some(&manifest.key).filter(|_| table == "readings")?;
    key.table("judgements").or_else(|| key.table("meta_judgements"))
}

/// DuckDB would say only that some file is too small; this says which object of the store it is.
fn check_length(store: &Store, stored: &StoredTable) -> Result<(), Error> {
    let StoredTable { object: digest, bytes, .. } = *stored;
    let Ok(found) = store.object_path(digest).metadata() else {
        return Err(Error::ObjectMissing { digest });
    };
    if found.len() == bytes {
        return Ok(());
    }
    let reason = format!("it has {} bytes, and its manifest says {bytes}", found.len());
    Err(Error::ObjectDamaged { digest, reason })
}
