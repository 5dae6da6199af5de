//! A file of weights in memory: mapped, not copied. The one place that maps anything.

#![expect(unsafe_code, reason = "what a mapping needs of the file, no compiler can see to")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::error::Error;

/// A file, and all of its bytes.
#[derive(Debug)]
pub(super) struct Mapped {
    path: PathBuf,
    map: Mmap,
}

impl Mapped {
    /// Maps the file at `path`. Its bytes are read from the disk as they are looked at.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, Error> {
        let unread = |source| Error::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unread)?;
        // SAFETY: nothing may write to the file, or cut it, for as long as it is mapped. Objects of the store are
        // written beside their place, never in it, and are read-only. Of a file of the user's, every length that
        // its header speaks of is held against that of the mapping before a byte is looked at, so that one that is
        // cut already is told. What is left: whoever overwrites such a file while it is read gives the tensors
        // other numbers, which `check_unchanged` finds out, and whoever cuts it ends the process with SIGBUS.
        // Its bytes are numbers, of which every pattern is one, and are read as nothing else.
        let map = unsafe { Mmap::map(&file) }.map_err(unread)?;
        Ok(Arc::new(Self { path: path.to_owned(), map }))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }
}
