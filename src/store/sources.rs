//! Digests of files outside the store: a user's prompts, a model folder of many gigabytes.
//!
//! Big files are hashed once and remembered by path, size, modification time and inode.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Digest, Error, FORMAT, Store, file};

/// Files smaller than this are hashed each time: that is faster than remembering them.
const WORTH_REMEMBERING: u64 = 1 << 20;

/// Returns the digest of the file at `path`.
///
/// # Errors
/// [`Error::Read`] where it cannot be read.
pub fn digest_file(path: &Path) -> Result<Digest, Error> {
    let mut hasher = blake3::Hasher::new();
    let hashed = File::open(path).and_then(|file| {
        if file.metadata()?.len() < WORTH_REMEMBERING {
            hasher.update_reader(file).map(|_| ())
        } else {
            hasher.update_mmap_rayon(path).map(|_| ())
        }
    });
    hashed.map_err(|source| Error::read(path, source))?;
    Ok(hasher.finalize().into())
}

/// Remembered digests of big files outside the store.
#[derive(Debug)]
pub struct Sources {
    path: PathBuf,
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

/// What a file looks like from outside. While it stays, the digest is taken to stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    modified_seconds: i64,
    modified_nanos: i64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(|source| Error::read(path, source))?;
        Ok(Self {
            bytes: metadata.len(),
            modified_seconds: metadata.mtime(),
            modified_nanos: metadata.mtime_nsec(),
            inode: metadata.ino(),
        })
    }
}

impl Sources {
    /// Opens what the store remembers. A damaged list is forgotten: files are then hashed again.
    ///
    /// # Errors
    /// [`Error::Read`] where the list cannot be read.
    pub fn open(store: &Store) -> Result<Self, Error> {
        let path = store.root().join("sources.json");
        let known = match file::read_json(&path) {
            Err(Error::Unreadable { .. }) => None,
            known => known?,
        };
        let known = known.unwrap_or_default();
        Ok(Self { path, known, changed: false })
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
            file::write_json(&self.path, &self.known)?;
            self.changed = false;
        }
        Ok(())
    }
}
