//! The plan as the store records it, kept up to date while it runs.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::claim::finished;
use super::name::NodeName;
use super::node::Plan;
use super::progress::{Error, Progress, key_of};
use super::time::rfc3339;
use crate::store::{Digest, FORMAT, PlannedNode, RecordedPlan, Store};

/// The plan as the store records it, written only when it changed.
pub(super) struct Record {
    plan: RecordedPlan,
    stored: Option<RecordedPlan>,
    /// Runs that were finished when the plan was last recorded, and whose manifests are gone.
    lost: BTreeSet<Digest>,
}

impl Record {
    /// Starts from what is finished already: nodes whose inputs have to be made stand on no run.
    pub(super) fn open(store: &Store, plan: &Plan, progress: &mut Progress) -> Result<Self, Error> {
        let stored = store.plan(&plan.experiment)?;
        let lost = stored.iter().flat_map(|stored| stored.lost(store));
        let lost: BTreeSet<Digest> = lost.filter_map(|node| node.run).collect();
        let mut nodes = Vec::with_capacity(plan.nodes.len());
        for node in &plan.nodes {
            let run = progress.resolve(node)?.ok().map(|inputs| key_of(node, &inputs).digest());
            let manifest = run.map(|run| finished(store, run)).transpose()?.flatten();
            let lost = run.is_some_and(|run| lost.contains(&run));
            nodes.push(PlannedNode {
                node: node.name.to_string(),
                model: node.name.model().to_owned(),
                run,
                finished: manifest.is_some() || lost,
            });
            if let Some(manifest) = manifest {
                progress.finish(&node.name, manifest);
            }
        }
        let experiment = plan.experiment.clone();
        let (file, variant) = (plan.file.clone(), plan.variant.clone());
        let recorded = String::new();
        let plan = RecordedPlan { format: FORMAT, experiment, file, variant, recorded, nodes };
        Ok(Self { plan, stored, lost })
    }

    /// Counts the finished runs that the recorded plan stands on and this one does not.
    pub(super) fn replaced(&self, store: &Store) -> Result<usize, Error> {
        let stored = self.stored.iter().flat_map(|plan| &plan.nodes).filter_map(|node| node.run);
        let gone = stored.filter(|run| !self.plan.nodes.iter().any(|node| node.run == Some(*run)));
        let mut replaced = 0;
        for run in gone {
            replaced += usize::from(store.manifest(run)?.is_some());
        }
        Ok(replaced)
    }

    /// Notes the run that a node stands on.
    pub(super) fn set(&mut self, name: &NodeName, run: Digest) {
        for node in self.plan.nodes.iter_mut().filter(|node| node.node == name.as_str()) {
            let finished = node.finished && node.run == Some(run) || self.lost.contains(&run);
            (node.run, node.finished) = (Some(run), finished);
        }
    }

    /// Notes that a node's run is finished.
    pub(super) fn finish(&mut self, name: &NodeName) {
        for node in self.plan.nodes.iter_mut().filter(|node| node.node == name.as_str()) {
            node.finished = true;
        }
    }

    /// Whether the run was finished once, and its manifest is gone.
    pub(super) fn has_lost(&self, run: Digest) -> bool {
        self.lost.contains(&run)
    }

    /// Writes the plan, where it is not what is written already.
    pub(super) fn save(&mut self, store: &Store, now: SystemTime) -> Result<(), Error> {
        let same = |stored: &RecordedPlan| {
            stored.nodes == self.plan.nodes && stored.variant == self.plan.variant
        };
        if self.stored.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.plan.recorded = rfc3339(now);
        store.record_plan(&self.plan)?;
        self.stored = Some(self.plan.clone());
        Ok(())
    }
}
