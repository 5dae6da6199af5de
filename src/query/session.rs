//! A session: the catalogue in a locked DuckDB, queries in, Arrow out.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use duckdb::{Config, Connection};
use serde::de::DeserializeOwned;

use super::catalogue::quote;
use super::gate::{Refused, admit};
use super::syntax::statement;
use super::{Catalogue, Sink};
use crate::store::{self, Store, from_batch};

/// What can go wrong with a query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gate refused the statement.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// DuckDB refused or failed.
    #[error("{}", tidy(.0))]
    DuckDb(duckdb::Error),
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What came out could not be written.
    #[error("cannot write the rows")]
    Write(#[from] std::io::Error),
    /// What came out has no form in this format.
    #[error("the rows cannot be written in this format: {0}")]
    Format(String),
}

impl From<duckdb::Error> for Error {
    fn from(error: duckdb::Error) -> Self {
        Self::DuckDb(error)
    }
}

/// DuckDB's own words, which carry the line and a caret, without the wrapper's prefix.
pub(super) fn tidy(error: &duckdb::Error) -> String {
    match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message.trim_end().to_owned(),
        other => other.to_string(),
    }
}

/// Settings under which nothing can be loaded from anywhere.
pub(super) fn closed() -> Result<Config, duckdb::Error> {
    Config::default()
        .with("autoload_known_extensions", "false")?
        .with("autoinstall_known_extensions", "false")
}

/// The statements after which only `paths` can be read, nothing written, and no setting changed.
pub(super) fn lock_down(setting: &str, paths: &[String]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| quote(path)).collect();
    format!(
        "SET temp_directory = ''; SET {setting} = [{}]; SET enable_external_access = false; \
         SET lock_configuration = true;",
        paths.join(", ")
    )
}

/// The views of a store, ready for queries, read-only.
pub struct Session {
    catalogue: Catalogue,
    connection: Connection,
}

impl Session {
    /// Opens the views of a store.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn open(store: &Store) -> Result<Self, Error> {
        let catalogue = Catalogue::open(store)?;
        let connection = Connection::open_in_memory_with_flags(closed()?)?;
        connection.execute_batch(&catalogue.session_script())?;
        let folders = [store.objects_folder(), store.runs_folder(), store.plans_folder()];
        let folders = folders.map(|folder| folder.to_string_lossy().into_owned());
        connection.execute_batch(&lock_down("allowed_directories", &folders))?;
        Ok(Self { catalogue, connection })
    }

    /// Runs one query and streams what comes out.
    ///
    /// # Errors
    /// [`Error::Refused`] for anything but one query; else what DuckDB or the sink says.
    pub fn run(&self, sql: &str, sink: &mut dyn Sink) -> Result<(), Error> {
        admit(&self.connection, sql)?;
        self.catalogue.check(sql)?;
        match self.answer(sql, sink) {
            // DuckDB reads every manifest for some views, and cannot know which of them is damaged.
            Err(Error::DuckDb(error)) => {
                self.catalogue.check_manifests(sql)?;
                Err(error.into())
            }
            answered => answered,
        }
    }

    fn answer(&self, sql: &str, sink: &mut dyn Sink) -> Result<(), Error> {
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
}

/// Wraps a query whose columns have types that Arrow's forms would bend: they are cast by DuckDB,
/// exactly, or it says that it cannot. `None` where there is nothing to bend.
fn exactly(connection: &Connection, sql: &str) -> Option<String> {
    let query = statement(connection, sql).ok()?;
    // What cannot be described (EXPLAIN, SHOW) has plain columns.
    let mut statement = connection.prepare(&format!("DESCRIBE\n{query}")).ok()?;
    let described = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let columns = described.ok()?;
    if !columns.iter().any(|(_, kind)| exact_type(kind).is_some()) {
        return None;
    }
    let places: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    let casts = columns.iter().zip(&places).map(|((name, kind), place)| {
        let name = name.replace('"', "\"\"");
        match exact_type(kind) {
            Some(exact) => format!("CAST({place} AS {exact}) AS \"{name}\""),
            None => format!("{place} AS \"{name}\""),
        }
    });
    let casts = casts.collect::<Vec<_>>().join(", ");
    Some(format!("SELECT {casts} FROM (\n{query}\n) exact({})", places.join(", ")))
}

/// The type in which a value of this type leaves without a loss, where its own would lose some.
fn exact_type(kind: &str) -> Option<&'static str> {
    const BENT: [&str; 6] = ["UHUGEINT", "BIGNUM", "BIT", "INTERVAL", "WITH TIME ZONE", "UNION("];
    let odd_map = kind.match_indices("MAP(").any(|(at, _)| !kind[at..].starts_with("MAP(VARCHAR"));
    let inner_huge = kind != "HUGEINT" && kind.contains("HUGEINT");
    if BENT.iter().any(|bent| kind.contains(bent)) || odd_map || inner_huge {
        return Some("VARCHAR");
    }
    (kind == "HUGEINT").then_some("DECIMAL(38, 0)")
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
