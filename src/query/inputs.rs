//! An experiment's own SQL: rows from the files it declares and the tables it is given, and from nothing
//! else.
//!
//! The query decides what an experiment is about, so its result must follow from its text and the
//! digests of its files alone: what changes from call to call or from machine to machine is refused (see
//! `repeatable`), and so is every file that is not declared. Time zones are UTC's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use arrow::array::RecordBatch;
use duckdb::Connection;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

use super::engine::{self, MemoryLimit, lock_down, quote, tidy};
use super::places::{NO_PARTITIONS, Places};
use super::repeatable::{self, Known, Unrepeatable};
use super::schema::MACROS;
use super::syntax::{Excerpt, Parsed, Reference, parse, parse_alone, references, statement, visit};
use super::table_view::with_readings;
use crate::store::{self, from_batch};

/// Why an experiment's query cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// It does not parse.
    #[error("{message}, at line {}, column {}\n{place}", place.line, place.column)]
    Syntax {
        /// DuckDB's words.
        message: String,
        /// Where.
        place: Excerpt,
    },
    /// It is not one query.
    #[error("expected one query (SELECT, FROM, VALUES or WITH)")]
    NotOneQuery,
    /// It would not give the same rows again.
    #[error(transparent)]
    Unrepeatable(#[from] Unrepeatable),
    /// It reads a file that the experiment does not declare.
    #[error("the query reads `{file}`, which is not among its declared files ({declared})")]
    Undeclared {
        /// The file.
        file: String,
        /// Those that are declared.
        declared: String,
    },
    /// It names a file in a way that hides where the name stands.
    #[error(
        "the query names `{file}` in a way that cannot be bound to the declared file; write it as '{file}'"
    )]
    Unbound {
        /// The file.
        file: String,
    },
    /// A column should be text, and is something that a reader or the query made of it.
    #[error("column `{column}` is {kind}; expected VARCHAR")]
    NotText {
        /// The column, as the query names it.
        column: String,
        /// Its type, in DuckDB's spelling.
        kind: String,
    },
    /// A declared file cannot be read from elsewhere than its place.
    #[error("cannot link to the declared files, one of which is in a folder `key=value`")]
    Places(#[source] std::io::Error),
    /// DuckDB refused or failed.
    #[error("{}", tidy(.0))]
    DuckDb(duckdb::Error),
    /// Rows came out in a shape that was not asked for.
    #[error(transparent)]
    Rows(#[from] store::Error),
}

impl From<duckdb::Error> for InputsError {
    fn from(error: duckdb::Error) -> Self {
        Self::DuckDb(error)
    }
}

/// A column of a query's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, in DuckDB's spelling.
    pub kind: String,
}

/// A table that a query may name, as it names it.
#[derive(Debug, Clone)]
pub struct TableFiles {
    /// As `judgements`.
    pub table: &'static str,
    /// Its Parquet object.
    pub rows: PathBuf,
    /// The object of what was read out of its texts, row by row: the table then has it beside.
    pub readings: Option<PathBuf>,
}

/// An experiment's query, bound to its declared files.
#[derive(Debug)]
pub struct Inputs {
    connection: Rc<Connection>,
    query: String,
    /// The links through which files are read are there as long as a query is.
    _links: Rc<Option<TempDir>>,
}

impl Inputs {
    /// Checks the query and binds the file names in it to the declared files, and the names of tables to
    /// theirs; `views` are names for queries over those tables.
    ///
    /// # Errors
    /// Each way in which a query cannot be used.
    pub fn open(
        sql: &str,
        files: &BTreeMap<String, PathBuf>,
        tables: &[TableFiles],
        views: &[(&str, &str)],
    ) -> Result<Self, InputsError> {
        let mut only = Self::open_each(&[sql], files, tables, views)?;
        only.pop().ok_or(InputsError::NotOneQuery)
    }

