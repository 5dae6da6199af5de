//! `mrx trace`: follow a row up to its prompt and the model's weights, and down to what came of it.
//!
//! The way is read off the schemas: a primary key says where an id lives, a reference where it
//! leads. A new table needs no change here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::{Failure, Kind};
use super::place::StorePlace;
use super::ui::{Label, Ui};
use crate::query::{Session, keys, quote, references};
use crate::store::Store;

/// Follow a row up to its prompt and model, and down to what came of it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An id, or its first characters, as `j_3fa2`
    row: String,
}

/// What a trace says of a row besides its id and its text, in this order, where the row has it.
const FACTS: [&str; 9] =
    ["score", "winner", "status", "role", "kept", "reason", "strength", "sample", "finish_reason"];

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let session = Session::open(&store)?;
    let tracer = Tracer {
        session: &session,
        store: &store,
        ui,
        keys: keys()?,
        references: references()?,
        shown: RefCell::default(),
    };
    let row = tracer.find(&args.row)?;
    tracer.up(&row, "", "", "")?;
    tracer.weights()?;
    tracer.down(&row)
}

/// A row of any table.
struct TracedRow {
    table: String,
    id: String,
    experiments: BTreeSet<String>,
    fields: Map<String, Value>,
}

impl TracedRow {
    fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    fn facts(&self) -> String {
        let known = FACTS.iter().filter_map(|name| Some((name, self.fields.get(*name)?)));
        let said = known.filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        });
        said.collect::<Vec<_>>().join(", ")
    }

    /// The beginning of what the row says, on one line.
    fn excerpt(&self) -> Option<String> {
        const LONGEST: usize = 90;
        let long =
            ["text", "prompt", "target"].into_iter().find(|f| self.fields.contains_key(*f))?;
        let line = self.text(long).split_whitespace().collect::<Vec<_>>().join(" ");
        let line = line.replace(char::is_control, "\u{fffd}");
        let short: String = line.chars().take(LONGEST).collect();
        let cut = if short.len() < line.len() { "…" } else { "" };
        Some(format!("“{short}{cut}”"))
    }
}

#[derive(Deserialize)]
struct Json {
    json: String,
}

/// A file of the model that a run used.
#[derive(Deserialize)]
struct Weights {
    maker: Option<String>,
    run: Option<String>,
    file: String,
    object: String,
}

/// Rows of one node that refer to the row in hand.
#[derive(Deserialize)]
struct Below {
    node: String,
    rows: i64,
    first: Option<String>,
}

struct Tracer<'a> {
    session: &'a Session,
    store: &'a Store,
    ui: &'a Ui,
    /// Where ids live: table and key column.
    keys: Vec<[String; 2]>,
    /// `(table, column, referenced table, referenced column)`.
    references: Vec<[String; 4]>,
    /// The ids that were printed, and the run of each.
    shown: RefCell<BTreeMap<String, String>>,
}

