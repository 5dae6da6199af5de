//! Running a plan: node by node, each looked up before it is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::attempt::{Attempt, Runner, rfc3339};
use super::claim::{finished, missing_table};
use super::io::{Io, Resolved};
use super::{
    Claim, Event, Input, Interrupted, Lookup, Node, NodeName, Plan, RunKey, Source, StageError,
};
use crate::store::{self, Digest, FORMAT, Manifest, PlannedNode, RecordedPlan, Sources, Store};

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

/// A node that failed, and with what.
#[derive(Debug)]
pub struct FailedNode {
    /// The node.
    pub node: NodeName,
    /// Its error.
    pub error: StageError,
}

/// What a run of a plan came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Nodes that were made.
    pub made: usize,
    /// Nodes that were found finished.
    pub reused: usize,
    /// Nodes that failed.
    pub failed: Vec<FailedNode>,
    /// Nodes that could not run because one of those failed.
    pub skipped: usize,
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
    fn save(&mut self) -> Result<(), Error> {
        Ok(self.sources.save()?)
    }
}

/// Spells out the key of a node over inputs that are known.
pub(super) fn key_of(node: &Node, inputs: &BTreeMap<String, Resolved>) -> RunKey {
    let inputs: BTreeMap<String, Value> =
        inputs.iter().map(|(name, input)| (name.clone(), input.key())).collect();
    RunKey::new(&node.stage.signature(), &inputs)
}

impl Runner<'_> {
    /// Makes the `wanted` nodes and all they stand on; every node for an empty list.
    ///
    /// A node that fails stops those that read from it, and nothing else.
    ///
    /// # Errors
    /// Where the store or a declared file fails, and [`Error::Interrupted`].
    pub fn run(&self, plan: &Plan, wanted: &[NodeName]) -> Result<Summary, Error> {
        let _lock = self.store.lock_for_run()?;
        let chosen = plan.with_ancestors(wanted);
        let nodes = chosen.iter().filter(|chosen| **chosen).count();
        self.tell(Event::Planned { experiment: plan.experiment.clone(), nodes });
        let mut progress = Progress::new(self.store)?;
        let mut record = Record::open(self.store, plan, &mut progress)?;
        let nodes = record.replaced(self.store)?;
        if nodes > 0 {
            self.tell(Event::Replaced { experiment: plan.experiment.clone(), nodes });
        }
        let mut summary = Summary::default();
        let mut blocked: BTreeMap<NodeName, NodeName> = BTreeMap::new();
        for (node, chosen) in plan.nodes.iter().zip(chosen) {
            let inputs = match progress.resolve(node)? {
                Ok(inputs) => inputs,
                Err(maker) => {
                    let because = blocked.get(&maker).unwrap_or(&maker).clone();
                    if chosen {
                        summary.skipped += 1;
                        self.tell(Event::Skipped {
                            node: node.name.clone(),
                            because: because.clone(),
                        });
                    }
                    blocked.insert(node.name.clone(), because);
                    continue;
                }
            };
            let key = key_of(node, &inputs);
            record.set(&node.name, key.digest());
            if !chosen {
                continue;
            }
            record.save(self)?;
            match self.look_up_or_make(plan, node, key, &inputs, &mut summary)? {
                Ok(manifest) => {
                    record.finish(&node.name);
                    progress.finish(&node.name, manifest);
                }
                Err(failed) => {
                    blocked.insert(node.name.clone(), node.name.clone());
                    summary.failed.push(failed);
                }
            }
            record.save(self)?;
            progress.save()?;
        }
        record.save(self)?;
        Ok(summary)
    }

    /// Makes the nodes of a plan that no experiment has, and returns what each made. Nothing is recorded:
    /// `gc` may delete it.
    ///
    /// # Errors
    /// As [`Runner::run`], and with the error of the first node that fails.
    pub fn run_aside(&self, plan: &Plan) -> Result<Vec<Manifest>, StageError> {
        let _lock = self.store.lock_for_run()?;
        self.tell(Event::Planned { experiment: plan.experiment.clone(), nodes: plan.nodes.len() });
        let mut progress = Progress::new(self.store)?;
        let (mut summary, mut made) = (Summary::default(), Vec::new());
        for node in &plan.nodes {
            let inputs = progress.resolve(node)?.map_err(|maker| {
                let from = |input: &Input| match &input.source {
                    Source::Table { node, table } if *node == maker => Some(*table),
                    _ => None,
                };
                let table = node.inputs.iter().find_map(from).unwrap_or_default();
                Error::NoSuchTable { node: node.name.clone(), table, maker }
            })?;
            let key = key_of(node, &inputs);
            let manifest = self.look_up_or_make(plan, node, key, &inputs, &mut summary)?;
            let manifest = manifest.map_err(|failed| failed.error)?;
            progress.finish(&node.name, manifest.clone());
            made.push(manifest);
        }
        progress.save()?;
        Ok(made)
    }

    fn look_up_or_make(
        &self,
        plan: &Plan,
        node: &Node,
        key: RunKey,
        inputs: &BTreeMap<String, Resolved>,
        summary: &mut Summary,
    ) -> Result<Result<Manifest, FailedNode>, Error> {
        let name = &node.name;
        self.warn_if_lost(name, key.digest())?;
        let mut told = false;
        let go_on = || {
            if !std::mem::replace(&mut told, true) {
                self.tell(Event::Waiting { node: name.clone() });
            }
            !self.interrupt.requested()
        };
        let run = key.digest();
        match Lookup::of(self.store, key, go_on)?.ok_or(Interrupted)? {
            Lookup::Hit(manifest) => {
                summary.reused += 1;
                let rows = rows_of(&manifest);
                self.tell(Event::Reused { node: name.clone(), run, rows });
                Ok(Ok(*manifest))
            }
            Lookup::Miss(claim) => {
                if self.interrupt.requested() {
                    return Err(Interrupted.into());
                }
                let resumed_rows = self.store.partial_rows(run)?;
                self.tell(Event::Started { node: name.clone(), run, resumed_rows });
                let made = self.make(plan, node, claim, inputs);
                self.settle(name, made, summary)
            }
        }
    }

    /// Says so when a run was finished once and something it made is gone.
    fn warn_if_lost(&self, node: &NodeName, run: Digest) -> Result<(), Error> {
        if let Some(manifest) = self.store.manifest(run)?
            && let Some(table) = missing_table(self.store, &manifest)
        {
            let text = format!("`{table}` is gone from the store, or cut short; it is made again");
            self.tell(Event::Warned { node: node.clone(), text });
        }
        Ok(())
    }

    /// Sorts what came of a node: made, failed (others go on), or reason to stop altogether.
    fn settle(
        &self,
        node: &NodeName,
        made: Result<Manifest, StageError>,
        summary: &mut Summary,
    ) -> Result<Result<Manifest, FailedNode>, Error> {
        match made {
            Ok(manifest) => {
                summary.made += 1;
                self.tell(Event::Finished {
                    node: node.clone(),
                    run: manifest.run,
                    rows: rows_of(&manifest),
                    seconds: manifest.cost.seconds,
                });
                Ok(Ok(manifest))
            }
            Err(error) if error.is::<Interrupted>() => Err(Interrupted.into()),
            Err(error) => {
                self.tell(Event::Failed { node: node.clone(), error: chain(error.as_ref()) });
                Ok(Err(FailedNode { node: node.clone(), error }))
            }
        }
    }

    fn make(
        &self,
        plan: &Plan,
        node: &Node,
        claim: Claim,
        inputs: &BTreeMap<String, Resolved>,
    ) -> Result<Manifest, StageError> {
        let attempt = Attempt::begin(self, &node.name, claim.partial())?;
        let mut io = Io::new(self.store, inputs, &attempt);
        let result = node.stage.run(&mut io);
        let made = io.into_made();
        if let Err(error) = result {
            attempt.end()?;
            return Err(error);
        }
        let cost = attempt.cost();
        Ok(claim.commit(self.store, &node.name, &plan.experiment, made, cost)?)
    }

    fn tell(&self, event: Event) {
        self.listener.hear(&event);
    }
}

