//! Running a plan: node by node, each looked up before it is made.

use std::collections::BTreeMap;

use super::attempt::{Attempt, Runner};
use super::claim::{Claim, Lookup, missing_table};
use super::events::{Event, Interrupted, StageError};
use super::io::{Io, Resolved};
use super::key::RunKey;
use super::name::NodeName;
use super::node::{Input, Node, Plan, Source};
use super::progress::{Error, Progress, key_of};
use super::record::Record;
use crate::store::{Digest, MadeBy, Manifest};

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
            record.save(self.store, (self.clock)())?;
            // What was learnt of files is kept before a stage asks for it again.
            progress.save()?;
            if record.has_lost(key.digest()) {
                let text = "its manifest is gone from the store; it is made again".to_owned();
                self.tell(Event::Warned { node: node.name.clone(), text, fault: None });
            }
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
            record.save(self.store, (self.clock)())?;
        }
        record.save(self.store, (self.clock)())?;
        progress.save()?;
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
            progress.save()?;
            let key = key_of(node, &inputs);
            let manifest = self.look_up_or_make(plan, node, key, &inputs, &mut summary)?;
            let manifest = manifest.map_err(|failed| failed.error)?;
            progress.finish(&node.name, manifest.clone());
            made.push(manifest);
        }
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
            self.tell(Event::Warned { node: node.clone(), text, fault: None });
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
        let attempt = Attempt::begin(self, (&plan.experiment, &node.name), claim.partial())?;
        let mut io = Io::new(self.store, inputs, &attempt);
        let result = node.stage.run(&mut io);
        let made = io.into_made();
        if let Err(error) = result {
            attempt.end()?;
            return Err(error);
        }
        let cost = attempt.cost();
        let made_for = (&node.name, plan.experiment.as_str());
        let made_by = MadeBy {
            mrx: env!("CARGO_PKG_VERSION").to_owned(),
            device: self.device.to_owned(),
            reached: attempt.reached(),
            imported: attempt.imported(),
            host: self.host.clone(),
        };
        Ok(claim.commit(self.store, made_for, made, cost, made_by)?)
    }

    fn tell(&self, event: Event) {
        self.listener.hear(&event);
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
