//! Work in hand: the lock of a run that is being made, and the shards that are already safe.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::Error;
use super::file::{self, HashedFile, digest_file, name_of};
use super::format::FORMAT;
use super::journal::{self, Journal, Lost};
use super::layout::Store;
use super::manifest::Spent;
use super::record::Record;
use super::sealed;
use super::states::{State, States};

/// The folder of a run that is being made. Whoever holds it holds the run's lock.
///
/// The lock is the operating system's: it goes with its process, so none is ever stale.
#[derive(Debug)]
#[must_use = "the run's lock is let go of when this is dropped"]
pub struct Partial {
    folder: PathBuf,
    _lock: File,
}

/// What the attempts at a run came to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Seconds of work.
    pub seconds: f64,
    /// How many attempts there were.
    pub attempts: u32,
    /// Rows that had landed in its journal.
    #[serde(default)]
    pub rows: u64,
    /// Tokens and money.
    #[serde(default)]
    pub spent: Spent,
}

/// The file of the account.
const EFFORT: &str = "effort.json";

#[derive(Serialize, Deserialize)]
struct Noted {
    format: u32,
    #[serde(flatten)]
    effort: Effort,
}

impl Store {
    /// Returns the folder of work in hand.
    #[must_use]
    pub fn partial_folder(&self) -> PathBuf {
        self.root().join("partial")
    }

    /// Takes the lock of a run. While another process holds it, asks `go_on` again and again
    /// whether to wait; `None` once the answer is no.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn partial(
        &self,
        run: Digest,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Option<Partial>, Error> {
        const PATIENCE: Duration = Duration::from_millis(20);
        /// What is fleeting is over after so many looks; what is not (a link to nothing) stays.
        const LOOKS: usize = 50;
        self.raise_format()?;
        let mut looks = 0;
        let folder = self.partial_folder().join(run.to_hex());
        let path = folder.join("lock");
        let wrote = |source: io::Error| Error::write(&path, source);
        loop {
            let opened = fs::create_dir_all(&folder).and_then(|()| {
                File::options().create(true).truncate(false).write(true).open(&path)
            });
            let lock = match opened {
                Ok(lock) => lock,
                // The winner of the race is removing the folder at this moment: make it anew.
                Err(e) if is_fleeting(&e) && looks < LOOKS => {
                    looks += 1;
                    sleep(PATIENCE);
                    continue;
                }
                Err(source) => return Err(self.no_folder().unwrap_or_else(|| wrote(source))),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if go_on() => {
                    sleep(PATIENCE);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(wrote(source)),
            }
            // The lock counts only if the file is still the one that others find at this place.
            let (held, found) = (lock.metadata().map_err(wrote)?, fs::metadata(&path));
            if found.is_ok_and(|found| found.ino() == held.ino()) {
                return Ok(Some(Partial { folder, _lock: lock }));
            }
        }
    }

    /// Says so where something is in the place of the folder of work in hand.
    fn no_folder(&self) -> Option<Error> {
        let path = self.partial_folder();
        let found = fs::symlink_metadata(&path).ok().filter(|_| !path.is_dir())?;
        let what = if found.is_symlink() { "a link that leads to no folder" } else { "no folder" };
        let source = io::Error::new(io::ErrorKind::NotADirectory, format!("it is {what}"));
        Some(Error::write(&path, source))
    }

    /// What an unfinished run has come to so far.
    ///
    /// # Errors
    /// [`Error::Newer`] where a newer mrx wrote its account.
    pub fn partial_effort(&self, run: Digest) -> Result<Effort, Error> {
        let path = self.partial_folder().join(run.to_hex()).join(EFFORT);
        Ok(effort_in(&path)?.unwrap_or_default())
    }

    /// Counts the rows of an unfinished run that are already safe, per table.
    ///
    /// # Errors
    /// [`Error::Read`] where a folder cannot be listed.
    pub fn partial_rows(&self, run: Digest) -> Result<u64, Error> {
        let folder = self.partial_folder().join(run.to_hex());
        let mut rows = journal::rows_in(&folder)?;
        for table in file::list(&folder)?.iter().filter(|path| path.is_dir()) {
            rows += file::list(table)?
                .iter()
                .filter_map(|path| Shard::parse(path))
                .map(|s| s.rows)
                .sum::<u64>();
        }
        Ok(rows)
    }
}

/// What a partial run came to, in an account that may not be there.
fn effort_in(path: &Path) -> Result<Option<Effort>, Error> {
    match sealed::read::<Noted>(path) {
        // The account of what was spent is lost; the work is not.
        Err(Error::Unreadable { .. }) => Ok(None),
        noted => Ok(noted?.map(|noted| noted.effort)),
    }
}

/// What making and removing the same folder at once can come to.
fn is_fleeting(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotFound};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotFound)
}