impl Tracer<'_> {
    /// Reads the rows of a table that meet a condition, each id once.
    fn rows(&self, [table, key]: &[String; 2], condition: &str) -> Result<Vec<TracedRow>, Failure> {
        const MOST: usize = 20;
        let found: Vec<Json> = self.session.rows(&format!(
            "SELECT to_json(t)::VARCHAR AS json FROM {table} t WHERE {condition} LIMIT {MOST}"
        ))?;
        let mut rows: BTreeMap<String, TracedRow> = BTreeMap::new();
        for Json { json } in found {
            let fields: Map<String, Value> = serde_json::from_str(&json)?;
            let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
            let (id, experiment) = (text(key).to_owned(), text("experiment").to_owned());
            let new = || TracedRow {
                table: table.clone(),
                id: id.clone(),
                experiments: BTreeSet::new(),
                fields: fields.clone(),
            };
            rows.entry(id.clone()).or_insert_with(new).experiments.insert(experiment);
        }
        Ok(rows.into_values().collect())
    }

    /// Finds the one row whose id starts with what was typed.
    fn find(&self, typed: &str) -> Result<TracedRow, Failure> {
        let mut found = Vec::new();
        for home in &self.keys {
            // A key that refers elsewhere is another row's id.
            if !self.references.iter().any(|edge| edge[..2] == home[..]) {
                found.extend(
                    self.rows(home, &format!("starts_with({}, {})", home[1], quote(typed)))?,
                );
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => {
                let text = format!("no row has an id that starts with `{typed}`");
                let hint = "ids look like r_3fa2…: `mrx sql \"SELECT response_id FROM responses LIMIT 5\"`";
                Err(Failure::new(Kind::Data, text).hint(hint))
            }
            _ => {
                let ids: Vec<&str> = found.iter().map(|row| &row.id[..12]).take(5).collect();
                let text = format!("several ids start with `{typed}`");
                Err(Failure::new(Kind::Data, text).hint(format!("as {}", ids.join(", "))))
            }
        }
    }

    /// Prints a row and, under it, the rows it was made from.
    fn up(&self, row: &TracedRow, first: &str, rest: &str, role: &str) -> Result<(), Failure> {
        let experiments: Vec<&str> = row.experiments.iter().map(String::as_str).collect();
        let place = format!("{} of {}", row.text("node"), experiments.join(", "));
        let run = row.text("run").to_owned();
        let again = self.shown.borrow_mut().insert(row.id.clone(), run).is_some();
        let facts = if again { "(as above)".to_owned() } else { row.facts() };
        self.ui.print(format!("{first}{role}{}  {place}  {facts}", row.id).trim_end())?;
        if again {
            return Ok(());
        }
        if let Some(excerpt) = row.excerpt() {
            self.ui.print(&format!("{rest}   {excerpt}"))?;
        }
        let above = self.above(row)?;
        for (at, (role, row)) in above.iter().enumerate() {
            let (branch, trunk) =
                if at + 1 < above.len() { ("├─ ", "│  ") } else { ("└─ ", "   ") };
            self.up(row, &format!("{rest}{branch}"), &format!("{rest}{trunk}"), role)?;
        }
        Ok(())
    }

    /// The rows that a row refers to, less those that they lead to themselves.
    fn above(&self, row: &TracedRow) -> Result<Vec<(String, TracedRow)>, Failure> {
        let edges = self.references.iter().filter(|edge| edge[0] == row.table);
        let edges: Vec<_> = edges.filter(|edge| !row.text(&edge[1]).is_empty()).collect();
        let leads =
            |from: &str, to: &str| self.references.iter().any(|e| e[0] == from && e[2] == to);
        let mut above = Vec::new();
        for [_, column, table, key] in &edges {
            if edges.iter().any(|other| leads(&other[2], table)) {
                continue;
            }
            let role = column.strip_suffix("_id").unwrap_or(column);
            let role = if table.starts_with(role) { String::new() } else { format!("{role} ") };
            let home = [table.clone(), key.clone()];
            let found = self.rows(&home, &format!("{key} = {}", quote(row.text(column))))?;
            above.extend(found.into_iter().map(|row| (role.clone(), row)));
        }
        Ok(above)
    }

    /// Prints the models that made the rows shown: a folder's files, or those that a node trained.
    fn weights(&self) -> Result<(), Failure> {
        let runs: BTreeSet<String> = self.shown.borrow().values().map(|run| quote(run)).collect();
        let runs = runs.into_iter().collect::<Vec<_>>().join(", ");
        let files: Vec<Weights> = self.session.rows(&format!(
            "WITH model AS (SELECT key->'inputs'->'model' AS files FROM runs WHERE run IN ({runs})) \
             SELECT DISTINCT NULL::VARCHAR AS maker, NULL::VARCHAR AS run, f.key AS file, f.value->>'$' AS object \
             FROM (SELECT files FROM model WHERE json_type(files) = 'OBJECT') m, json_each(m.files) f \
             UNION ALL BY NAME SELECT DISTINCT node AS maker, run, file, object FROM checkpoints WHERE run IN \
             (SELECT from_run FROM lineage WHERE run IN ({runs}) AND input = 'model') ORDER BY ALL"
        ))?;
        let mut named = None;
        for Weights { maker, run, file, object } in &files {
            if named != Some(maker) {
                let maker = maker.as_deref().unwrap_or("a folder");
                let imported = self.imported(run.as_deref())?;
                self.ui.print(&format!("\nmodel from {maker}{imported}"))?;
            }
            named = Some(maker);
            self.ui.print(&format!("   {file:<28} {}", object.get(..12).unwrap_or(object)))?;
        }
        Ok(())
    }

    /// Where a model was taken from that was trained elsewhere.
    fn imported(&self, run: Option<&str>) -> Result<String, Failure> {
        let Some(run) = run else { return Ok(String::new()) };
        let manifest = self.store.manifest(run.parse()?)?;
        let from = manifest.and_then(|made| made.made_by).and_then(|by| by.imported);
        Ok(from.map(|from| format!(", imported from {from}")).unwrap_or_default())
    }

    /// Prints what was made from the row, one line per table and node.
    fn down(&self, row: &TracedRow) -> Result<(), Failure> {
        let mut said = false;
        for [child, column, ..] in self.references.iter().filter(|edge| edge[2] == row.table) {
            let key =
                self.keys.iter().find(|[table, _]| table == child).map_or(column, |[_, key]| key);
            let below: Vec<Below> = self.session.rows(&format!(
                "SELECT node, count(DISTINCT {key}) AS rows, min({key}) AS first FROM {child} \
                 WHERE {column} = {} GROUP BY node ORDER BY node",
                quote(&row.id)
            ))?;
            for Below { node, rows, first } in below {
                if !said {
                    self.ui.print("\nwhat came of it")?;
                    said = true;
                }
                let (role, first) = (column.trim_end_matches("_id"), first.unwrap_or_default());
                self.ui
                    .print(&format!("   {rows:>6} {child:<16} {node:<14} as {role:<18} {first}"))?;
            }
        }
        if !said {
            self.ui.say(&self.ui.paint(Label::Dim, "\nnothing has come of it yet"));
        }
        Ok(())
    }
}
