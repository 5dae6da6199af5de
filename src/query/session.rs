//! A session: the views of a store in a locked DuckDB, queries in, Arrow out.
//!
//! Every view has its name and its columns from the start. What it reads is looked for when a query names it:
//! a question costs what it asks for, and what is wrong with one table is no answer to a question about
//! another.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use duckdb::Connection;
use serde::de::DeserializeOwned;

use super::about_store;
use super::catalogue::{Catalogue, LostNode};
use super::engine::{self, MemoryLimit, lock_down};
use super::exact::exactly;
use super::gate::admit;
use super::schema::{TABLES, declaring};
use super::sink::{Error, Sink};
use super::views;
use crate::store::{Store, from_batch};

/// The views of a store, ready for queries, read-only.
pub struct Session {
    catalogue: Catalogue,
    connection: Connection,
    memory: u64,
    /// The views that read what there is, and the nodes that each should have had, too.
    made: RefCell<BTreeMap<String, BTreeSet<LostNode>>>,
    /// The nodes that the views of the last query should have had.
    lost: RefCell<BTreeSet<LostNode>>,
}

impl Session {
    /// Opens the views of a store, over every experiment.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn open(store: &Store) -> Result<Self, Error> {
        Self::new(Catalogue::new(store, None), &MemoryLimit::default())
    }

    /// The same, in no more memory than this.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn within(store: &Store, limit: &MemoryLimit) -> Result<Self, Error> {
        Self::new(Catalogue::new(store, None), limit)
    }

    /// The same, over some experiments: what others have does not slow it down.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn of(store: &Store, experiments: &[&str]) -> Result<Self, Error> {
        Self::new(Catalogue::new(store, Some(experiments)), &MemoryLimit::default())
    }

    fn new(catalogue: Catalogue, limit: &MemoryLimit) -> Result<Self, Error> {
        let (connection, memory) = engine::open(limit)?;
        connection.execute_batch(&declaring())?;
        connection.execute_batch(&views::empty())?;
        let store = &catalogue.store;
        let folders = [store.objects_folder(), store.runs_folder(), store.plans_folder()];
        let folders = folders.map(|folder| folder.to_string_lossy().into_owned());
        connection.execute_batch(&lock_down("allowed_directories", &folders))?;
        let (made, lost) = (RefCell::default(), RefCell::default());
        Ok(Self { catalogue, connection, memory, made, lost })
    }

    /// Runs one query and streams what comes out.
    ///
    /// # Errors
    /// [`Error::Refused`] for anything but one query; else what the store, DuckDB or the sink says.
    pub fn run(&self, sql: &str, sink: &mut dyn Sink) -> Result<(), Error> {
        self.lost.borrow_mut().clear();
        let names = admit(&self.connection, sql)?;
        self.make(&names)?;
        let exact = exactly(&self.connection, sql);
        let mut statement = self.connection.prepare(exact.as_deref().unwrap_or(sql))?;
        let schema = statement.stream_arrow([])?.get_schema();
        sink.begin(&schema)?;
        while let Some(columns) = statement.step()? {
            if !sink.batch(&RecordBatch::from(&columns))? {
                break;
            }
        }
        sink.end()
    }

    /// Runs one query and returns its rows, for queries whose answer is small.
    ///
    /// # Errors
    /// As [`Session::run`], and where the rows are not those of `Q`.
    pub fn rows<Q: DeserializeOwned>(&self, sql: &str) -> Result<Vec<Q>, Error> {
        let mut kept = Kept(Vec::new());
        self.run(sql, &mut kept)?;
        Ok(kept.0)
    }

    /// Lists the nodes that were finished once and are lost, of the views that the last query named: their
    /// rows were not in its answer.
    pub fn lost(&self) -> BTreeSet<LostNode> {
        self.lost.borrow().clone()
    }

    /// Returns how many bytes DuckDB may take.
    pub const fn memory(&self) -> u64 {
        self.memory
    }

    /// Returns the script that gives a foreign DuckDB the same views.
    ///
    /// # Errors
    /// Where any part of any view cannot be read.
    pub fn script(&self) -> Result<String, Error> {
        views::script(&self.catalogue, &self.connection)
    }

    /// Returns what stops the query in hand, from another thread.
    pub fn interrupter(&self) -> impl Fn() + Send + Sync + 'static {
        let handle = self.connection.interrupt_handle();
        move || handle.interrupt()
    }

    /// Lists every view and its columns, for completion.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn columns(&self) -> Result<Vec<(String, String)>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT table_name, column_name FROM duckdb_columns()
             WHERE schema_name = 'main' AND NOT internal ORDER BY ALL",
        )?;
        let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(columns.collect::<Result<Vec<_>, _>>()?)
    }

    /// Makes the views that are named read what there is.
    fn make(&self, names: &BTreeSet<String>) -> Result<(), Error> {
        let mut made = self.made.borrow_mut();
        for (table, _) in TABLES.iter().filter(|(table, _)| names.contains(*table)) {
            if !made.contains_key(*table) {
                let (view, lost) = views::of_table(&self.catalogue, &self.connection, table)?;
                self.connection.execute_batch(&view)?;
                made.insert((*table).to_owned(), lost);
            }
        }
        let about_store = about_store::VIEWS.iter().filter(|view| names.contains(**view));
        if about_store.clone().next().is_some() && !made.contains_key(about_store::VIEWS[0]) {
            let (script, lost) = views::about_store(&self.catalogue)?;
            self.connection.execute_batch(&script)?;
            made.extend(about_store::VIEWS.map(|view| (view.to_owned(), lost.clone())));
        }
        let named = names.iter().filter_map(|name| made.get(name));
        self.lost.borrow_mut().extend(named.flatten().cloned());
        Ok(())
    }
}

/// Keeps rows in memory.
struct Kept<Q>(Vec<Q>);

impl<Q: DeserializeOwned> Sink for Kept<Q> {
    fn begin(&mut self, _: &SchemaRef) -> Result<(), Error> {
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
        self.0.extend(from_batch(batch)?);
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
