//! What DuckDB's own parser says of a statement, and places in its text.

use std::fmt;

use duckdb::Connection;
use serde_json::Value;

/// A place in a SQL text, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
}

impl Place {
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

impl fmt::Display for Place {
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
        let place = Place::of("select 1,\n'ü' form x", 15);
        assert_eq!((place.line, place.column), (2, 5));
        assert_eq!(place.to_string(), "  |\n2 | 'ü' form x\n  |     ^");
        assert_eq!(Place::of("", 9).column, 1);
    }

    #[test]
    fn the_first_word_is_found_past_comments() {
        assert_eq!(skip_blank("-- x\n /* y */ Drop z"), "Drop z");
        assert_eq!(skip_blank("/* open"), "");
    }
}
