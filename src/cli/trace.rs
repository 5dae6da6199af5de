//! `mrx trace`: follow a row up to its prompt and the model's weights, and down to what came of it.
//!
//! The way is read off the schemas: a primary key says where an id lives, a reference where it
//! leads. A new table needs no change here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Place;
use super::failure::{Failure, Kind};
use super::ui::{Label, Ui};
use crate::query::{Session, documents, references};

/// Follow a row up to its prompt and model, and down to what came of it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An id, or its first characters, as `j_3fa2`
    row: String,
}

/// A row, as far as the trace shows it.
#[derive(Deserialize)]
struct Found {
    id: String,
    node: String,
    experiments: String,
    run: String,
    text: Option<String>,
    facts: String,
    above: String,
}

/// A model's file, as a run's key names it.
#[derive(Deserialize)]
struct Weights {
    input: String,
    maker: Option<String>,
    object: Option<String>,
}

#[derive(Deserialize)]
struct Below {
    node: String,
    rows: i64,
    first: Option<String>,
}

pub(super) fn run(args: &Args, place: &Place, ui: &Ui) -> Result<(), Failure> {
    let session = Session::open(&place.open()?)?;
    let tracer = Tracer::new(&session, ui)?;
    let (table, row) = tracer.find(&args.row)?;
    tracer.up(&table, &row, 0, "")?;
    tracer.weights(&row)?;
    tracer.down(&table, &row)
}

