//! The store's folder: the number of its layout, and who may hold it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::error::Error;
use super::file::{self, name_of};
use super::format::{FORMAT, Version};
use super::memory::Memory;
use super::sealed;

/// A store: a folder of objects, manifests and recorded plans.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// The tables that whoever opened it knows, with their versions.
    tables: &'static [(&'static str, Version)],
    checked: Arc<Memory>,
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
    /// [`Error::Missing`] where there is none, [`Error::Newer`] where it is newer than this mrx,
    /// [`Error::Unreadable`] where nothing says which format the files there have.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let store = Self::not_yet(root);
        let Some(found) = store.format()? else {
            if store.holds_something()? {
                return Err(Error::NoFormat { path: store.format_path() });
            }
            return Err(Error::Missing { path: store.root });
        };
        if found > FORMAT {
            return Err(Error::Newer { path: store.format_path(), found });
        }
        Ok(store)
    }

    /// A store that is not there yet: every look finds nothing.
    #[must_use]
    pub fn not_yet(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), tables: &[], checked: Arc::default() }
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
        let store = Self::not_yet(root);
        store.write_format()?;
        Ok(store)
    }

    /// Tells the store which tables its reader knows, in which versions: of a table whose major is another,
    /// the columns mean something else, and it is refused.
    #[must_use]
    pub fn knowing(self, tables: &'static [(&'static str, Version)]) -> Self {
        Self { tables, ..self }
    }

    /// Returns the version of a table that the reader knows, where it knows the table.
    pub(super) fn known_version(&self, table: &str) -> Option<Version> {
        self.tables.iter().find(|(name, _)| *name == table).map(|(_, version)| *version)
    }

    /// What this process remembers of the objects that it hashed.
    pub(super) fn checked(&self) -> &Memory {
        &self.checked
    }

    pub(super) fn format_path(&self) -> PathBuf {
        self.root.join("FORMAT")
    }

    /// Reads the number of the store's format; `None` where there is no such file.
    pub(super) fn format(&self) -> Result<Option<u32>, Error> {
        let path = self.format_path();
        let Some(text) = file::read_text(&path)? else { return Ok(None) };
        match text.trim().parse() {
            Ok(0) | Err(_) => {
                let reason = format!("expected a format number, found `{}`", text.trim());
                Err(Error::unreadable(&path, reason))
            }
            Ok(found) => Ok(Some(found)),
        }
    }

    fn write_format(&self) -> Result<(), Error> {
        file::write_text(&self.format_path(), &format!("{FORMAT}\n"))
    }

    /// Makes the store one of this format, before the first file of this format is written into it: an
    /// older mrx then refuses it instead of misreading it.
    pub(super) fn raise_format(&self) -> Result<(), Error> {
        match self.format()? {
            Some(found) if found < FORMAT => self.write_format(),
            _ => Ok(()),
        }
    }

    /// Writes JSON that vouches for itself.
    pub(super) fn write_sealed<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), Error> {
        self.raise_format()?;
        sealed::write(path, value)
    }

    /// Whether there are objects, manifests or plans.
    fn holds_something(&self) -> Result<bool, Error> {
        let folders = ["objects", "plans", "runs"].map(|name| self.root.join(name));
        let named = |path: &PathBuf| {
            let name = name_of(path);
            name.ends_with(".json")
                || name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit())
        };
        for folder in folders {
            if file::list(&folder)?.iter().any(named) {
                return Ok(true);
            }
        }
        Ok(false)
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
    pub(super) fn lock_for_pins(&self) -> Result<StoreLock, Error> {
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
