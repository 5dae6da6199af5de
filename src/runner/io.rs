//! What a stage can do: read its inputs, write its tables, say how far it is. No clock, no
//! environment, no way to anything that is not in its key.
//!
//! Killed and resumed equals undisturbed, bit for bit, because three things do not depend on where
//! work stopped: which rows are drawn with which seed (both follow from the row, `records/id.rs`),
//! the order of rows ([`Io::each_draw`] and [`Io::each_shard`] put them in that of the units), and how rows are
//! cut into pages and groups (counted from a table's first row, `store/table.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::attempt::Attempt;
use super::claim::Made;
use super::events::{Interrupted, StageError};
use super::meter::Meter;
use super::window::Window;
use crate::store::{
    Digest, Imported, KeyInput, Record, Shards, Sources, States, Store, StoredObject, StoredTable,
    TableReader, TableWriter, fields, to_batch,
};

/// An input whose bytes are known.
#[derive(Debug, Clone)]
pub(super) enum Resolved {
    Table(StoredTable),
    Files(BTreeMap<String, (PathBuf, Digest)>),
    Declared(BTreeMap<String, String>),
}

impl Resolved {
    /// How the input stands in the key.
    pub(super) fn key(&self) -> KeyInput {
        match self {
            Self::Table(table) => KeyInput::Table(table.object),
            Self::Files(files) => {
                let named = files.iter().map(|(name, (_, digest))| (name.clone(), *digest));
                KeyInput::Files(named.collect())
            }
            Self::Declared(named) => KeyInput::Declared(named.clone()),
        }
    }

    fn digest(&self) -> Digest {
        match self {
            Self::Table(table) => table.object,
            Self::Files(_) | Self::Declared(_) => Digest::of_json(&json!(self.key())),
        }
    }
}

/// A stage asked for an input that its node does not have, or in a form that it does not have.
#[derive(Debug, thiserror::Error)]
#[error("the stage asks for an input `{0}` that its node does not give it")]
struct NoSuchInput(String);

/// A file outside the store is not what it was when the run's key was spelt out.
#[derive(Debug, thiserror::Error)]
#[error("{} changed after the run's key was spelt out", path.display())]
struct Changed {
    path: PathBuf,
}

/// The inputs and outputs of one attempt at a run.
pub struct Io<'a> {
    store: &'a Store,
    inputs: &'a BTreeMap<String, Resolved>,
    attempt: &'a Attempt<'a>,
    made: Made,
}

impl<'a> Io<'a> {
    pub(super) fn new(
        store: &'a Store,
        inputs: &'a BTreeMap<String, Resolved>,
        attempt: &'a Attempt<'a>,
    ) -> Self {
        Self { store, inputs, attempt, made: Made::default() }
    }

    pub(super) fn into_made(self) -> Made {
        self.made
    }

    fn input(&self, name: &str) -> Result<&Resolved, StageError> {
        self.inputs.get(name).ok_or_else(|| NoSuchInput(name.to_owned()).into())
    }

    fn stored(&self, name: &str) -> Result<StoredTable, StageError> {
        match self.input(name)? {
            Resolved::Table(table) => Ok(*table),
            Resolved::Files(_) | Resolved::Declared(_) => Err(NoSuchInput(name.to_owned()).into()),
        }
    }

    /// Whether the node has an input of this name.
    #[must_use]
    pub fn has(&self, input: &str) -> bool {
        self.inputs.contains_key(input)
    }

    /// Returns the digest that stands for an input in the key.
    ///
    /// # Errors
    /// Where the node has no such input.
    pub fn digest(&self, input: &str) -> Result<Digest, StageError> {
        Ok(self.input(input)?.digest())
    }

    /// Counts the rows of an input table.
    ///
    /// # Errors
    /// Where the node has no such table.
    pub fn count(&self, input: &str) -> Result<u64, StageError> {
        Ok(self.stored(input)?.rows)
    }

    /// Reads the rows of an input table, or of it only the columns that `Q` names.
    ///
    /// # Errors
    /// Where the table's bytes are not what they should be.
    pub fn rows<Q: DeserializeOwned>(&self, input: &str) -> Result<TableReader<Q>, StageError> {
        Ok(TableReader::open(self.store, self.stored(input)?.object)?)
    }

    /// Returns where the files of an input are, by name; `None` where the input is a table.
    ///
    /// # Errors
    /// Where the node has no such input, or a file is no longer what the key says.
    pub fn files(&self, input: &str) -> Result<Option<BTreeMap<String, PathBuf>>, StageError> {
        match self.input(input)? {
            Resolved::Table(_) | Resolved::Declared(_) => Ok(None),
            Resolved::Files(files) => {
                let paths = files.iter().map(|(name, (path, _))| (name.clone(), path.clone()));
                Ok(Some(paths.collect()))
            }
        }
    }

