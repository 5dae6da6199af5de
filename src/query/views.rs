//! The views of a store: what the catalogue finds, as SQL.
//!
//! They are a script, so that `mrx sql` and a foreign DuckDB (`mrx sql --attach`) see exactly the same.

use std::collections::{BTreeSet, HashMap, HashSet};

use duckdb::Connection;
use rayon::prelude::*;

use super::about_store::Files;
use super::catalogue::{Catalogue, Found, LostNode, Part};
use super::schema::{ColumnShape, TABLES, declaring, held_against, shape_of};
use super::sink::Error;
use super::table_view::{Source, TableView, empty as empty_table, reads};
use crate::store::{Digest, Store};

/// A script, and the nodes whose rows its views should have had, too.
type Made = (String, BTreeSet<LostNode>);

/// Returns the script of views that have their columns and no rows.
pub(super) fn empty() -> String {
    let tables = TABLES.iter().map(|(table, _)| create(table, &empty_table(table)));
    tables.collect::<String>() + &Files::default().script()
}

/// Returns the script that defines every view in a database with nothing in it.
pub(super) fn script(catalogue: &Catalogue, connection: &Connection) -> Result<String, Error> {
    let mut script = declaring();
    for (table, _) in TABLES {
        script.push_str(&of_table(catalogue, connection, table)?.0);
    }
    Ok(script + &about_store(catalogue)?.0)
}

/// Returns the script of the views about the store.
pub(super) fn about_store(catalogue: &Catalogue) -> Result<Made, Error> {
    let (manifests, lost) = catalogue.runs()?;
    let plans = catalogue.plans()?;
    let files = if catalogue.is_whole() {
        Files::all(&catalogue.store, !manifests.is_empty(), !plans.is_empty())
    } else {
        let folder = catalogue.store.plans_folder();
        let plans = plans.iter().map(|plan| folder.join(format!("{}.json", plan.experiment)));
        Files::of(&manifests, &plans.collect::<Vec<_>>())
    };
    Ok((files.script(), lost))
}

/// Returns the script of one table's view.
pub(super) fn of_table(
    catalogue: &Catalogue,
    connection: &Connection,
    table: &str,
) -> Result<Made, Error> {
    let store = &catalogue.store;
    let Found { parts, mut lost } = catalogue.find(table)?;
    let columns = shape_of(connection, table)?;
    let has = check(store, table, &columns, &parts)?;
    let mut readings = HashMap::new();
    if reads(table).is_some() {
        let found = catalogue.find("readings")?;
        lost.extend(found.lost);
        let wanted: HashSet<Digest> = parts.iter().map(|part| part.stored.object).collect();
        let is_wanted = |part: &Part| part.of.is_some_and(|object| wanted.contains(&object));
        let found: Vec<Part> = found.parts.into_iter().filter(is_wanted).collect();
        check(store, "readings", &shape_of(connection, "readings")?, &found)?;
        // Of several readings of one table, the first in the plan counts.
        for Part { experiment, of, stored, .. } in found {
            readings.entry((experiment, of)).or_insert(stored.object);
        }
    }
    let sources = parts.into_iter().zip(has).map(|(part, has)| {
        let key = (part.experiment.clone(), Some(part.stored.object));
        Source { readings: readings.get(&key).copied(), part, has }
    });
    let view = TableView { store, table, columns: &columns };
    Ok((create(table, &view.select(sources.collect())), lost))
}

fn create(view: &str, select: &str) -> String {
    format!("CREATE OR REPLACE VIEW {view} AS\n{select};\n")
}

/// Holds stored tables against the columns that are declared; returns which of these each has.
fn check(
    store: &Store,
    table: &str,
    columns: &[ColumnShape],
    parts: &[Part],
) -> Result<Vec<Vec<bool>>, Error> {
    let held = parts.par_iter().map(|part| {
        let digest = part.stored.object;
        let schema = store.columns_of(digest)?;
        held_against(columns, &schema).map_err(|reason| Error::Shape {
            table: format!("`{table}` of {} in `{}`", part.node, part.experiment),
            object: digest,
            reason,
        })
    });
    held.collect()
}
