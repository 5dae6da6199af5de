//! Recorded plans: which run each node of an experiment stands on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::Error;
use super::file::{self, name_of};
use super::layout::Store;
use super::sealed;

/// Which run each node of an experiment stands on; what `gc` keeps and the SQL views show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedPlan {
    /// [`super::FORMAT`] at the time of writing.
    pub format: u32,
    /// The experiment's name.
    pub experiment: String,
    /// The file that it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// When it was recorded, RFC 3339, UTC.
    pub recorded: String,
    /// Its nodes, in the order in which they run.
    pub nodes: Vec<PlannedNode>,
}

/// One node of a recorded plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedNode {
    /// As `judge.m1`.
    pub node: String,
    /// The model it worked with, or made: `m1`.
    pub model: String,
    /// Its run, once there is one.
    pub run: Option<Digest>,
    /// Whether that run was finished when the plan was recorded: a manifest that is not there now was
    /// lost. Plans of version 0.1.0 do not say.
    #[serde(default)]
    pub finished: bool,
}

impl RecordedPlan {
    /// Lists the nodes whose run was finished when the plan was recorded and whose manifest is gone: what
    /// is told of the experiment lacks their rows.
    #[must_use]
    pub fn lost(&self, store: &Store) -> Vec<&PlannedNode> {
        let gone = |node: &&PlannedNode| {
            node.finished && node.run.is_some_and(|run| !store.run_path(run).exists())
        };
        self.nodes.iter().filter(gone).collect()
    }
}

impl PlannedNode {
    /// The number of its model: 1 for `m1`; `None` where it belongs to no model.
    #[must_use]
    pub fn iteration(&self) -> Option<usize> {
        self.model.strip_prefix('m').and_then(|number| number.parse().ok())
    }
}

impl Store {
    /// Returns the folder of recorded plans.
    #[must_use]
    pub fn plans_folder(&self) -> PathBuf {
        self.root().join("plans")
    }

    /// Records which runs an experiment's nodes stand on, replacing what was recorded before.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn record_plan(&self, plan: &RecordedPlan) -> Result<(), Error> {
        self.write_sealed(&self.plan_path(&plan.experiment), plan)
    }

    /// Reads the plan recorded for an experiment, if there is one.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub fn plan(&self, experiment: &str) -> Result<Option<RecordedPlan>, Error> {
        read(&self.plan_path(experiment))
    }

    /// Reads the plans of every experiment, by name.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub fn plans(&self) -> Result<Vec<RecordedPlan>, Error> {
        let mut plans = Vec::new();
        for path in file::list(&self.plans_folder())? {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            plans.extend(read(&path)?);
        }
        Ok(plans)
    }

    fn plan_path(&self, experiment: &str) -> PathBuf {
        self.plans_folder().join(format!("{experiment}.json"))
    }
}

/// Reads a plan, which has to be of the experiment that its file is named after.
fn read(path: &Path) -> Result<Option<RecordedPlan>, Error> {
    let plan: Option<RecordedPlan> = sealed::read(path)?;
    match plan {
        Some(plan) if name_of(path).strip_suffix(".json") != Some(&plan.experiment) => {
            let reason = format!("it says that it is the plan of `{}`", plan.experiment);
            Err(Error::unreadable(path, reason))
        }
        plan => Ok(plan),
    }
}