    /// Returns what an input is called, where it has no bytes here.
    ///
    /// # Errors
    /// Where the node has no such input.
    pub fn declared(&self, input: &str) -> Result<Option<BTreeMap<String, String>>, StageError> {
        match self.input(input)? {
            Resolved::Declared(named) => Ok(Some(named.clone())),
            Resolved::Table(_) | Resolved::Files(_) => Ok(None),
        }
    }

    /// Lays files out as a folder for another program, without copying them, and returns where: beside it
    /// that program may keep what it says.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn lay_out(
        &self,
        name: &str,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<PathBuf, StageError> {
        Ok(self.store.lay_out(name, files)?)
    }

    /// Returns the folder that [`lay_out`](Self::lay_out) lays files out in, or will.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn engine_folder(&self, name: &str) -> Result<PathBuf, StageError> {
        let folder = self.store.engines_folder().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// What was spent on the experiment so far, on all of its nodes, in the currency of its prices.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn money_spent(&self) -> Result<f64, StageError> {
        let plan = self.store.plan(self.attempt.experiment)?;
        let runs = plan.iter().flat_map(|plan| &plan.nodes).filter_map(|node| node.run);
        let runs: BTreeSet<Digest> = runs.collect();
        let mut money = 0.0;
        for run in runs {
            let spent = match self.store.manifest(run)? {
                Some(manifest) => manifest.cost.spent,
                None => self.store.partial_effort(run)?.spent,
            };
            money += spent.money.unwrap_or(0.0);
        }
        Ok(money)
    }

    /// Checks that the files of an input hold what the key says. A stage asks after it has read
    /// them: waiting for another process leaves time to edit a file.
    ///
    /// # Errors
    /// Naming the file that changed.
    pub fn check_unchanged(&self, input: &str) -> Result<(), StageError> {
        let Resolved::Files(files) = self.input(input)? else { return Ok(()) };
        let mut sources = Sources::open(self.store)?;
        for (path, digest) in files.values() {
            if sources.digest(path)? != *digest {
                return Err(Changed { path: path.clone() }.into());
            }
        }
        Ok(())
    }

    /// Returns where an object is, after checking its bytes.
    ///
    /// # Errors
    /// Where it is missing or damaged.
    pub fn object(&self, digest: Digest) -> Result<PathBuf, StageError> {
        Ok(self.store.checked_path(digest)?)
    }

    /// Keeps a copy of a file as an object of this run and returns its name and size.
    ///
    /// # Errors
    /// Where the file cannot be read or the store cannot be written.
    pub fn keep_file(&mut self, name: &str, path: &Path) -> Result<(Digest, u64), StageError> {
        let (digest, bytes) = self.store.put_file(path)?;
        let stored = StoredObject { object: digest, bytes: Some(bytes) };
        self.made.objects.insert(name.to_owned(), stored);
        Ok((digest, bytes))
    }

    /// Keeps an object that the store has as one of this run, too.
    ///
    /// # Errors
    /// Where it is missing or damaged.
    pub fn keep_object(&mut self, name: &str, object: Digest) -> Result<(), StageError> {
        let bytes = Some(self.object(object)?.metadata()?.len());
        self.made.objects.insert(name.to_owned(), StoredObject { object, bytes });
        Ok(())
    }

    /// Keeps what `write` writes as an object of this run and returns its name and size.
    ///
    /// # Errors
    /// Where `write` fails or the store cannot be written.
    pub fn keep_stream(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), StageError>,
    ) -> Result<(Digest, u64), StageError> {
        let mut writer = self.store.object_writer()?;
        write(&mut writer)?;
        let (digest, bytes) = writer.finish()?;
        self.made
            .objects
            .insert(name.to_owned(), StoredObject { object: digest, bytes: Some(bytes) });
        Ok((digest, bytes))
    }

    /// Returns the states of long work, which last until the run is finished.
    #[must_use]
    pub fn states(&self) -> States {
        self.attempt.partial.states()
    }

    /// Returns states of another kind, in a folder of their own beside those.
    #[must_use]
    pub fn states_of(&self, folder: &str) -> States {
        self.attempt.partial.states_of(folder)
    }

    /// Returns a folder for the work of another program, which lasts until the run is finished.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, StageError> {
        Ok(self.attempt.partial.folder(name)?)
    }

    /// Returns where a table is that this run has made.
    ///
    /// # Errors
    /// Where it has not.
    pub fn made<R: Record>(&self) -> Result<PathBuf, StageError> {
        let made = self.made.tables.get(R::TABLE);
        let made = made.ok_or_else(|| NoSuchInput(R::TABLE.to_owned()))?;
        Ok(std::path::absolute(self.object(made.object)?)?)
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.attempt.interrupt.requested()
    }

    /// Names where models compute. It decides no result's key.
    #[must_use]
    pub const fn device(&self) -> &str {
        self.attempt.device
    }

    /// Tells how many bytes a model may keep of what it has read and drawn. It decides no result.
    #[must_use]
    pub const fn cache_memory(&self) -> u64 {
        self.attempt.cache_memory
    }

    /// Says where other programs are that are asked in this run, for its manifest. It decides nothing.
    pub fn reach(&self, places: Vec<String>) {
        self.attempt.reach(places);
    }

    /// Says where what this run makes was taken from, for its manifest: it was made elsewhere.
    pub fn import(&self, from: Imported) {
        self.attempt.import(from);
    }

    /// Tells a person something that stops nothing.
    pub fn warn(&self, text: impl Into<String>) {
        self.attempt.warn(text.into());
    }

    /// Writes a whole table of rows that are quick to make.
    ///
    /// # Errors
    /// Where a row cannot be made or the store cannot be written.
    pub fn write<R: Record>(
        &mut self,
        rows: impl IntoIterator<Item = Result<R, StageError>>,
    ) -> Result<(), StageError> {
        const AT_ONCE: usize = 2048;
        let mut writer = TableWriter::<R>::create(self.store)?;
        let mut pending = Vec::with_capacity(AT_ONCE);
        for row in rows {
            pending.push(row?);
            if pending.len() == AT_ONCE {
                writer.write(&pending)?;
                pending.clear();
            }
        }
        writer.write(&pending)?;
        self.made.tables.insert(R::TABLE.to_owned(), writer.finish()?);
        Ok(())
    }

    /// Writes a table of rows that cost something, shard by shard: the one place where work resumes.
    ///
    /// `units` are `total` pieces of work in a fixed order; `work` turns `size` of them into rows,
    /// which are safe on disk before the next shard begins. Shards that an earlier attempt made
    /// safe are not worked again. Neither `size` nor an interruption changes the table's bytes.
    ///
    /// # Errors
    /// Where `work` fails; and [`Interrupted`] between shards, once a stop was asked for.
    pub fn each_shard<U, R: Record>(
        &mut self,
        total: u64,
        size: usize,
        units: impl Iterator<Item = Result<U, StageError>>,
        mut work: impl FnMut(Vec<U>, &mut Meter<'_>) -> Result<Vec<R>, StageError>,
    ) -> Result<(), StageError> {
        let columns = fields::<R>()?;
        let mut shards = self.attempt.partial.shards(&format!("{}-{size}", R::TABLE))?;
        let done = shards.len() * size;
        let mut meter = Meter::new(self.attempt, total, (done as u64).min(total));
        let mut units = units;
        for _ in 0..done {
            units.next().transpose()?;
        }
        loop {
            let shard: Vec<U> = units.by_ref().take(size).collect::<Result<_, _>>()?;
            if shard.is_empty() {
                break;
            }
            if self.attempt.interrupt.requested() {
                return Err(Interrupted.into());
            }
            let after = meter.done() + shard.len() as u64;
            let rows = work(shard, &mut meter)?;
            shards.push(&to_batch(&columns, &rows)?)?;
            meter.reach(after);
            self.attempt.note()?;
        }
        self.assemble::<R>(&shards)
    }

    /// Makes a table of rows that are drawn one by one, in whatever order they come: `per_unit` for each
    /// of `count` units.
    ///
    /// `draw` is given the window: it takes units out, and lands rows. What an earlier attempt landed is
    /// not handed out again. The table is assembled in the order of the units, so neither the order of
    /// landing nor an interruption changes its bytes.
    ///
    /// # Errors
    /// Where `draw` fails; and [`Interrupted`] once a stop was asked for and rows are missing.
    pub fn each_draw<U, R: Record>(
        &mut self,
        count: u64,
        per_unit: usize,
        mut units: impl Iterator<Item = Result<U, StageError>>,
        draw: impl FnOnce(&mut Window<'_, U, R>) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let rows = count * per_unit as u64;
        let mut window = Window::open(self.attempt, rows, per_unit, &mut units)?;
        let drawn = draw(&mut window);
        // What has landed is kept, whatever became of the rest.
        window.sync()?;
        drawn?;
        let journal = window.into_journal()?;
        self.write(journal.rows().map(|row| row.map_err(Into::into)))
    }

    /// Returns what is open under this name, or opens it: a model that the last node used, say. What was
    /// open before is let go of first.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open<T: std::any::Any>(
        &self,
        name: &str,
        open: impl FnOnce() -> Result<T, StageError>,
    ) -> Result<Rc<T>, StageError> {
        self.attempt.open.take_or_open(name, open)
    }

    /// Lets go of what is open: a stage asks before it needs the memory itself.
    pub fn let_go(&self) {
        self.attempt.open.clear();
    }

    fn assemble<R: Record>(&mut self, shards: &Shards) -> Result<(), StageError> {
        let mut writer = TableWriter::<R>::create(self.store)?;
        for batch in shards.batches() {
            writer.write_batch(batch?)?;
        }
        self.made.tables.insert(R::TABLE.to_owned(), writer.finish()?);
        Ok(())
    }
}
