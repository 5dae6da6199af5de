//! The tables: `schemas/*.sql`, the single source of what columns there are and what they mean.

use arrow::datatypes::{DataType, Schema};
use duckdb::Connection;

use super::sink::Error;

/// Every table and its DDL, in an order in which references point backwards.
pub const TABLES: [(&str, &str); 15] = [
    ("prompts", include_str!("../../schemas/prompts.sql")),
    ("examples", include_str!("../../schemas/examples.sql")),
    ("responses", include_str!("../../schemas/responses.sql")),
    ("judgements", include_str!("../../schemas/judgements.sql")),
    ("meta_judgements", include_str!("../../schemas/meta_judgements.sql")),
    ("readings", include_str!("../../schemas/readings.sql")),
    ("ratings", include_str!("../../schemas/ratings.sql")),
    ("pairs", include_str!("../../schemas/pairs.sql")),
    ("reference_logps", include_str!("../../schemas/reference_logps.sql")),
    ("lessons", include_str!("../../schemas/lessons.sql")),
    ("checkpoints", include_str!("../../schemas/checkpoints.sql")),
    ("metrics", include_str!("../../schemas/metrics.sql")),
    ("choices", include_str!("../../schemas/choices.sql")),
    ("verdicts", include_str!("../../schemas/verdicts.sql")),
    ("estimates", include_str!("../../schemas/estimates.sql")),
];

/// Returns the DDL of a table.
#[must_use]
pub fn ddl_of(table: &str) -> Option<&'static str> {
    TABLES.iter().find(|(name, _)| *name == table).map(|(_, ddl)| *ddl)
}

/// Leaves out the comments, which stand last: running them takes longer than everything else.
fn without_comments(ddl: &str) -> &str {
    ddl.split_once("COMMENT ON").map_or(ddl, |(table, _)| table)
}

/// The script that declares every table in a schema of its own, empty, and the views' short-hands.
pub(super) fn declaring() -> String {
    let tables = TABLES.iter().map(|(_, ddl)| without_comments(ddl));
    let tables = tables.collect::<Vec<_>>().join("");
    format!("CREATE SCHEMA IF NOT EXISTS declared;\nUSE declared;\n{tables}USE main;\n{MACROS}")
}

/// Short-hands that save typing. Each is documented where `mrx sql --help` prints it.
pub(super) const MACROS: &str = "\
CREATE MACRO preference(first, second) AS 1.0 / (1.0 + exp(second - first));
CREATE MACRO share(condition) AS avg(CASE WHEN condition THEN 1.0 ELSE 0.0 END);
CREATE MACRO excerpt(text, length := 60) AS CASE WHEN len(text) > length
    THEN left(regexp_replace(text, '\\s+', ' ', 'g'), length - 1) || '…'
    ELSE regexp_replace(text, '\\s+', ' ', 'g') END;
";

/// A column that a table declares, to hold stored tables against.
#[derive(Debug, Clone)]
pub(super) struct ColumnShape {
    pub(super) name: String,
    /// Its type, in DuckDB's spelling.
    pub(super) kind: String,
    arrow: DataType,
}

/// Reads the columns of a table that was declared in this database.
pub(super) fn shape_of(connection: &Connection, table: &str) -> Result<Vec<ColumnShape>, Error> {
    let mut select = connection.prepare(&format!("FROM declared.{table} LIMIT 0"))?;
    let schema = select.stream_arrow([])?.get_schema();
    let mut describe = connection.prepare(&format!("DESCRIBE declared.{table}"))?;
    let kinds = describe.query_map([], |row| row.get(1))?.collect::<Result<Vec<String>, _>>()?;
    let fields = schema.fields().iter().zip(kinds);
    let shape = fields.map(|(field, kind)| {
        let (name, arrow) = (field.name().clone(), field.data_type().clone());
        ColumnShape { name, kind, arrow }
    });
    Ok(shape.collect())
}

