//! Folders for other programs: files of the store under the names that a model's folder has, linked and
//! not copied, and beside them what such a program said.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::file;
use super::format::FORMAT;
use super::layout::Store;
use super::sealed;

impl Store {
    /// Returns where folders for other programs are.
    #[must_use]
    pub fn engines_folder(&self) -> PathBuf {
        self.root().join("engines")
    }

    /// Lays files out in the folder `model` of a folder of this name, which is returned.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn lay_out(&self, name: &str, files: &BTreeMap<String, PathBuf>) -> Result<PathBuf, Error> {
        let folder = self.engines_folder().join(name);
        let model = folder.join("model");
        fs::create_dir_all(&model).map_err(|source| Error::write(&model, source))?;
        for path in file::list(&model)? {
            if !files.contains_key(file::name_of(&path)) {
                fs::remove_file(&path).map_err(|source| Error::write(&path, source))?;
            }
        }
        for (name, target) in files {
            link(target, &model.join(name))?;
        }
        Ok(folder)
    }
}

/// Makes a link, where it is not there already.
fn link(target: &Path, link: &Path) -> Result<(), Error> {
    let fail = |source| Error::write(link, source);
    let target = std::path::absolute(target).map_err(fail)?;
    if fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    match symlink(&target, link) {
        // Another process laid out the same.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(fail),
    }
}

/// What engines said of themselves.
#[derive(Serialize, Deserialize)]
struct Reports<T> {
    format: u32,
    engines: BTreeMap<String, T>,
}

impl Store {
    fn reports_path(&self) -> PathBuf {
        self.root().join("engines.json")
    }

    /// Reads what engines said of themselves; nothing where nobody kept it.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for a damaged file.
    pub fn engine_reports<T: DeserializeOwned>(&self) -> Result<BTreeMap<String, T>, Error> {
        let kept: Option<Reports<T>> = sealed::read(&self.reports_path())?;
        Ok(kept.map(|kept| kept.engines).unwrap_or_default())
    }

    /// Keeps what engines said of themselves.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn keep_engine_reports<T: Serialize>(
        &self,
        engines: BTreeMap<String, T>,
    ) -> Result<(), Error> {
        self.write_sealed(&self.reports_path(), &Reports { format: FORMAT, engines })
    }
}
