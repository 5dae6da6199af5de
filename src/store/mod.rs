//! What is kept: immutable objects named by their digest, tables of records in Parquet, and the
//! manifests that say which run made them.
//!
//! The room has never heard of a prompt, an experiment's meaning or a query. On disk:
//!
//! ```text
//! .mrx/
//! |- FORMAT                     the layout's number: a reader reads older, a writer refuses newer
//! |- lock                       shared by runs, exclusive for gc
//! |- objects/ab/cdef…           bytes, named by their BLAKE3 digest, read-only
//! |- runs/<key>.json            manifests: what one run read, wrote and cost; written last
//! |- plans/<experiment>.json    recorded plans: which run each node of an experiment stands on
//! |- pins.json, pins.lock       digests that must stay
//! |- partial/<key>/             work in hand: its lock, and the rows and shards that are already safe
//! `- sources.json               digests of big files outside the store, by size, time and inode
//! ```

mod digest;
mod file;
mod journal;
mod manifest;
mod objects;
mod partial;
mod pins;
mod record;
mod sources;
mod states;
mod sweep;
mod table;
mod verify;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub use digest::{Digest, NotADigest, Prefix, Resolved};
pub use journal::{Journal, Lost};
pub use manifest::{Cost, Manifest, PlannedNode, RecordedPlan, StoredTable};
pub use objects::ObjectWriter;
pub use partial::{Effort, Partial, Shards};
pub use pins::Pin;
pub use record::{Record, fields, from_batch, to_batch};
pub use sources::{Sources, digest_file};
pub use states::{State, States};
pub use sweep::{Doomed, Sweep, Usage};
pub use table::{ROW_GROUP_ROWS, TableReader, TableWriter, read_schema};
pub use verify::{Damage, Finding, Verified};

/// The number of the layout on disk and of the Parquet settings; see [`Store::open`] for the rule.
///
/// History: 1, the first.
pub const FORMAT: u32 = 1;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no store at this place.
    #[error("no store at {}", path.display())]
    Missing {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// The store, or a file in it, was written by a newer mrx.
    #[error("{} has format {found}, and this mrx knows formats up to {FORMAT}", path.display())]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// Its format number.
        found: u32,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file, or the folder it was to be made in.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A manifest, plan or list is not what it should be.
    #[error("{} is damaged: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An object is not there.
    #[error("object {digest} is missing")]
    ObjectMissing {
        /// Its name.
        digest: Digest,
    },
    /// An object does not hold the bytes that its name promises.
    #[error("object {digest} is damaged: {reason}")]
    ObjectDamaged {
        /// Its name.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// Rows could not be turned into a table.
    #[error("table `{table}` cannot be written: {reason}")]
    Encode {
        /// The table.
        table: String,
        /// Why.
        reason: String,
    },
    /// Something else holds the store.
    #[error("the store at {} is in use by another mrx process", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
    },
}

impl Error {
    fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    fn encode(table: &str, reason: impl ToString) -> Self {
        Self::Encode { table: table.to_owned(), reason: reason.to_string() }
    }

    /// Whether the store itself is at fault: bytes that are gone or are not what was written.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. } | Self::ObjectMissing { .. } | Self::ObjectDamaged { .. }
        )
    }
}

/// A store: a folder of objects, manifests and recorded plans.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// Keeps `gc` out while a run is going, or runs out while `gc` is.
///
/// The operating system lets go of it when the process ends, however it ends: a dead process
/// leaves no stale lock.
#[derive(Debug)]
#[must_use = "the store is free again when this is dropped"]
pub struct StoreLock {
    _file: File,
}

impl Store {
    /// Opens the store at `root` for reading.
    ///
    /// A store of an older [`FORMAT`] is read as it is; a newer one is refused, because this mrx
    /// cannot know what it would misread.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none, [`Error::Newer`] where it is newer than this mrx.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        let path = root.join("FORMAT");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing { path: root });
            }
            Err(source) => return Err(Error::read(&path, source)),
        };
        let found = text.trim().parse().map_err(|_| Error::Unreadable {
            path: path.clone(),
            reason: format!("expected a format number, found `{}`", text.trim()),
        })?;
        if found > FORMAT { Err(Error::Newer { path, found }) } else { Ok(Self { root }) }
    }

    /// A store that is not there yet: every look finds nothing.
    #[must_use]
    pub fn not_yet(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Opens the store at `root`, making an empty one where there is none.
    ///
    /// # Errors
    /// As [`Store::open`], and [`Error::Write`] where it cannot be made.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        match Self::open(&root) {
            Err(Error::Missing { .. }) => {}
            opened => return opened,
        }
        file::create_folder(&root)?;
        let path = root.join("FORMAT");
        file::write_json(&path, &FORMAT)?;
        Self::open(root)
    }

    /// Returns the folder it lives in.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the lock that runs share; waits while `gc` holds it.
    ///
    /// # Errors
    /// [`Error::Write`] where the lock file cannot be made.
    pub fn lock_for_run(&self) -> Result<StoreLock, Error> {
        let (file, path) = self.lock_file("lock")?;
        file.lock_shared().map_err(|source| Error::write(&path, source))?;
        Ok(StoreLock { _file: file })
    }

    /// Takes the lock that only `gc` and `verify --repair` hold.
    ///
    /// # Errors
    /// [`Error::Busy`] while any run is going.
    pub fn lock_for_sweep(&self) -> Result<StoreLock, Error> {
        let (file, path) = self.lock_file("lock")?;
        match file.try_lock() {
            Ok(()) => Ok(StoreLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(Error::write(&path, source)),
        }
    }

    /// Takes the lock under which the list of pins is read, changed and written.
    fn lock_for_pins(&self) -> Result<StoreLock, Error> {
        let (file, path) = self.lock_file("pins.lock")?;
        file.lock().map_err(|source| Error::write(&path, source))?;
        Ok(StoreLock { _file: file })
    }

    fn lock_file(&self, name: &str) -> Result<(File, PathBuf), Error> {
        let path = self.root.join(name);
        let file = match File::options().create(true).truncate(false).write(true).open(&path) {
            // A lock can be taken on a file that may only be read, and then nothing is written.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => File::open(&path),
            opened => opened,
        };
        file.map(|file| (file, path.clone())).map_err(|source| Error::write(&path, source))
    }
}