/// The plan as the store records it, written only when it changed.
struct Record {
    plan: RecordedPlan,
    stored: Option<RecordedPlan>,
}

impl Record {
    /// Starts from what is finished already: nodes whose inputs have to be made stand on no run.
    fn open(store: &Store, plan: &Plan, progress: &mut Progress) -> Result<Self, Error> {
        let mut nodes = Vec::with_capacity(plan.nodes.len());
        for node in &plan.nodes {
            let run = progress.resolve(node)?.ok().map(|inputs| key_of(node, &inputs).digest());
            let manifest = run.map(|run| finished(store, run)).transpose()?.flatten();
            let (model, finished) = (node.name.model().to_owned(), manifest.is_some());
            nodes.push(PlannedNode { node: node.name.to_string(), model, run, finished });
            if let Some(manifest) = manifest {
                progress.finish(&node.name, manifest);
            }
        }
        let experiment = plan.experiment.clone();
        let stored = store.plan(&experiment)?;
        let (file, recorded) = (plan.file.clone(), String::new());
        let plan = RecordedPlan { format: FORMAT, experiment, file, recorded, nodes };
        Ok(Self { plan, stored })
    }

    /// Counts the finished runs that the recorded plan stands on and this one does not.
    fn replaced(&self, store: &Store) -> Result<usize, Error> {
        let stored = self.stored.iter().flat_map(|plan| &plan.nodes).filter_map(|node| node.run);
        let gone = stored.filter(|run| !self.plan.nodes.iter().any(|node| node.run == Some(*run)));
        let mut replaced = 0;
        for run in gone {
            replaced += usize::from(store.manifest(run)?.is_some());
        }
        Ok(replaced)
    }

    fn set(&mut self, name: &NodeName, run: Digest) {
        for node in self.plan.nodes.iter_mut().filter(|node| node.node == name.as_str()) {
            (node.run, node.finished) = (Some(run), node.finished && node.run == Some(run));
        }
    }

    fn finish(&mut self, name: &NodeName) {
        for node in self.plan.nodes.iter_mut().filter(|node| node.node == name.as_str()) {
            node.finished = true;
        }
    }

    fn save(&mut self, runner: &Runner<'_>) -> Result<(), Error> {
        if self.stored.as_ref().is_some_and(|stored| stored.nodes == self.plan.nodes) {
            return Ok(());
        }
        self.plan.recorded = rfc3339((runner.clock)());
        runner.store.record_plan(&self.plan)?;
        self.stored = Some(self.plan.clone());
        Ok(())
    }
}

fn rows_of(manifest: &Manifest) -> u64 {
    manifest.tables.values().map(|table| table.rows).sum()
}

/// Writes an error and its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