struct Tracer<'a> {
    session: &'a Session,
    ui: &'a Ui,
    /// Where ids live: table, its key column and its other columns.
    homes: Vec<(String, String, Vec<String>)>,
    /// `(table, column, referenced table, referenced column)`.
    edges: Vec<[String; 4]>,
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl<'a> Tracer<'a> {
    fn new(session: &'a Session, ui: &'a Ui) -> Result<Self, Failure> {
        let edges = references()?;
        let mut homes = Vec::new();
        for table in documents()? {
            let key = table.columns.iter().find(|c| !c.nullable && c.name.ends_with("_id"));
            let referenced =
                edges.iter().find(|edge| edge[2] == table.name).map(|edge| edge[3].clone());
            let key = referenced.or_else(|| key.map(|column| column.name.clone()));
            if let Some(key) = key {
                let columns = table.columns.into_iter().map(|column| column.name).collect();
                homes.push((table.name, key, columns));
            }
        }
        Ok(Self { session, ui, homes, edges })
    }

    /// Finds the one row whose id starts with what was typed.
    fn find(&self, typed: &str) -> Result<(String, Found), Failure> {
        let mut found: BTreeMap<String, (String, Found)> = BTreeMap::new();
        for (table, key, _) in &self.homes {
            let references_other =
                self.edges.iter().any(|edge| edge[0] == *table && edge[1] == *key);
            if references_other {
                continue;
            }
            for row in self.rows(table, &format!("starts_with({key}, {})", quoted(typed)), 5)? {
                found.insert(row.id.clone(), (table.clone(), row));
            }
        }
        let ids: Vec<String> = found.keys().cloned().collect();
        match found.into_values().next() {
            Some(row) if ids.len() == 1 => Ok(row),
            None => {
                let failure = Failure::new(
                    Kind::Data,
                    format!("no row has an id that starts with `{typed}`"),
                );
                Err(failure.hint("ids look like r_3fa2…; `mrx sql \"SELECT response_id FROM responses LIMIT 5\"` shows some"))
            }
            Some(_) => {
                let text = format!("several ids start with `{typed}`");
                Err(Failure::new(Kind::Data, text).hint(format!("one of {}", ids.join(", "))))
            }
        }
    }

    /// Reads rows of a table, each once, whatever experiments share it.
    fn rows(&self, table: &str, condition: &str, most: usize) -> Result<Vec<Found>, Failure> {
        let home = self.homes.iter().find(|(name, ..)| name == table);
        let Some((_, key, columns)) = home else { return Ok(Vec::new()) };
        let has = |name: &str| columns.iter().any(|column| column == name);
        let text = ["text", "prompt", "target"].into_iter().find(|name| has(name));
        let text = text.map_or("NULL::VARCHAR".to_owned(), |name| format!("any_value({name})"));
        let facts: Vec<String> = ["score", "winner", "status", "role", "kept", "reason", "strength", "sample", "finish_reason"]
            .into_iter()
            .filter(|name| has(name) || (table.ends_with("judgements") && matches!((*name, table), ("status", _) | ("score", "judgements") | ("winner", "meta_judgements"))))
            .map(|name| format!("CASE WHEN any_value({name}) IS NULL THEN NULL ELSE '{name} ' || any_value({name})::VARCHAR END"))
            .collect();
        let facts = if facts.is_empty() {
            "''".to_owned()
        } else {
            format!("concat_ws(', ', {})", facts.join(", "))
        };
        let above: Vec<String> = self
            .edges
            .iter()
            .filter(|edge| edge[0] == table)
            .map(|edge| format!("'{0}=' || any_value({0})", edge[1]))
            .collect();
        let above = if above.is_empty() {
            "''".to_owned()
        } else {
            format!("concat_ws(' ', {})", above.join(", "))
        };
        Ok(self.session.rows(&format!(
            "SELECT {key} AS id, any_value(node) AS node, string_agg(DISTINCT experiment, ', ' ORDER BY experiment) AS experiments, \
             any_value(run) AS run, {text} AS text, {facts} AS facts, {above} AS above \
             FROM {table} WHERE {condition} GROUP BY {key} ORDER BY {key} LIMIT {most}"
        ))?)
    }

    fn line(&self, indent: &str, role: &str, row: &Found) -> Result<(), Failure> {
        let facts = if row.facts.is_empty() { String::new() } else { format!("  {}", row.facts) };
        let role = if role.is_empty() { String::new() } else { format!("{role} ") };
        let place = format!("{} of {}", row.node, row.experiments);
        self.ui.print(&format!("{indent}{role}{}  {place}{facts}", row.id))?;
        if let Some(text) = &row.text {
            let short: String =
                text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(90).collect();
            let blank = indent.replace("├─ ", "│  ").replace("└─ ", "   ");
            self.ui.print(&format!(
                "{blank}  “{short}{}”",
                if text.chars().count() > 90 { "…" } else { "" }
            ))?;
        }
        Ok(())
    }

    /// Prints a row and, under it, the rows it was made from.
    fn up(&self, table: &str, row: &Found, depth: usize, role: &str) -> Result<(), Failure> {
        let indent =
            if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
        self.line(&indent, role, row)?;
        for reference in row.above.split(' ').filter_map(|pair| pair.split_once('=')) {
            let (column, id) = reference;
            let edge = self.edges.iter().find(|edge| edge[0] == table && edge[1] == column);
            let Some([_, _, above, key]) = edge else { continue };
            // What a row above leads to as well is shown there, not twice.
            let indirect = self.edges.iter().any(|other| {
                other[0] != table
                    && other[2] == *above
                    && self.edges.iter().any(|e| {
                        e[0] == table
                            && e[2] == other[0]
                            && row.above.contains(&format!("{}=", e[1]))
                    })
            });
            if indirect {
                continue;
            }
            let role = column
                .strip_suffix("_id")
                .filter(|role| !above.starts_with(role))
                .unwrap_or_default();
            for found in self.rows(above, &format!("{key} = {}", quoted(id)), 1)? {
                self.up(above, &found, depth + 1, role)?;
            }
        }
        Ok(())
    }

    /// Prints the model that made the row: its files, or the node that trained it.
    fn weights(&self, row: &Found) -> Result<(), Failure> {
        let files: Vec<Weights> = self.session.rows(&format!(
            "SELECT f.key AS input, NULL::VARCHAR AS maker, f.value->>'$' AS object \
             FROM runs, json_each(key->'inputs'->'model') f \
             WHERE run = {run} AND json_type(key->'inputs'->'model') = 'OBJECT' \
             UNION ALL SELECT c.file, c.node, c.digest FROM checkpoints c WHERE c.run IN \
             (SELECT from_run FROM lineage WHERE run = {run} AND input = 'model') GROUP BY ALL ORDER BY ALL",
            run = quoted(&row.run)
        ))?;
        let Some(first) = files.first() else { return Ok(()) };
        let maker = first.maker.as_ref().map_or("a folder".to_owned(), Clone::clone);
        self.ui.print(&format!("model from {maker}"))?;
        for file in &files {
            let digest = file.object.as_deref().unwrap_or_default();
            self.ui.print(&format!(
                "   {:<28} {}",
                file.input,
                digest.get(..12).unwrap_or(digest)
            ))?;
        }
        Ok(())
    }

    /// Prints what was made from the row, one line per table and node.
    fn down(&self, table: &str, row: &Found) -> Result<(), Failure> {
        let mut said = false;
        for [child, column, parent, _] in self.edges.iter().filter(|edge| edge[2] == table) {
            let key =
                self.homes.iter().find(|(name, ..)| name == child).map(|(_, key, _)| key.clone());
            let first = key.unwrap_or_else(|| column.clone());
            let below: Vec<Below> = self.session.rows(&format!(
                "SELECT node, count(*) AS rows, min({first}) AS first FROM {child} WHERE {column} = {} GROUP BY node ORDER BY node",
                quoted(&row.id)
            ))?;
            for Below { node, rows, first } in below {
                if !said {
                    self.ui
                        .print(&format!("what came of this {}", parent.trim_end_matches('s')))?;
                    said = true;
                }
                let role = column.strip_suffix("_id").unwrap_or(column);
                let first = first.unwrap_or_default();
                self.ui
                    .print(&format!("   {rows:>6} {child:<16} {node:<14} as {role:<18} {first}"))?;
            }
        }
        if !said {
            self.ui.say(&self.ui.paint(Label::Dim, "nothing has come of it yet"));
        }
        Ok(())
    }
}
