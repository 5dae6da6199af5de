//! What may go: files that no recorded plan and no pin leads to, once they are old enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::digest::Digest;
use super::error::Error;
use super::file::{self, name_of};
use super::layout::Store;
use super::manifest::Manifest;

/// A file or folder that [`Sweep::carry_out`] would delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// What it is: `run`, `object`, `partial` or `temporary`.
    pub kind: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes on disk.
    pub bytes: u64,
    /// How long ago it was last written.
    pub age: Duration,
    /// Why it may go.
    pub why: String,
}

/// What may go, and what is unreachable but too young.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Manifests first: deleting in this order never leaves a manifest without its objects.
    pub doomed: Vec<Doomed>,
    /// Unreachable files that the grace time still protects.
    pub spared: usize,
}

/// Where the bytes of a store are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Bytes and count of objects per table name; `(other)` for files of checkpoints and orphans.
    pub tables: BTreeMap<String, (u64, u64)>,
    /// Bytes of work in hand.
    pub partial: u64,
    /// How many finished runs there are.
    pub runs: u64,
}

/// What the roots lead to.
#[derive(Debug, Default)]
struct Reachable {
    runs: BTreeSet<Digest>,
    objects: BTreeSet<Digest>,
}

impl Reachable {
    /// A recorded plan lists every run it stands on, so its runs are kept as they are.
    fn keep(&mut self, run: Digest, by_run: &BTreeMap<Digest, &Manifest>) {
        if let Some(manifest) = by_run.get(&run)
            && self.runs.insert(run)
        {
            self.objects.extend(objects_of(manifest));
        }
    }

    /// A pin keeps what it was made from too: its inputs, and a run that made each of them.
    fn keep_with_ancestors(&mut self, pin: Digest, manifests: &[Manifest]) {
        let by_run = by_run(manifests);
        let mut open = vec![pin];
        while let Some(digest) = open.pop() {
            if self.runs.contains(&digest) {
                continue;
            }
            if let Some(manifest) = by_run.get(&digest) {
                self.keep(digest, &by_run);
                open.extend(manifest.key.digests());
                continue;
            }
            self.objects.insert(digest);
            // Several runs may have made the same bytes; one that is kept anyway will do.
            let makers = manifests.iter().filter(|m| objects_of(m).any(|object| object == digest));
            let makers: Vec<Digest> = makers.map(|maker| maker.run).collect();
            if !makers.iter().any(|maker| self.runs.contains(maker)) {
                open.extend(makers.first());
            }
        }
    }
}

fn by_run(manifests: &[Manifest]) -> BTreeMap<Digest, &Manifest> {
    manifests.iter().map(|manifest| (manifest.run, manifest)).collect()
}

fn objects_of(manifest: &Manifest) -> impl Iterator<Item = Digest> + '_ {
    let tables = manifest.tables.values().map(|table| table.object);
    tables.chain(manifest.objects.values().map(|object| object.object))
}

impl Store {
    /// Works out what may go: not reachable from a recorded plan or a pin, and older than `grace`.
    ///
    /// # Errors
    /// Where a manifest, plan or pin cannot be read: nothing is judged on half the evidence.
    pub fn sweep(&self, now: SystemTime, grace: Duration) -> Result<Sweep, Error> {
        let manifests = self.manifests()?;
        let planned = self.plans()?.into_iter().flat_map(|plan| plan.nodes);
        let planned: BTreeSet<Digest> = planned.filter_map(|node| node.run).collect();
        let runs = by_run(&manifests);
        let mut reached = Reachable::default();
        for run in &planned {
            reached.keep(*run, &runs);
        }
        for pin in self.pins()? {
            reached.keep_with_ancestors(pin.digest, &manifests);
        }
        let mut sweep = Sweep::default();
        let mut judge = |kind, path: PathBuf, why: &str| -> Result<(), Error> {
            let (bytes, modified) = measure(&path)?;
            let age = now.duration_since(modified).unwrap_or_default();
            if age < grace {
                sweep.spared += 1;
            } else {
                sweep.doomed.push(Doomed { kind, path, bytes, age, why: why.to_owned() });
            }
            Ok(())
        };
        for manifest in manifests.iter().filter(|m| !reached.runs.contains(&m.run)) {
            let why = format!("{} of `{}`, in no plan now", manifest.node, manifest.experiment);
            judge("run", self.runs_folder().join(format!("{}.json", manifest.run)), &why)?;
        }
        for (path, digest) in self.object_files()? {
            match digest {
                Some(digest) if !reached.objects.contains(&digest) => {
                    judge("object", path, "no plan or pin leads to it")?;
                }
                None if name_of(&path).starts_with(file::TEMPORARY) => {
                    judge("temporary", path, "left by a process that ended early")?;
                }
                _ => {}
            }
        }
        for folder in [self.root().to_owned(), self.runs_folder(), self.plans_folder()] {
            let files = file::list(&folder)?.into_iter();
            for path in files.filter(|path| name_of(path).starts_with(file::TEMPORARY)) {
                judge("temporary", path, "left by a process that ended early")?;
            }
        }
        for path in file::list(&self.partial_folder())? {
            if name_of(&path).parse().is_ok_and(|run| !planned.contains(&run)) {
                judge("partial", path, "unfinished, and in no plan now")?;
            }
        }
        Ok(sweep)
    }

    /// Says where the bytes are.
    ///
    /// # Errors
    /// Where a manifest cannot be read.
    pub fn usage(&self) -> Result<Usage, Error> {
        let manifests = self.manifests()?;
        let mut usage = Usage { runs: manifests.len() as u64, ..Usage::default() };
        let named: BTreeMap<Digest, &String> = manifests
            .iter()
            .flat_map(|m| m.tables.iter().map(|(name, table)| (table.object, name)))
            .collect();
        for (path, digest) in self.object_files()? {
            let name = digest.and_then(|d| named.get(&d)).map_or("(other)", |name| name.as_str());
            let (bytes, count) = usage.tables.entry(name.to_owned()).or_default();
            *bytes += measure(&path)?.0;
            *count += 1;
        }
        for path in file::list(&self.partial_folder())? {
            usage.partial += measure(&path)?.0;
        }
        Ok(usage)
    }
}

impl Sweep {
    /// Deletes what is doomed and returns how many bytes that freed.
    ///
    /// # Errors
    /// [`Error::Write`] at the first file that will not go; the rest stays.
    pub fn carry_out(&self) -> Result<u64, Error> {
        let mut freed = 0;
        for doomed in &self.doomed {
            let removed = match doomed.kind {
                "partial" => fs::remove_dir_all(&doomed.path),
                _ => fs::remove_file(&doomed.path),
            };
            removed.map_err(|source| Error::write(&doomed.path, source))?;
            freed += doomed.bytes;
        }
        Ok(freed)
    }
}

/// Returns the bytes under `path` and when any of it was last written.
fn measure(path: &Path) -> Result<(u64, SystemTime), Error> {
    let read = |source| Error::read(path, source);
    let metadata = fs::metadata(path).map_err(read)?;
    let mut total = (metadata.len(), metadata.modified().map_err(read)?);
    if metadata.is_dir() {
        total.0 = 0;
        for inner in file::list(path)? {
            let (bytes, modified) = measure(&inner)?;
            total = (total.0 + bytes, total.1.max(modified));
        }
    }
    Ok(total)
}
