//! The tables: `schemas/*.sql`, the single source of what columns there are and what they mean.

use duckdb::Connection;

use super::Error;

/// Every table and its DDL, in an order in which references point backwards.
pub const TABLES: [(&str, &str); 13] = [
    ("prompts", include_str!("../../schemas/prompts.sql")),
    ("examples", include_str!("../../schemas/examples.sql")),
    ("responses", include_str!("../../schemas/responses.sql")),
    ("judgements", include_str!("../../schemas/judgements.sql")),
    ("meta_judgements", include_str!("../../schemas/meta_judgements.sql")),
    ("readings", include_str!("../../schemas/readings.sql")),
    ("ratings", include_str!("../../schemas/ratings.sql")),
    ("pairs", include_str!("../../schemas/pairs.sql")),
    ("reference_logps", include_str!("../../schemas/reference_logps.sql")),
    ("checkpoints", include_str!("../../schemas/checkpoints.sql")),
    ("metrics", include_str!("../../schemas/metrics.sql")),
    ("verdicts", include_str!("../../schemas/verdicts.sql")),
    ("estimates", include_str!("../../schemas/estimates.sql")),
];

/// Returns the DDL of a table.
#[must_use]
pub fn ddl_of(table: &str) -> Option<&'static str> {
    TABLES.iter().find(|(name, _)| *name == table).map(|(_, ddl)| *ddl)
}

/// Leaves out the comments, which stand last: running them takes longer than everything else.
pub(super) fn without_comments(ddl: &str) -> &str {
    ddl.split_once("COMMENT ON").map_or(ddl, |(table, _)| table)
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