impl Partial {
    /// Opens the journal of one table that will have `rows` rows, and tells what of it is lost. What a
    /// kill tore off its end is cut away.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Write`] where the disk refuses.
    pub fn journal<R: Record>(&self, rows: u64) -> Result<(Journal<R>, Vec<Lost>), Error> {
        Journal::open(&self.folder, rows)
    }

    /// Opens the shards of one table that are already safe: those from the first on without a gap.
    ///
    /// What stands past a gap (a shard was found damaged, and removed) is removed too: it is made
    /// again, in its place.
    ///
    /// # Errors
    /// [`Error::Read`] where the folder cannot be listed.
    pub fn shards(&self, table: &str) -> Result<Shards, Error> {
        let folder = self.folder.join(table);
        let mut shards: Vec<Shard> = Vec::new();
        for path in file::list(&folder)? {
            match Shard::parse(&path) {
                Some(shard) if shard.number == shards.len() => shards.push(shard),
                Some(_) => fs::remove_file(&path).map_err(|e| Error::write(&path, e))?,
                None => {}
            }
        }
        Ok(Shards { folder, shards })
    }

    /// Returns the states of long work, which last until the run is finished.
    #[must_use]
    pub fn states(&self) -> States {
        self.states_of("checkpoint")
    }

    /// Returns states of another kind, in a folder of their own beside those.
    #[must_use]
    pub fn states_of(&self, folder: &str) -> States {
        States::new(self.folder.join(folder))
    }

    /// Starts an attempt: returns what it came to so far, this attempt counted.
    ///
    /// # Errors
    /// [`Error::Write`] where the note cannot be kept.
    pub fn begin(&self) -> Result<Effort, Error> {
        let earlier = effort_in(&self.effort_path())?.unwrap_or_default();
        let effort = Effort { attempts: earlier.attempts + 1, ..earlier };
        self.note(effort)?;
        Ok(effort)
    }

    /// Notes what it came to so far, so that a later attempt can add to it.
    ///
    /// # Errors
    /// [`Error::Write`] where the note cannot be kept.
    pub fn note(&self, effort: Effort) -> Result<(), Error> {
        sealed::write(&self.effort_path(), &Noted { format: FORMAT, effort })
    }

    fn effort_path(&self) -> PathBuf {
        self.folder.join(EFFORT)
    }

    /// Returns a folder for the work of another program, which lasts until the run is finished.
    ///
    /// # Errors
    /// [`Error::Write`] where it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, source))?;
        std::path::absolute(&folder).map_err(|source| Error::read(&folder, source))
    }

    /// Where the work in hand is.
    #[cfg(test)]
    pub(super) fn place(&self) -> &Path {
        &self.folder
    }

    /// Removes the work in hand, once it is all in objects and its manifest is written.
    ///
    /// # Errors
    /// [`Error::Write`] where it cannot be removed.
    pub fn discard(self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.folder) {
            // Another process has just looked in at the same run; it tidies up after itself.
            Err(e) if is_fleeting(&e) => Ok(()),
            removed => removed.map_err(|source| Error::write(&self.folder, source)),
        }
    }
}

/// The safe shards of one table: whole or not there, in order.
#[derive(Debug)]
pub struct Shards {
    folder: PathBuf,
    shards: Vec<Shard>,
}

/// A shard's place, and what its name says: number, rows and digest.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    number: usize,
    rows: u64,
    digest: Digest,
}

/// The key under which a shard's own bytes say where it belongs: a renamed shard is a damaged one.
const PLACE: &str = "mrx.shard";

