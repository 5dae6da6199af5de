//! Files that a command writes: made beside their place first, put there together, and never over something else
//! in silence.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::failure::{Failure, Kind};
use super::ui::Ui;
use crate::query::{Format, Session, TableText, sink};
use crate::store::digest_file;

/// Whether files may be written over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Over {
    /// They are made anew each time.
    Anything,
    /// Only files that say the same; the hint says what to do about others.
    TheSame(&'static str),
}

/// What helps where an export meets another file.
const FORCE: &str = "`--force` writes over it; `--out` names another place";

impl Over {
    /// As `--force` of an export has it.
    pub(super) const fn forced(force: bool) -> Self {
        if force { Self::Anything } else { Self::TheSame(FORCE) }
    }
}

/// Files on their way to their places.
pub(super) struct Outputs {
    folder: PathBuf,
    over: Over,
    staging: TempDir,
    names: Vec<PathBuf>,
}

impl Outputs {
    /// Files below a folder, which need not be there.
    pub(super) fn of(folder: &Path, over: Over) -> Result<Self, Failure> {
        let folder = std::path::absolute(folder)?;
        // A rename is all or nothing on one file system alone.
        let beside = folder.ancestors().find(|ancestor| ancestor.is_dir());
        let beside = beside.unwrap_or(Path::new("/"));
        let staging = tempfile::Builder::new().prefix(".mrx-export-").tempdir_in(beside);
        let staging = staging.map_err(|error| unwritten(&folder, &error))?;
        Ok(Self { folder, over, staging, names: Vec::new() })
    }

    /// One file, and its name in its folder.
    pub(super) fn of_file(path: &Path, over: Over) -> Result<(Self, PathBuf), Failure> {
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            let text = format!("expected a file to write, found the folder {}", path.display());
            return Err(Failure::new(Kind::Usage, text));
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok((Self::of(folder.unwrap_or(Path::new(".")), over)?, name.into()))
    }

    /// Where a file of this name is written for now.
    fn stage(&mut self, name: &Path) -> Result<PathBuf, Failure> {
        let path = self.staging.path().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
        }
        self.names.push(name.to_owned());
        Ok(path)
    }

    /// Writes the rows of a query; returns how many bytes they take.
    pub(super) fn query(
        &mut self,
        name: &Path,
        session: &Session,
        query: &str,
        format: Format,
    ) -> Result<u64, Failure> {
        let path = self.stage(name)?;
        let file = File::create(&path).map_err(|error| unwritten(name, &error))?;
        let text = TableText { width: usize::MAX, rows: usize::MAX };
        let mut out = sink(format, text, Box::new(BufWriter::new(file)));
        session.run(query, out.as_mut())?;
        drop(out);
        Ok(fs::metadata(&path)?.len())
    }

    /// Writes lines, or any text.
    pub(super) fn text<'t>(
        &mut self,
        name: &Path,
        parts: impl Iterator<Item = &'t str>,
    ) -> Result<(), Failure> {
        let path = self.stage(name)?;
        let fail = |error: std::io::Error| unwritten(name, &error);
        let mut file = BufWriter::new(File::create(path).map_err(fail)?);
        for part in parts {
            file.write_all(part.as_bytes()).map_err(fail)?;
        }
        file.flush().map_err(fail)
    }

    /// Puts all files in their places, and prints where; none of them where one would write over something else.
    pub(super) fn put(self, ui: &Ui) -> Result<(), Failure> {
        if let Over::TheSame(hint) = self.over {
            self.names.iter().try_for_each(|name| self.refuse_over_others(name, hint))?;
        }
        for name in &self.names {
            let place = self.folder.join(name);
            let fail = |error: std::io::Error| unwritten(&place, &error);
            fs::create_dir_all(place.parent().unwrap_or(&self.folder)).map_err(fail)?;
            let staged = self.staging.path().join(name);
            File::open(&staged).and_then(|file| file.sync_all()).map_err(fail)?;
            fs::rename(staged, &place).map_err(fail)?;
        }
        for name in &self.names {
            ui.print(&shown(&self.folder.join(name)))?;
        }
        Ok(())
    }

    fn refuse_over_others(&self, name: &Path, hint: &'static str) -> Result<(), Failure> {
        let place = self.folder.join(name);
        if fs::symlink_metadata(&place).is_err() {
            return Ok(());
        }
        let is_same = place.is_file()
            && digest_file(&place)? == digest_file(&self.staging.path().join(name))?;
        if is_same {
            return Ok(());
        }
        let text = format!("{} is there already, and says something else", shown(&place));
        Err(Failure::new(Kind::Data, text).hint(hint))
    }
}

/// A path as a person would write it: from the working folder, where it is below it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// A name that is one file's name on every system.
pub(super) fn file_name(name: &str) -> String {
    name.replace(|c: char| c.is_control() || "/\\:*?\"<>|".contains(c), "_")
}

/// A file cannot be written.
pub(super) fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Data, format!("cannot write {}: {error}", path.display()))
}
