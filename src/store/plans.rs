//! Recorded plans: which run each node of an experiment stands on.

use std::collections::BTreeMap;
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
    /// What tells it from the others of its file, where the file expands to several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// When it was recorded, RFC 3339, UTC.
    pub recorded: String,
    /// Its nodes, in the order in which they run.
    pub nodes: Vec<PlannedNode>,
}

/// What tells an experiment from the others that its file expands to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The name that the file gives all of them.
    pub family: String,
    /// Its seed.
    pub seed: u64,
    /// The settings that are swept, by their names in the file, as TOML.
    pub settings: BTreeMap<String, String>,
}

impl Variant {
    /// What picks this one out of its file: `--set` each of them.
    pub fn overrides(&self) -> impl Iterator<Item = String> {
        let seed = format!("seed={}", self.seed);
        self.settings.iter().map(|(name, value)| format!("{name}={value}")).chain([seed])
    }
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
