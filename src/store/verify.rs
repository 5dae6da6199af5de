//! Trust: every file is hashed again and held against its name and its manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use rayon::prelude::*;

use super::batches::Batch;
use super::digest::Digest;
use super::error::Error;
use super::file::{self, digest_file, name_of};
use super::format::FORMAT;
use super::journal;
use super::layout::Store;
use super::manifest::Manifest;
use super::pins::Pin;
use super::sealed;
use super::sources::Sources;

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Its bytes are not those that its name promises.
    Damaged,
    /// A manifest or plan speaks of it, and it is not there.
    Missing,
    /// Nothing of mrx has such a name.
    Foreign,
    /// Runs were made for a plan that is not recorded: queries do not show them, and `gc` may delete them.
    Unplanned,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of wrong.
    pub damage: Damage,
    /// The file.
    pub path: PathBuf,
    /// The facts.
    pub note: String,
}

/// What [`Store::verify`] looked at and found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Objects whose bytes were hashed.
    pub objects: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Manifests that were read.
    pub runs: u64,
    /// Everything that is wrong, by path.
    pub findings: Vec<Finding>,
}

const FOLDERS: [&str; 6] = ["batches", "engines", "objects", "partial", "plans", "runs"];
const FILES: [&str; 8] = [
    "FORMAT",
    "checked.json",
    "engines.json",
    "lock",
    "pins.json",
    "pins.lock",
    "sources.json",
    "sql_history",
];

impl Store {
    /// Hashes every object and shard again, and follows every manifest and plan.
    ///
    /// # Errors
    /// Only where a folder cannot be listed; what is wrong with a file is a finding.
    pub fn verify(&self) -> Result<Verified, Error> {
        let mut verified = Verified::default();
        self.verify_objects(&mut verified)?;
        let manifests = self.verify_runs(&mut verified)?;
        self.verify_plans(&manifests, &mut verified)?;
        self.verify_lists(&mut verified)?;
        self.verify_format(&manifests, &mut verified)?;
        self.find_foreign(&mut verified)?;
        verified.findings.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(verified)
    }

    fn verify_objects(&self, verified: &mut Verified) -> Result<(), Error> {
        let mut promised = self.partial_files()?;
        for (path, digest) in self.object_files()? {
            match digest {
                Some(digest) => promised.push((path, digest)),
                None if name_of(&path).starts_with(file::TEMPORARY) => {}
                None => verified.find(Damage::Foreign, path, "not named by a digest"),
            }
        }
        let hashed: Vec<_> = promised
            .into_par_iter()
            .map(|(path, digest)| {
                let bytes = fs::metadata(&path).map_or(0, |found| found.len());
                (digest_file(&path), digest, path, bytes)
            })
            .collect();
        for (found, digest, path, bytes) in hashed {
            verified.objects += 1;
            verified.bytes += bytes;
            match found {
                Ok(found) if found == digest => {}
                Ok(found) => {
                    let note = format!("its bytes hash to {}", found.short());
                    verified.find(Damage::Damaged, path, note);
                }
                Err(error) => verified.find(Damage::Damaged, path, chain(&error)),
            }
        }
        for run in file::list(&self.partial_folder())? {
            for (path, note) in journal::damage_in(&run)? {
                verified.find(Damage::Damaged, path, note);
            }
        }
        Ok(())
    }

    /// Checks the manifests, and returns those that can be read.
    fn verify_runs(&self, verified: &mut Verified) -> Result<Vec<Manifest>, Error> {
        let mut manifests = Vec::new();
        for run in self.run_keys()? {
            verified.runs += 1;
            let path = self.run_path(run);
            let manifest = match self.manifest(run) {
                Ok(Some(manifest)) => manifest,
                Ok(None) => continue,
                Err(error) => {
                    verified.find(Damage::Damaged, path, chain(&error));
                    continue;
                }
            };
            if manifest.key.digest() != run {
                verified.find(Damage::Damaged, path, "its key does not hash to its name");
            }
            let tables = manifest.tables.iter().map(|(name, table)| (name, table.object));
            let files = manifest.objects.iter().map(|(name, file)| (name, file.object));
            for (name, object) in tables.chain(files) {
                let path = self.object_path(object);
                if !path.exists() {
                    let note = format!("`{name}` of {} ({})", manifest.node, manifest.experiment);
                    verified.find(Damage::Missing, path, note);
                }
            }
            manifests.push(manifest);
        }
        Ok(manifests)
    }

