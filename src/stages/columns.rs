//! The columns of an experiment's query: which a stage needs, which it knows, which it does not. Names
//! are those of SQL: their case does not matter.

use crate::query::Column;

/// A query's columns are not those that a stage knows.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadColumns {
    #[error("the query gives no column `{column}`; it gives {found}")]
    Missing { column: String, found: String },
    #[error("the query gives two columns `{column}`")]
    Twice { column: String },
    #[error("the query gives a column `{found}`; {what} have {known}{}", did_you_mean(.near.as_ref()))]
    Unknown { found: String, what: &'static str, known: String, near: Option<String> },
}

fn did_you_mean(near: Option<&String>) -> String {
    near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"))
}

/// Names several things in a sentence: `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Finds a column.
pub(super) fn find<'c>(columns: &'c [Column], name: &str) -> Option<&'c Column> {
    columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

/// Checks that a query gives every column that is needed, none twice, and none that is not known.
pub(super) fn check(
    columns: &[Column],
    needed: &[&str],
    optional: &[&str],
    what: &'static str,
) -> Result<(), BadColumns> {
    if let Some(column) = needed.iter().find(|name| find(columns, name).is_none()) {
        let found: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let (column, found) = ((*column).to_owned(), found.join(", "));
        return Err(BadColumns::Missing { column, found });
    }
    let known = [needed, optional].concat();
    for (at, Column { name: found, .. }) in columns.iter().enumerate() {
        let Some(name) = known.iter().find(|name| name.eq_ignore_ascii_case(found)) else {
            let near = known.iter().find(|name| strsim::damerau_levenshtein(name, found) <= 2);
            let near = near.map(|near| (*near).to_owned());
            return Err(BadColumns::Unknown {
                found: found.clone(),
                what,
                known: listed(&known),
                near,
            });
        };
        if find(&columns[..at], name).is_some() {
            return Err(BadColumns::Twice { column: (*name).to_owned() });
        }
    }
    Ok(())
}

/// Selects a column as a type in DuckDB's spelling, under a name; NULL where the query does not give it.
pub(super) fn select(columns: &[Column], column: &str, kind: &str, name: &str) -> String {
    match find(columns, column) {
        Some(_) => format!("\"{column}\"::{kind} AS \"{name}\""),
        None => format!("NULL::{kind} AS \"{name}\""),
    }
}
