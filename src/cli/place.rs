//! Where the store is, and whether it has to be there already.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::records::VERSIONS;
use crate::store::{Error, Store};

/// Where the store is.
pub(super) struct StorePlace(pub(super) PathBuf);

impl StorePlace {
    /// The store, which has to be there.
    pub(super) fn open(&self) -> Result<Store, Failure> {
        Ok(Store::open(absolute(&self.0)?)?.knowing(&VERSIONS))
    }

    /// The store, made where there is none.
    pub(super) fn create(&self) -> Result<Store, Failure> {
        Ok(Store::create(absolute(&self.0)?)?.knowing(&VERSIONS))
    }

    /// The store, or one that is not there yet: for looking only.
    pub(super) fn look(&self) -> Result<Store, Failure> {
        let root = absolute(&self.0)?;
        match Store::open(&root) {
            Err(Error::Missing { .. }) => Ok(Store::not_yet(root)),
            opened => Ok(opened?.knowing(&VERSIONS)),
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    Ok(std::path::absolute(path)?)
}