    /// The same for several queries over the same files and tables.
    ///
    /// # Errors
    /// As [`Inputs::open`], for the first that cannot be used.
    pub fn open_each(
        queries: &[&str],
        files: &BTreeMap<String, PathBuf>,
        tables: &[TableFiles],
        views: &[(&str, &str)],
    ) -> Result<Vec<Self>, InputsError> {
        let connection = Rc::new(engine::open(&MemoryLimit::default())?.0);
        let places = Places::of(files).map_err(InputsError::Places)?;
        let files = &places.files;
        let known = Known::ask(&connection)?;
        let mut bound = Vec::with_capacity(queries.len());
        for sql in queries {
            let tree = one_query(parse(&connection, sql)?, sql)?;
            known.check(&tree)?;
            bound.push(bind(sql, &tree, files)?);
        }
        let of_tables =
            tables.iter().flat_map(|table| [Some(&table.rows), table.readings.as_ref()]);
        let paths = files.values().chain(of_tables.flatten());
        let paths: Vec<String> = paths.map(|path| path.to_string_lossy().into_owned()).collect();
        connection.execute_batch(MACROS)?;
        connection.execute_batch(&repeatable::script(files))?;
        for TableFiles { table, rows, readings } in tables {
            let read = |path: &PathBuf| {
                format!("read_parquet({}, {NO_PARTITIONS})", quote(&path.to_string_lossy()))
            };
            let rows = match readings {
                Some(readings) => with_readings(table, "t.*", &read(rows), &read(readings)),
                None => format!("SELECT * FROM {}", read(rows)),
            };
            connection.execute_batch(&format!("CREATE VIEW {table} AS {rows};"))?;
        }
        for (view, sql) in views {
            connection.execute_batch(&format!("CREATE VIEW {view} AS {sql};"))?;
        }
        // One thread: without ORDER BY, rows then still come in the order of the file.
        connection.execute_batch("SET threads = 1;")?;
        connection.execute_batch(&lock_down("allowed_paths", &paths))?;
        let links = Rc::new(places.into_links());
        let of = |query: String| {
            let query = statement(&connection, &query)?;
            Ok(Self { connection: Rc::clone(&connection), query, _links: Rc::clone(&links) })
        };
        bound.into_iter().map(of).collect()
    }

    /// Lists the columns that come out.
    ///
    /// # Errors
    /// What DuckDB says, an unknown column or a missing file among it.
    pub fn columns(&self) -> Result<Vec<Column>, InputsError> {
        let mut statement = self.connection.prepare(&format!("DESCRIBE\n{}", self.query))?;
        let columns =
            statement.query_map([], |row| Ok(Column { name: row.get(0)?, kind: row.get(1)? }))?;
        Ok(columns.collect::<Result<Vec<_>, _>>()?)
    }

    /// Checks that those of these columns that the query gives are text, or NULL in every row: of text that
    /// a reader took for a date or a number, no cast gives back what stood in the file.
    ///
    /// # Errors
    /// [`InputsError::NotText`], and what DuckDB says.
    pub fn check_texts(&self, columns: &[Column], names: &[&str]) -> Result<(), InputsError> {
        for Column { name, kind } in columns.iter().filter(|column| column.kind != "VARCHAR") {
            if !names.iter().any(|text| text.eq_ignore_ascii_case(name)) {
                continue;
            }
            let sql = format!("SELECT count(\"{name}\") FROM (\n{}\n)", self.query);
            let values: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
            if values > 0 {
                return Err(InputsError::NotText { column: name.clone(), kind: kind.clone() });
            }
        }
        Ok(())
    }

    /// Runs the query, `select` over its columns, and returns the rows.
    ///
    /// # Errors
    /// What DuckDB says of a row, as a text that is not a number.
    pub fn rows<Q: DeserializeOwned>(&self, select: &str) -> Result<Vec<Q>, InputsError> {
        let sql = format!("SELECT {select} FROM (\n{}\n)", self.query);
        let mut statement = self.connection.prepare(&sql)?;
        drop(statement.stream_arrow([])?);
        let mut rows = Vec::new();
        while let Some(columns) = statement.step()? {
            rows.extend(from_batch::<Q>(&RecordBatch::from(&columns))?);
        }
        Ok(rows)
    }
}

