//! The columns of an experiment's query: which a stage needs, which it knows, which it does not.

use crate::query::Column;

/// A column that a stage knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: &'static str,
    /// What it is cast to, in DuckDB's spelling.
    pub(super) kind: &'static str,
    pub(super) needed: bool,
}

/// A query's columns are not those that a stage knows.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadColumns {
    #[error("the query gives no column `{column}`; it gives {found}")]
    Missing { column: &'static str, found: String },
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

/// Checks that a query gives every column that is needed, and none that is not known.
pub(super) fn check(
    columns: &[Column],
    known: &[Known],
    what: &'static str,
) -> Result<(), BadColumns> {
    let found: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let names: Vec<&str> = known.iter().map(|known| known.name).collect();
    let is = |found: &str, name: &str| found.eq_ignore_ascii_case(name);
    for Known { name, needed, .. } in known {
        match found.iter().filter(|found| is(found, name)).count() {
            0 if *needed => {
                return Err(BadColumns::Missing { column: name, found: found.join(", ") });
            }
            0 | 1 => {}
            _ => return Err(BadColumns::Twice { column: (*name).to_owned() }),
        }
    }
    let unknown = |found: &&str| !names.iter().any(|name| is(found, name));
    let Some(found) = found.into_iter().find(unknown) else { return Ok(()) };
    let near = names.iter().find(|known| strsim::damerau_levenshtein(known, found) <= 2);
    let near = near.map(|near| (*near).to_owned());
    Err(BadColumns::Unknown { found: found.to_owned(), what, known: listed(&names), near })
}

/// Selects columns as they are known: cast, and NULL where the query does not give them.
pub(super) fn select<'k>(columns: &[Column], known: impl IntoIterator<Item = &'k Known>) -> String {
    let select = known.into_iter().map(|Known { name, kind, .. }| {
        if columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)) {
            format!("\"{name}\"::{kind} AS \"{name}\"")
        } else {
            format!("NULL::{kind} AS \"{name}\"")
        }
    });
    select.collect::<Vec<_>>().join(", ")
}
