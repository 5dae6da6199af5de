//! Where declared files are read. DuckDB takes a folder `key=value` on the way to a file for a column of it,
//! as Hive would have it, and not every reader can be told not to. The place of an experiment is not part of
//! it, so a file in such a folder is read through a link elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The option of a reader that keeps the folders of a path out of its columns.
pub(super) const NO_PARTITIONS: &str = "hive_partitioning = false";

/// Files, each in a place that says nothing.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) files: BTreeMap<String, PathBuf>,
    /// The folder of links, which goes with them.
    links: Option<TempDir>,
}

impl Places {
    /// Finds a place for each file.
    pub(super) fn of(files: &BTreeMap<String, PathBuf>) -> io::Result<Self> {
        let mut places = Self { files: files.clone(), links: None };
        if !files.values().any(|path| says_something(path)) {
            return Ok(places);
        }
        let folder = tempfile::tempdir()?;
        if says_something(&folder.path().join("link")) {
            let text = format!(
                "the temporary folder is in a folder `key=value`: {}",
                folder.path().display()
            );
            return Err(io::Error::other(text));
        }
        // A folder each: a link keeps the name of its file, by which DuckDB chooses a reader.
        for (number, path) in places.files.values_mut().enumerate() {
            let folder = folder.path().join(number.to_string());
            std::fs::create_dir(&folder)?;
            let link = folder.join(path.file_name().unwrap_or_default());
            symlink(std::path::absolute(&*path)?, &link)?;
            *path = link;
        }
        places.links = Some(folder);
        Ok(places)
    }

    /// Gives up the files; the links go when what is returned does.
    pub(super) fn into_links(self) -> Option<TempDir> {
        self.links
    }
}

fn says_something(path: &Path) -> bool {
    let mut folders = path.parent().into_iter().flat_map(Path::components);
    folders.any(|folder| folder.as_os_str().to_string_lossy().contains('='))
}