/// Lists the tables that a query names, in lower case, wherever it reads them: not columns, texts, or names
/// that it defines itself.
///
/// # Errors
/// Where it does not parse, or is not one query.
pub fn tables_named(sql: &str) -> Result<BTreeSet<String>, InputsError> {
    let tree = one_query(parse_alone(sql)?, sql)?;
    Ok(references(&tree).iter().filter_map(Reference::view).collect())
}

fn one_query(parsed: Parsed, sql: &str) -> Result<Value, InputsError> {
    match parsed {
        Parsed::Queries(mut trees) if trees.len() == 1 => Ok(trees.remove(0)),
        Parsed::Wrong { message, offset } => {
            Err(InputsError::Syntax { message, place: Excerpt::of(sql, offset) })
        }
        Parsed::Queries(_) | Parsed::Other => Err(InputsError::NotOneQuery),
    }
}

/// A file name that stands in the query, and where.
struct Mention {
    name: String,
    offset: usize,
}

/// Replaces each declared file name by the path of the file whose digest is in the key.
///
/// DuckDB would look for a relative name in the working folder; a file of the same name there
/// must not stand in for the declared one.
fn bind(sql: &str, tree: &Value, files: &BTreeMap<String, PathBuf>) -> Result<String, InputsError> {
    let mut mentions = Vec::new();
    visit(tree, &mut |node| mentions.extend(mentions_in(node)));
    mentions.sort_by_key(|mention| std::cmp::Reverse(mention.offset));
    mentions.dedup_by_key(|mention| mention.offset);
    let mut bound = sql.to_owned();
    for Mention { name, offset } in mentions {
        let Some(path) = files.get(&name) else {
            let declared: Vec<&str> = files.keys().map(String::as_str).collect();
            let declared =
                if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
            return Err(InputsError::Undeclared { file: name, declared });
        };
        let path = quote(&path.to_string_lossy());
        let written = ['\'', '"']
            .map(|mark| format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}"))));
        let rest = bound.get(offset..).unwrap_or_default();
        match written.iter().find(|written| rest.starts_with(written.as_str())) {
            Some(written) => bound.replace_range(offset..offset + written.len(), &path),
            None => return Err(InputsError::Unbound { file: name }),
        }
    }
    Ok(bound)
}

/// The files that one node of the tree reads: `read_json('x')`, `read_csv(['x', 'y'])`, `FROM 'x'`.
fn mentions_in(node: &Value) -> Vec<Mention> {
    let kind = node.get("type").and_then(Value::as_str).unwrap_or_default();
    let offset = |node: &Value| node.get("query_location").and_then(Value::as_u64);
    match kind {
        "BASE_TABLE" => {
            let name = node.get("table_name").and_then(Value::as_str).unwrap_or_default();
            let is_file = name.contains(['.', '/']);
            let at = offset(node).and_then(|at| usize::try_from(at).ok()).filter(|_| is_file);
            at.map(|offset| Mention { name: name.to_owned(), offset }).into_iter().collect()
        }
        "TABLE_FUNCTION" => {
            let function = node.get("function");
            let name = function.and_then(|f| f.get("function_name")).and_then(Value::as_str);
            let reads = name.is_some_and(|name| {
                name.starts_with("read_") || name.starts_with("parquet_") || name == "sniff_csv"
            });
            let first = function.and_then(|f| f.get("children")).and_then(|c| c.get(0));
            let mut found = Vec::new();
            if let Some(first) = first.filter(|_| reads) {
                visit(first, &mut |constant| found.extend(constant_text(constant)));
            }
            found
        }
        _ => Vec::new(),
    }
}

fn constant_text(node: &Value) -> Option<Mention> {
    let is_constant = node.get("type").and_then(Value::as_str) == Some("VALUE_CONSTANT");
    let name = node.get("value").filter(|_| is_constant)?.get("value")?.as_str()?;
    let offset = usize::try_from(node.get("query_location")?.as_u64()?).ok()?;
    Some(Mention { name: name.to_owned(), offset })
}
