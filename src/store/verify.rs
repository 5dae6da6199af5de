//! Trust: every file is hashed again and held against its name and its manifest.

use std::fs;
use std::path::PathBuf;

use rayon::prelude::*;

use super::objects::name_of;
use super::{Digest, Error, Store, digest_file, file, journal};

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Its bytes are not those that its name promises.
    Damaged,
    /// A manifest or plan speaks of it, and it is not there.
    Missing,
    /// Nothing of mrx has such a name.
    Foreign,
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

const FOLDERS: [&str; 4] = ["objects", "partial", "plans", "runs"];
const FILES: [&str; 6] =
    ["FORMAT", "lock", "pins.json", "pins.lock", "sources.json", "sql_history"];

impl Store {
    /// Hashes every object and shard again, and follows every manifest and plan.
    ///
    /// # Errors
    /// Only where a folder cannot be listed; what is wrong with a file is a finding.
    pub fn verify(&self) -> Result<Verified, Error> {
        let mut verified = Verified::default();
        self.verify_objects(&mut verified)?;
        self.verify_runs(&mut verified)?;
        self.verify_plans(&mut verified)?;
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

    fn verify_runs(&self, verified: &mut Verified) -> Result<(), Error> {
        for run in self.run_keys()? {
            verified.runs += 1;
            let path = self.runs_folder().join(format!("{run}.json"));
            let manifest = match self.manifest(run) {
                Ok(Some(manifest)) => manifest,
                Ok(None) => continue,
                Err(error) => {
                    verified.find(Damage::Damaged, path, chain(&error));
                    continue;
                }
            };
            if Digest::of_json(&manifest.key) != run {
                verified.find(Damage::Damaged, path, "its key does not hash to its name");
            }
            let tables = manifest.tables.iter().map(|(name, table)| (name, table.object));
            let others = manifest.objects.iter().map(|(name, object)| (name, *object));
            for (name, object) in tables.chain(others) {
                let path = self.object_path(object);
                if !path.exists() {
                    let note = format!("`{name}` of {} ({})", manifest.node, manifest.experiment);
                    verified.find(Damage::Missing, path, note);
                }
            }
        }
        Ok(())
    }

    fn verify_plans(&self, verified: &mut Verified) -> Result<(), Error> {
        for path in file::list(&self.plans_folder())? {
            match name_of(&path).strip_suffix(".json").map(|experiment| self.plan(experiment)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => verified.find(Damage::Damaged, path, chain(&error)),
                None if is_temporary(&path) => {}
                None => verified.find(Damage::Foreign, path, "not named by an experiment"),
            }
        }
        if let Err(error) = self.pins() {
            verified.find(Damage::Damaged, self.root().join("pins.json"), chain(&error));
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

    /// Removes damaged objects, shards and manifests, so that the next run makes them again. Plans
    /// and pins, which nothing can make again, stay for a person to look at; so does a journal, of which
    /// the next run leaves out what is damaged.
    ///
    /// # Errors
    /// [`Error::Write`] where a file will not go.
    pub fn remove_damaged(&self, findings: &[Finding]) -> Result<usize, Error> {
        let made_again = |finding: &&Finding| {
            let folders = [self.objects_folder(), self.runs_folder(), self.partial_folder()];
            folders.iter().any(|folder| finding.path.starts_with(folder))
                && !journal::is_journal(&finding.path)
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
