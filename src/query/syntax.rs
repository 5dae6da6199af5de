//! What DuckDB's own parser says of a statement, and places in its text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use duckdb::Connection;
use serde_json::Value;

use super::engine::{self, MemoryLimit};

/// A place in a SQL text, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
}

impl Excerpt {
    /// Finds the place of a byte offset, the end of the text at most.
    #[must_use]
    pub fn of(sql: &str, offset: usize) -> Self {
        let offset = (0..=offset.min(sql.len())).rev().find(|at| sql.is_char_boundary(*at));
        let before = &sql[..offset.unwrap_or(0)];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[start..].chars().count() + 1;
        let text = sql[start..].lines().next().unwrap_or_default().to_owned();
        Self { line, column, text }
    }
}

impl fmt::Display for Excerpt {
    /// Draws the line with a caret under the column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let blank = " ".repeat(number.len());
        let caret = " ".repeat(self.column - 1);
        write!(f, "{blank} |\n{number} | {}\n{blank} | {caret}^", self.text)
    }
}

/// What the parser made of a text.
pub(super) enum Parsed {
    /// Only queries: their syntax trees.
    Queries(Vec<Value>),
    /// It parses, and is not a query (or is a PIVOT, which has no tree).
    Other,
    /// It does not parse.
    Wrong { message: String, offset: usize },
}

/// Parses `sql` with DuckDB's parser, running nothing of it.
pub(super) fn parse(connection: &Connection, sql: &str) -> duckdb::Result<Parsed> {
    let answer: String =
        connection
            .query_row("SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", [sql], |row| row.get(0))?;
    let mut answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    if answer.get("error") == Some(&Value::Bool(false)) {
        return Ok(match answer.get_mut("statements").map(Value::take) {
            Some(Value::Array(statements)) => Parsed::Queries(statements),
            _ => Parsed::Other,
        });
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    if text("error_type") == Some("not implemented") {
        return Ok(Parsed::Other);
    }
    let message = text("error_message").unwrap_or("the statement does not parse").to_owned();
    let offset = text("position").and_then(|at| at.parse().ok()).unwrap_or(0);
    Ok(Parsed::Wrong { message, offset })
}

/// The database that parses texts for which no other is open: made once in a process, and never asked to run
/// anything.
static PARSER: Mutex<Option<Connection>> = Mutex::new(None);

fn with_parser<T>(ask: impl FnOnce(&Connection) -> duckdb::Result<T>) -> duckdb::Result<T> {
    let mut parser = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
    match &*parser {
        Some(connection) => ask(connection),
        None => ask(parser.insert(engine::open(&MemoryLimit::default())?.0)),
    }
}

/// Parses `sql` in the shared parser.
pub(super) fn parse_alone(sql: &str) -> duckdb::Result<Parsed> {
    with_parser(|connection| parse(connection, sql))
}

/// Returns a query without what ends it, so that it can stand inside another; a text that does not parse is
/// returned as it is.
#[must_use]
pub fn without_end(sql: &str) -> Cow<'_, str> {
    if !sql.contains(';') {
        return Cow::Borrowed(sql);
    }
    with_parser(|connection| statement(connection, sql)).map_or(Cow::Borrowed(sql), Cow::Owned)
}

/// A table, view or file that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    /// What stands before its name, in lower case; empty where nothing does.
    pub(super) schema: String,
    /// Its name, as it is written.
    pub(super) name: String,
}

impl Reference {
    /// Its name in lower case, where it may be one of the views: these stand in the schema `main`.
    pub(super) fn view(&self) -> Option<String> {
        ["", "main"].contains(&&*self.schema).then(|| self.name.to_lowercase())
    }
}

/// Lists what a tree reads, less the names that its own WITH clauses define where these are in force.
pub(super) fn references(tree: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    collect(tree, &mut Vec::new(), &mut found);
    found
}