/// Writes `<run>/judgements-64/12`.
fn place_of(folder: &Path, number: usize) -> String {
    let run = folder.parent().map(name_of).unwrap_or_default();
    format!("{run}/{}/{number}", name_of(folder))
}

fn placed(batch: &RecordBatch, place: &str) -> Result<RecordBatch, arrow::error::ArrowError> {
    let metadata = [(PLACE.to_owned(), place.to_owned())].into();
    let schema = batch.schema_ref().as_ref().clone().with_metadata(metadata);
    RecordBatch::try_new(Arc::new(schema), batch.columns().to_vec())
}

impl Shard {
    /// Reads `00000012-4096-<digest>.arrow`.
    fn parse(path: &Path) -> Option<Self> {
        let mut parts = name_of(path).strip_suffix(".arrow")?.splitn(3, '-');
        let number = parts.next()?.parse().ok()?;
        let rows = parts.next()?.parse().ok()?;
        let digest = parts.next()?.parse().ok()?;
        Some(Self { path: path.to_owned(), number, rows, digest })
    }
}

impl Shards {
    /// Counts the shards.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Counts the rows in them.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.shards.iter().map(|shard| shard.rows).sum()
    }

    /// Keeps a shard. When this returns, a power cut does not take it.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk refuses; the shard is then not there at all.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let number = self.shards.len();
        let batch = &placed(batch, &place_of(&self.folder, number))
            .map_err(|e| Error::encode(name_of(&self.folder), e))?;
        let mut file = HashedFile::create(&self.folder)?;
        let failed = |e: arrow::error::ArrowError| match e {
            arrow::error::ArrowError::IoError(_, source) => Error::write(&self.folder, source),
            other => Error::encode(name_of(&self.folder), other),
        };
        let mut writer = FileWriter::try_new(&mut file, batch.schema_ref()).map_err(failed)?;
        writer.write(batch).and_then(|()| writer.finish()).map_err(failed)?;
        drop(writer);
        let rows = batch.num_rows() as u64;
        let place = |digest| self.folder.join(format!("{number:08}-{rows}-{digest}.arrow"));
        let (digest, _) = file.finish(place)?;
        let path = place(digest);
        self.shards.push(Shard { path, number, rows, digest });
        Ok(())
    }

    /// Reads the shards back, in order, checking the bytes of each.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch, Error>> + '_ {
        self.shards.iter().map(Shard::read)
    }
}

impl Shard {
    fn read(&self) -> Result<RecordBatch, Error> {
        let damaged = |reason: String| Error::Unreadable { path: self.path.clone(), reason };
        let found = digest_file(&self.path)?;
        if found != self.digest {
            return Err(damaged(format!("its bytes hash to {}", found.short())));
        }
        let file = File::open(&self.path).map_err(|source| Error::read(&self.path, source))?;
        let mut reader = FileReader::try_new(file, None).map_err(|e| damaged(e.to_string()))?;
        let place = place_of(self.path.parent().unwrap_or(&self.path), self.number);
        if reader.schema().metadata().get(PLACE) != Some(&place) {
            return Err(damaged(format!("it was not written as {place}")));
        }
        match reader.next() {
            Some(Ok(batch)) if batch.num_rows() as u64 == self.rows => Ok(batch),
            Some(Ok(batch)) => Err(damaged(format!("it holds {} rows", batch.num_rows()))),
            Some(Err(e)) => Err(damaged(e.to_string())),
            None => Err(damaged("it holds no rows".to_owned())),
        }
    }
}

impl Store {
    /// Lists the shards and states of every unfinished run, with the digest that each name promises.
    pub(super) fn partial_files(&self) -> Result<Vec<(PathBuf, Digest)>, Error> {
        let mut files = Vec::new();
        for run in file::list(&self.partial_folder())? {
            for table in file::list(&run)?.iter().filter(|path| path.is_dir()) {
                let paths = file::list(table)?;
                let shards = paths.iter().filter_map(|path| Shard::parse(path));
                files.extend(shards.map(|shard| (shard.path, shard.digest)));
                let states = paths.iter().filter_map(|path| State::parse(path));
                files.extend(states.map(|state| (state.path, state.digest)));
            }
        }
        Ok(files)
    }
}
