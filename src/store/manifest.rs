//! Manifests (what one run read, wrote and cost) and recorded plans (which run a node stands on).

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::objects::name_of;
use super::{Digest, Error, Store, file};

/// What one run read, wrote and cost. Written last: where there is a manifest, all of it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`super::FORMAT`] at the time of writing.
    pub format: u32,
    /// The digest of `key`, and the manifest's file name.
    pub run: Digest,
    /// The node that the run was first made for, as `judge.m1`.
    pub node: String,
    /// The experiment that the run was first made for.
    pub experiment: String,
    /// Everything that decided the result, readable.
    pub key: serde_json::Value,
    /// The tables it made, by name.
    pub tables: BTreeMap<String, StoredTable>,
    /// Other objects that its tables speak of (the files of a checkpoint), by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<String, Digest>,
    /// What it cost.
    pub cost: Cost,
}

/// One table of a run: a Parquet object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTable {
    /// The object.
    pub object: Digest,
    /// Its rows.
    pub rows: u64,
    /// Its bytes on disk.
    pub bytes: u64,
}

/// What a run cost. Costs never live in a table: the same rows must have the same digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// When it started, RFC 3339, UTC.
    pub started: String,
    /// Seconds of work, summed over the processes that a kill or an interruption divided it into.
    pub seconds: f64,
    /// How many processes worked on it: more than one where it was resumed.
    pub attempts: u32,
}

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

impl PlannedNode {
    /// The number of its model: 1 for `m1`; `None` where it belongs to no model.
    #[must_use]
    pub fn iteration(&self) -> Option<usize> {
        self.model.strip_prefix('m').and_then(|number| number.parse().ok())
    }
}

impl Store {
    fn run_path(&self, run: Digest) -> PathBuf {
        self.runs_folder().join(format!("{run}.json"))
    }

    /// Returns the folder of manifests.
    #[must_use]
    pub fn runs_folder(&self) -> PathBuf {
        self.root().join("runs")
    }

    /// Returns the folder of recorded plans.
    #[must_use]
    pub fn plans_folder(&self) -> PathBuf {
        self.root().join("plans")
    }

    /// Reads the manifest of a run; `None` where the run never finished.
    ///
    /// # Errors
    /// [`Error::Newer`] for a manifest from the future, [`Error::Unreadable`] for a damaged one.
    pub fn manifest(&self, run: Digest) -> Result<Option<Manifest>, Error> {
        let path = self.run_path(run);
        let manifest: Option<Manifest> = file::read_json(&path)?;
        match manifest {
            Some(other) if other.run != run => Err(Error::Unreadable {
                path,
                reason: format!("it says that it is run {}", other.run.short()),
            }),
            manifest => Ok(manifest),
        }
    }

    /// Writes the manifest of a finished run: the last step of a commit.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        file::write_json(&self.run_path(manifest.run), manifest)
    }

    /// Lists the keys of every finished run.
    ///
    /// # Errors
    /// [`Error::Read`] where the folder cannot be listed.
    pub fn run_keys(&self) -> Result<Vec<Digest>, Error> {
        let files = file::list(&self.runs_folder())?;
        Ok(files
            .iter()
            .filter_map(|path| name_of(path).strip_suffix(".json")?.parse().ok())
            .collect())
    }

    /// Reads every manifest.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub fn manifests(&self) -> Result<Vec<Manifest>, Error> {
        let runs = self.run_keys()?.into_par_iter();
        runs.filter_map(|run| self.manifest(run).transpose()).collect()
    }

    /// Records which runs an experiment's nodes stand on, replacing what was recorded before.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn record_plan(&self, plan: &RecordedPlan) -> Result<(), Error> {
        file::write_json(&self.plan_path(&plan.experiment), plan)
    }

    /// Reads the plan recorded for an experiment, if there is one.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub fn plan(&self, experiment: &str) -> Result<Option<RecordedPlan>, Error> {
        let path = self.plan_path(experiment);
        file::read_json(&path)
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
            plans.extend(file::read_json::<RecordedPlan>(&path)?);
        }
        Ok(plans)
    }

    fn plan_path(&self, experiment: &str) -> PathBuf {
        self.plans_folder().join(format!("{experiment}.json"))
    }
}