fn collect(tree: &Value, defined: &mut Vec<String>, found: &mut BTreeSet<Reference>) {
    let fields = match tree {
        Value::Object(fields) => fields,
        Value::Array(items) => return items.iter().for_each(|item| collect(item, defined, found)),
        _ => return,
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("type") == "BASE_TABLE" {
        let (schema, name) = (text("schema_name").to_lowercase(), text("table_name").to_owned());
        if !(schema.is_empty() && defined.contains(&name.to_lowercase())) {
            found.insert(Reference { schema, name });
        }
    }
    let outside = defined.len();
    if text("type") == "RECURSIVE_CTE_NODE" {
        defined.push(text("cte_name").to_lowercase());
    }
    // A name is in force after its definition: inside it, the same name is another's.
    let with = fields.get("cte_map").and_then(|map| map.get("map")).and_then(Value::as_array);
    for entry in with.into_iter().flatten() {
        collect(&entry["value"], defined, found);
        defined.extend(entry["key"].as_str().map(str::to_lowercase));
    }
    for (_, field) in fields.iter().filter(|(name, _)| *name != "cte_map") {
        collect(field, defined, found);
    }
    defined.truncate(outside);
}

/// Calls `see` for every node of a tree.
pub(super) fn visit(tree: &Value, see: &mut impl FnMut(&Value)) {
    match tree {
        Value::Object(fields) => {
            see(tree);
            fields.values().for_each(|field| visit(field, see));
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        _ => {}
    }
}

/// Returns the one statement of a text that parses as a query, without what ends it: the end is cut
/// off where it is plain, and else, past comments, found by DuckDB writing the statement anew.
pub(super) fn statement(connection: &Connection, sql: &str) -> duckdb::Result<String> {
    let plain = sql.trim_end().trim_end_matches(';');
    if !plain.contains(';') {
        return Ok(plain.to_owned());
    }
    let anew = "SELECT json_deserialize_sql(json_serialize_sql(?::VARCHAR))";
    connection.query_row(anew, [sql], |row| row.get(0))
}

/// Returns `sql` from its first word on, past white space and comments; for messages only.
pub(super) fn skip_blank(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        rest = if rest.starts_with("--") {
            rest.split_once('\n').map_or("", |(_, after)| after).trim_start()
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after).trim_start()
        } else {
            return rest;
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_lines_from_one() {
        let place = Excerpt::of("select 1,\n'ü' form x", 15);
        assert_eq!((place.line, place.column), (2, 5));
        assert_eq!(place.to_string(), "  |\n2 | 'ü' form x\n  |     ^");
        assert_eq!(Excerpt::of("", 9).column, 1);
    }

    fn named(sql: &str) -> Vec<String> {
        let Parsed::Queries(trees) = parse_alone(sql).unwrap() else { panic!("{sql} is no query") };
        references(&Value::Array(trees)).iter().filter_map(Reference::view).collect()
    }

    #[test]
    fn tables_are_told_from_columns_texts_and_names_that_a_query_defines() {
        for (sql, tables) in [
            ("SELECT pairs, p.pairs, 'pairs' AS \"pairs\" FROM ratings p", &["ratings"][..]),
            (
                "WITH pairs AS (FROM ratings) SELECT * FROM pairs JOIN Pairs q USING (x)",
                &["ratings"],
            ),
            ("WITH pairs AS (FROM pairs) FROM pairs", &["pairs"]),
            ("WITH a AS (FROM pairs), pairs AS (SELECT 1) FROM a", &["pairs"]),
            (
                "WITH RECURSIVE pairs AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM pairs) FROM pairs",
                &[],
            ),
            (
                "SELECT (WITH pairs AS (SELECT 1 AS x) SELECT x FROM pairs) FROM \"Pairs\"",
                &["pairs"],
            ),
            ("FROM main.pairs, other.ratings", &["pairs"]),
            ("SELECT 1 WHERE EXISTS (FROM verdicts) -- FROM pairs", &["verdicts"]),
            ("SUMMARIZE pairs", &["pairs"]),
            ("PIVOT pairs ON role IN ('actor') USING count(*)", &["pairs"]),
            ("FROM read_json('pairs')", &[]),
        ] {
            assert_eq!(named(sql), tables, "{sql}");
        }
    }

    #[test]
    fn the_end_of_a_query_is_cut_off_and_nothing_else() {
        assert_eq!(without_end("SELECT 1\n"), "SELECT 1\n");
        assert_eq!(without_end("SELECT ';' -- ;\n ; \n"), "SELECT ';'");
        assert_eq!(without_end("SELECT ';'; -- the end"), "SELECT ';'");
        assert_eq!(without_end("SELECT ; FORM"), "SELECT ; FORM");
    }

    #[test]
    fn the_first_word_is_found_past_comments() {
        assert_eq!(skip_blank("-- x\n /* y */ Drop z"), "Drop z");
        assert_eq!(skip_blank("/* open"), "");
    }
}
