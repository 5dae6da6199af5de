//! Digests of files outside the store: a user's prompts, a model folder of many gigabytes.
//!
//! Big files are hashed once and remembered by path, size, modification time and inode.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::Error;
use super::file::{WORTH_REMEMBERING, digest_file};
use super::format::FORMAT;
use super::layout::Store;
use super::sealed;
use super::stamp::Stamp;

/// Remembered digests of big files outside the store.
#[derive(Debug)]
pub struct Sources {
    store: Store,
    known: Known,
    changed: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    format: u32,
    files: BTreeMap<PathBuf, Remembered>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    stamp: Stamp,
    digest: Digest,
}

impl Sources {
    /// Opens what the store remembers. A damaged list is forgotten: files are then hashed again.
    ///
    /// # Errors
    /// [`Error::Read`] where the list cannot be read.
    pub fn open(store: &Store) -> Result<Self, Error> {
        let known = match Self::read(store) {
            Err(Error::Unreadable { .. }) => Known::default(),
            known => known?,
        };
        Ok(Self { store: store.clone(), known, changed: false })
    }

    fn path(store: &Store) -> PathBuf {
        store.root().join("sources.json")
    }

    fn read(store: &Store) -> Result<Known, Error> {
        Ok(sealed::read(&Self::path(store))?.unwrap_or_default())
    }

    /// Checks that the list is what was written.
    pub(super) fn check(store: &Store) -> Result<(), Error> {
        Self::read(store).map(|_| ())
    }

    /// Returns the digest of the file at `path`, hashing it only if it is new or has changed.
    ///
    /// # Errors
    /// [`Error::Read`] where it cannot be read.
    pub fn digest(&mut self, path: &Path) -> Result<Digest, Error> {
        let path = path.canonicalize().map_err(|source| Error::read(path, source))?;
        let stamp = Stamp::of(&path)?;
        if stamp.bytes < WORTH_REMEMBERING {
            return digest_file(&path);
        }
        if let Some(known) = self.known.files.get(&path).filter(|known| known.stamp == stamp) {
            return Ok(known.digest);
        }
        let digest = digest_file(&path)?;
        self.known.files.insert(path, Remembered { stamp, digest });
        self.changed = true;
        Ok(digest)
    }

    /// Keeps what was learnt, if anything was.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn save(&mut self) -> Result<(), Error> {
        if self.changed {
            self.known.format = FORMAT;
            self.store.write_sealed(&Self::path(&self.store), &self.known)?;
            self.changed = false;
        }
        Ok(())
    }
}
