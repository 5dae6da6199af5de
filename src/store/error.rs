//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::format::{FORMAT, Version};

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
    /// Files of a store are there, and nothing says which format they have.
    #[error("{} is gone, and the store has files that are not read without it", path.display())]
    NoFormat {
        /// The file that should say so.
        path: PathBuf,
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
    /// Columns could not be turned into rows.
    #[error("rows cannot be read as `{row}`: {reason}")]
    Decode {
        /// The type of the rows.
        row: String,
        /// Why.
        reason: String,
    },
    /// A table is of a version that is read otherwise.
    #[error("table `{table}` is of version {found}, and this mrx reads {known}: {reason} (object {})", object.short())]
    OtherVersion {
        /// The table.
        table: String,
        /// Its object.
        object: Digest,
        /// Its version.
        found: Version,
        /// The version that this mrx knows.
        known: Version,
        /// What cannot be read.
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
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn unreadable(path: &Path, reason: impl ToString) -> Self {
        Self::Unreadable { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    pub(super) fn encode(table: &str, reason: impl ToString) -> Self {
        Self::Encode { table: table.to_owned(), reason: reason.to_string() }
    }

    /// Whether the store itself is at fault: bytes that are gone or are not what was written.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::NoFormat { .. }
                | Self::Unreadable { .. }
                | Self::ObjectMissing { .. }
                | Self::ObjectDamaged { .. }
        )
    }
}