/// Tells which declared columns a stored table has: an older one may lack some.
///
/// # Errors
/// Says which column has another type than the declared one.
pub(super) fn held_against(declared: &[ColumnShape], stored: &Schema) -> Result<Vec<bool>, String> {
    let held = declared.iter().map(|ColumnShape { name, kind, arrow }| {
        match stored.field_with_name(name) {
            Err(_) => Ok(false),
            Ok(field) if same_kind(field.data_type(), arrow) => Ok(true),
            Ok(field) => {
                Err(format!("its column `{name}` is {}; expected {kind}", field.data_type()))
            }
        }
    });
    held.collect()
}

/// Whether values of both types are the same to SQL: what the items of a list are called, and whether they
/// may be NULL, does not matter.
fn same_kind(one: &DataType, other: &DataType) -> bool {
    match (one, other) {
        (DataType::List(one), DataType::List(other)) => {
            same_kind(one.data_type(), other.data_type())
        }
        (DataType::Struct(one), DataType::Struct(other)) => {
            let mut fields = one.iter().zip(other);
            one.len() == other.len()
                && fields.all(|(one, other)| {
                    one.name() == other.name() && same_kind(one.data_type(), other.data_type())
                })
        }
        (one, other) => one == other,
    }
}

/// What a table's DDL says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDoc {
    /// As `judgements`.
    pub name: String,
    /// One row per what.
    pub comment: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnDoc>,
}

/// What a table's DDL says of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDoc {
    /// Its name.
    pub name: String,
    /// Its type, in DuckDB's spelling.
    pub kind: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Meaning, unit, range.
    pub comment: String,
}

/// Runs every DDL in an empty database, so that DuckDB itself says what they mean.
fn declared() -> Result<Connection, Error> {
    let connection = Connection::open_in_memory()?;
    for (_, ddl) in TABLES {
        connection.execute_batch(ddl)?;
    }
    Ok(connection)
}

/// Reads what the DDL files say of every table.
///
/// # Errors
/// Where DuckDB does not accept a DDL file, which a test rules out.
pub fn documents() -> Result<Vec<TableDoc>, Error> {
    let connection = declared()?;
    let mut columns = connection.prepare(
        "SELECT column_name, data_type, is_nullable, coalesce(comment, '') FROM duckdb_columns()
         WHERE table_name = ? ORDER BY column_index",
    )?;
    let mut documents = Vec::with_capacity(TABLES.len());
    for (name, _) in TABLES {
        let comment = connection.query_row(
            "SELECT coalesce(comment, '') FROM duckdb_tables() WHERE table_name = ?",
            [name],
            |row| row.get(0),
        )?;
        let columns = columns
            .query_map([name], |row| {
                Ok(ColumnDoc {
                    name: row.get(0)?,
                    kind: row.get(1)?,
                    nullable: row.get(2)?,
                    comment: row.get(3)?,
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        documents.push(TableDoc { name: name.to_owned(), comment, columns });
    }
    Ok(documents)
}

/// Lists the references between tables: `(table, column, referenced table, referenced column)`.
///
/// # Errors
/// As [`documents`].
pub fn references() -> Result<Vec<[String; 4]>, Error> {
    let connection = declared()?;
    let mut statement = connection.prepare(
        "SELECT table_name, constraint_column_names[1], referenced_table, referenced_column_names[1]
         FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY' ORDER BY ALL",
    )?;
    let edges = statement
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(edges)
}

/// Lists the primary keys: `(table, column)`.
///
/// # Errors
/// As [`documents`].
pub fn keys() -> Result<Vec<[String; 2]>, Error> {
    let connection = declared()?;
    let mut statement = connection.prepare(
        "SELECT table_name, constraint_column_names[1] FROM duckdb_constraints()
         WHERE constraint_type = 'PRIMARY KEY' ORDER BY ALL",
    )?;
    let keys = statement
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?]))?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(keys)
}
