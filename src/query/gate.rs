//! The gate: only queries pass.
//!
//! `allowed_paths` alone is no sandbox: `COPY … TO` could overwrite an object. So a statement runs
//! only if DuckDB's own parser calls it a query: `json_serialize_sql` accepts it (SELECT, FROM,
//! VALUES, WITH, DESCRIBE, SHOW, SUMMARIZE), or it is one PIVOT, or an EXPLAIN of one of these.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use duckdb::Connection;
use regex::Regex;
use serde_json::Value;

use super::engine::tidy;
use super::syntax::{Excerpt, Parsed, Reference, parse, references, skip_blank, visit};

/// Why a statement does not run.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no statement.
    #[error("there is no statement to run")]
    Nothing,
    /// There is more than one.
    #[error("expected one statement, found {0}")]
    Several(usize),
    /// It is not a query.
    #[error("`{0}` is not a query, and only queries run here")]
    NotAQuery(String),
    /// It does not parse.
    #[error("{message}, at line {}, column {}", place.line, place.column)]
    Syntax {
        /// DuckDB's words.
        message: String,
        /// Where.
        place: Excerpt,
    },
    /// DuckDB could not tell what it is.
    #[error("{}", tidy(.0))]
    Unread(#[from] duckdb::Error),
}

/// Lets a single query through, and nothing else; returns the views that it may name, in lower case.
pub(super) fn admit(connection: &Connection, sql: &str) -> Result<BTreeSet<String>, Refused> {
    let query = without_explain(sql);
    match parse(connection, query)? {
        Parsed::Queries(trees) => match trees.as_slice() {
            [] => Err(Refused::Nothing),
            [tree] => {
                refuse_acts(&called(tree))?;
                Ok(references(tree).iter().filter_map(Reference::view).collect())
            }
            several => Err(Refused::Several(several.len())),
        },
        // Without a tree, any word may be a call, or a name.
        Parsed::Other if is_one_pivot(connection, query)? => {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let words = query.split(|c| !is_name(c)).map(str::to_lowercase).collect();
            refuse_acts(&words)?;
            Ok(words)
        }
        Parsed::Other => {
            let word = skip_blank(query).split_whitespace().next().unwrap_or_default();
            Err(Refused::NotAQuery(word.to_uppercase()))
        }
        Parsed::Wrong { message, offset } => {
            let offset = offset + (sql.len() - query.len());
            Err(Refused::Syntax { message, place: Excerpt::of(sql, offset) })
        }
    }
}

/// Functions that do something, though a query may call them; and those that run text as SQL, whose
/// calls the tree does not show.
const ACTS: [&str; 11] = [
    "checkpoint",
    "disable_logging",
    "disable_profiling",
    "enable_logging",
    "enable_profiling",
    "force_checkpoint",
    "json_execute_serialized_sql",
    "query",
    "query_table",
    "truncate_duckdb_logs",
    "write_log",
];

fn refuse_acts(names: &BTreeSet<String>) -> Result<(), Refused> {
    match names.iter().find(|name| ACTS.contains(&name.as_str())) {
        Some(name) => Err(Refused::NotAQuery(name.clone())),
        None => Ok(()),
    }
}

/// Every function that a tree calls, in lower case.
fn called(tree: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    visit(tree, &mut |node| {
        let name = node.get("function_name").and_then(Value::as_str);
        names.extend(name.map(str::to_lowercase));
    });
    names
}

/// A PIVOT whose columns come from the data has no syntax tree. It is told apart from every other
/// statement by parsing inside parentheses too. The text parses by itself, so its quotes, comments
/// and parentheses are closed; a second statement would then put a `;` inside the parentheses.
fn is_one_pivot(connection: &Connection, sql: &str) -> duckdb::Result<bool> {
    let statement = sql.trim_end().trim_end_matches(';');
    let wrapped = format!("SELECT * FROM (\n{statement}\n)");
    Ok(matches!(parse(connection, &wrapped)?, Parsed::Other))
}

/// What may stand before an explained query. DuckDB gives an EXPLAIN no tree, reads none in parentheses, and does
/// not say where the explained query begins, so the prefix is known by its words. No comments: what is judged and what runs must be cut
/// at the same place, and only DuckDB knows how it nests comments.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static EXPLAIN: LazyLock<Regex> = LazyLock::new(|| {
    let option = r"(?:analyze|format\s+\w+)";
    let options = format!(r"\s*\(\s*{option}(?:\s*,\s*{option})*\s*\)");
    Regex::new(&format!(r"(?i)^\s*explain\b(?:\s+analyze\b|{options})?")).unwrap()
});

/// Strips `EXPLAIN`, `EXPLAIN ANALYZE` and `EXPLAIN (…)`; all that follows is judged as a query.
fn without_explain(sql: &str) -> &str {
    EXPLAIN.find(sql).map_or(sql, |explain| &sql[explain.end()..])
}