    fn verify_plans(&self, runs: &[Manifest], verified: &mut Verified) -> Result<(), Error> {
        let mut planned = BTreeSet::new();
        for path in file::list(&self.plans_folder())? {
            let Some(experiment) = name_of(&path).strip_suffix(".json").map(ToOwned::to_owned)
            else {
                if !is_temporary(&path) {
                    verified.find(Damage::Foreign, path, "not named by an experiment");
                }
                continue;
            };
            match self.plan(&experiment) {
                Ok(plan) => {
                    for node in plan.iter().flat_map(|plan| plan.lost(self)) {
                        let path = node.run.map(|run| self.run_path(run)).unwrap_or_default();
                        let note = format!("the manifest of {} ({experiment})", node.node);
                        verified.find(Damage::Missing, path, note);
                    }
                }
                Err(error) => verified.find(Damage::Damaged, path, chain(&error)),
            }
            planned.insert(experiment);
        }
        // What `diff` made is of no experiment: it names two, with a slash.
        let named = runs.iter().map(|manifest| &manifest.experiment);
        let mut unplanned: BTreeMap<&String, u64> = BTreeMap::new();
        for experiment in named.filter(|name| !name.contains('/') && !planned.contains(*name)) {
            *unplanned.entry(experiment).or_default() += 1;
        }
        for (experiment, runs) in unplanned {
            let path = self.plans_folder().join(format!("{experiment}.json"));
            let note = format!("{runs} runs were made for `{experiment}`, whose plan is not there");
            verified.find(Damage::Unplanned, path, note);
        }
        Ok(())
    }

    /// Checks the store's own lists: pins, accounts of what was spent, and digests that save hashing.
    fn verify_lists(&self, verified: &mut Verified) -> Result<(), Error> {
        let list = |name: &str| self.root().join(name);
        match self.pins() {
            Ok(pins) => {
                let there = |pin: &&Pin| {
                    self.run_path(pin.digest).exists() || self.object_path(pin.digest).exists()
                };
                for pin in pins.iter().filter(|pin| !there(pin)) {
                    let note = format!("{}, which is pinned, is not there", pin.digest.short());
                    verified.find(Damage::Missing, list("pins.json"), note);
                }
            }
            Err(error) => verified.find(Damage::Damaged, list("pins.json"), chain(&error)),
        }
        for run in file::list(&self.partial_folder())? {
            let effort = run.join("effort.json");
            if let Err(error) = sealed::read::<serde_json::Value>(&effort) {
                verified.find(Damage::Damaged, effort, chain(&error));
            }
        }
        for batch in file::list(&self.batches_folder())? {
            let is_record = batch.extension().is_some_and(|extension| extension == "json");
            if let Some(Err(error)) = is_record.then(|| sealed::read::<Batch>(&batch)) {
                verified.find(Damage::Damaged, batch, chain(&error));
            }
        }
        let reports = self.engine_reports::<serde_json::Value>().map(|_| ());
        let savings = [
            ("sources.json", Sources::check(self)),
            ("checked.json", self.check_list()),
            ("engines.json", reports),
        ];
        for (name, checked) in savings {
            if let Err(error) = checked {
                verified.find(Damage::Damaged, list(name), chain(&error));
            }
        }
        Ok(())
    }

    /// Holds the store's format against that of its files: a writer raises it first.
    fn verify_format(&self, runs: &[Manifest], verified: &mut Verified) -> Result<(), Error> {
        let said = self.format()?.unwrap_or(FORMAT);
        if let Some(newest) = runs.iter().map(|run| run.format).max().filter(|n| *n > said) {
            let note = format!("it says {said}, and a manifest is of format {newest}");
            verified.find(Damage::Damaged, self.format_path(), note);
        }
        Ok(())
    }

    fn find_foreign(&self, verified: &mut Verified) -> Result<(), Error> {
        let known = FOLDERS.iter().chain(&FILES);
        for path in file::list(self.root())? {
            if !known.clone().any(|name| *name == name_of(&path)) && !is_temporary(&path) {
                verified.find(Damage::Foreign, path, "not a file of a store");
            }
        }
        for path in file::list(&self.runs_folder())? {
            let run = name_of(&path).strip_suffix(".json").and_then(|n| n.parse::<Digest>().ok());
            if run.is_none() && !is_temporary(&path) {
                verified.find(Damage::Foreign, path, "not named by a run's key");
            }
        }
        Ok(())
    }

    /// Removes damaged objects, shards, manifests and lists that save hashing, so that the next run makes
    /// them again. Plans and pins, which nothing can make again, stay for a person to look at; so does a
    /// journal, of which the next run leaves out what is damaged.
    ///
    /// # Errors
    /// [`Error::Write`] where a file will not go.
    pub fn remove_damaged(&self, findings: &[Finding]) -> Result<usize, Error> {
        let made_again = |finding: &&Finding| {
            let folders = [self.objects_folder(), self.runs_folder(), self.partial_folder()];
            let savings = ["sources.json", "checked.json"].map(|name| self.root().join(name));
            folders.iter().any(|folder| finding.path.starts_with(folder))
                && !journal::is_journal(&finding.path)
                || savings.contains(&finding.path)
        };
        let damaged = findings.iter().filter(|finding| finding.damage == Damage::Damaged);
        let damaged = damaged.filter(made_again);
        let mut removed = 0;
        for finding in damaged {
            fs::remove_file(&finding.path).map_err(|e| Error::write(&finding.path, e))?;
            removed += 1;
        }
        Ok(removed)
    }
}

impl Verified {
    fn find(&mut self, damage: Damage, path: PathBuf, note: impl Into<String>) {
        self.findings.push(Finding { damage, path, note: note.into() });
    }
}

fn is_temporary(path: &std::path::Path) -> bool {
    name_of(path).starts_with(file::TEMPORARY)
}

fn chain(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
