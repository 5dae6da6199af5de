//! `mrx show --prompt`: what a model was really asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::failure::{Failure, Kind};
use super::recorded;
use super::target::Target;
use super::ui::Ui;
use crate::experiment::{Asked, Machine, Rendered, asked};
use crate::query::Session;
use crate::runner::Source;
use crate::store::{Manifest, RecordedPlan, Sources, Store};

/// The run that a row was drawn in.
#[derive(Debug, Serialize, Deserialize)]
struct Drawn {
    id: String,
    run: String,
}

/// The tables of what is drawn, by the letters of their ids.
const TABLES: [(&str, &str, &str); 4] = [
    ("r_", "responses", "response_id"),
    ("j_", "judgements", "judgement_id"),
    ("m_", "meta_judgements", "meta_judgement_id"),
    ("v_", "verdicts", "verdict_id"),
];

/// Prints what was asked for a row, or for the first row of a node.
pub(super) fn show(store: &Store, target: &str, ui: &Ui) -> Result<(), Failure> {
    let table = TABLES.into_iter().find(|(letter, ..)| target.starts_with(letter));
    let (run, row) = match table {
        Some((_, table, column)) => {
            let drawn = find(store, table, column, target)?;
            (drawn.run, Some(drawn.id))
        }
        None => (target.to_owned(), None),
    };
    let Target::Run(manifest) = Target::find(store, &run)? else {
        let text = format!("`{target}` is an object; what was asked is told of a node or a row");
        return Err(Failure::new(Kind::Usage, text));
    };
    let outside = outside(store, &manifest)?;
    let Asked { row, messages, rendered } =
        asked(store, &manifest, row.as_deref(), outside.as_ref()).map_err(Failure::of)?;
    ui.print(&format!("{row}, drawn by {} of {}", manifest.node, manifest.experiment))?;
    for message in messages {
        ui.print(&format!("\n[{}]\n{}", message.role, plain(&message.content)))?;
    }
    let Some(Rendered { text, tokens }) = rendered else {
        return ui.print(
            "\nThe model's files are not where they were: its chat template is not at hand.",
        );
    };
    ui.print(&format!("\nas the model reads it\n{}", plain(&text)))?;
    if tokens.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = tokens.iter().map(|(id, token)| format!("{id} {token}")).collect();
    ui.print(&format!("\n{} tokens\n{}", tokens.len(), plain(&ids.join(" | "))))
}

/// Text without what steers a terminal.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}")
}

fn find(store: &Store, table: &str, column: &str, typed: &str) -> Result<Drawn, Failure> {
    let session = Session::open(store)?;
    let quoted = typed.replace('\'', "''");
    let query = format!(
        "SELECT {column} AS id, min(run) AS run FROM {table} WHERE starts_with({column}, '{quoted}') \
         GROUP BY ALL ORDER BY id LIMIT 2"
    );
    let mut found: Vec<Drawn> = session.rows(&query)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            let text = format!("no row of `{table}` has an id that starts with `{typed}`");
            Err(Failure::new(Kind::Data, text))
        }
        _ => Err(Failure::new(Kind::Data, format!("several ids start with `{typed}`"))),
    }
}

/// The files of the run's model, where they are outside the store and still what they were.
fn outside(
    store: &Store,
    manifest: &Manifest,
) -> Result<Option<BTreeMap<String, PathBuf>>, Failure> {
    let Some(then) = manifest.key.files("model") else { return Ok(None) };
    let plans = store.plans()?;
    let knows = |plan: &&RecordedPlan| plan.nodes.iter().any(|node| node.run == Some(manifest.run));
    let Some(plan) = plans.iter().find(knows) else { return Ok(None) };
    if !plan.file.as_ref().is_some_and(|file| file.exists()) {
        return Ok(None);
    }
    let Some(experiment) = recorded::load(plan, &Machine::any())? else { return Ok(None) };
    let nodes = &experiment.plan().nodes;
    let Some(node) = nodes.iter().find(|node| node.name.to_string() == manifest.node) else {
        return Ok(None);
    };
    let mut files = node.inputs.iter().filter_map(|input| match &input.source {
        Source::Files(files) if input.name == "model" => Some(files),
        _ => None,
    });
    let Some(files) = files.next() else { return Ok(None) };
    let mut sources = Sources::open(store)?;
    for (name, digest) in then {
        match files.get(name) {
            Some(path) if sources.digest(path)? == *digest => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(files.clone()))
}
