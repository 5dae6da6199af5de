//! Asking: a group-by over 10,000,000 judgements through `mrx sql`, beside DuckDB's Python package
//! with the same views over the same files; and what `mrx sql` takes to start.
//!
//! `MRX_BENCH_PYTHON=python3 cargo bench --bench query`. Python needs duckdb, of the version that
//! mrx is built with. `MRX_BENCH_SCALE` shrinks the ten million, `MRX_BENCH_ROUNDS` is how often both
//! are measured. The store takes 1.2 GB of the temporary folder.

#[path = "support/command.rs"]
mod command;
#[path = "support/compare.rs"]
mod compare;
#[path = "support/process.rs"]
mod process;
#[path = "support/python.rs"]
mod python;
#[path = "support/rows.rs"]
mod rows;

use std::collections::BTreeMap;
use std::path::Path;

use command::{milliseconds, mrx, timed};
use compare::{Outcome, asked, median, print, rounds, scaled, verdict};
use mrx::records::{Judgement, Reading, Status};
use mrx::store::{
    Cost, FORMAT, Key, Manifest, PlannedNode, RecordedPlan, Store, StoredTable, TableWriter,
};
use process::stdout_of;
use python::python;
use rows::Rows;
use serde::Deserialize;
use serde_json::{Value, json};

const ROWS: usize = 10_000_000;
const RUNS: usize = 4;
const TEXT_BYTES: usize = 80;
const AT_ONCE: usize = 2048;

/// Times Python's DuckDB that a query may take, on top of the start.
const RATIO: f64 = 1.1;

/// Seconds that the start may take.
const START: f64 = 0.05;

/// How often a start is measured in each round.
const STARTS: usize = 7;

const QUERIES: [(&str, &str); 3] = [
    (
        "by finish_reason",
        "SELECT model, finish_reason, count(*) AS n, avg(completion_tokens) AS tokens \
         FROM judgements GROUP BY ALL ORDER BY ALL",
    ),
    ("by score", "SELECT model, score, count(*) AS n FROM judgements GROUP BY ALL ORDER BY ALL"),
    (
        "by model, all text",
        "SELECT model, count(*) AS n, sum(len(text)) AS characters, sum((text LIKE '%risk%')::INTEGER) \
         AS risky FROM judgements GROUP BY ALL ORDER BY ALL",
    ),
];

#[derive(Deserialize)]
struct Theirs {
    seconds: f64,
    rows: Vec<Vec<Value>>,
    version: String,
}

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
    let (rows, bytes) = fill(&Store::create(&full)?, scaled(ROWS) / RUNS)?;
    Store::create(&empty)?;
    let script = folder.path().join("views.sql");
    std::fs::write(&script, stdout_of(mrx(&full).args(["sql", "--attach", "--quiet"]))?)?;
    let started = starts(&full, &empty)?;
    let mut table =
        vec![row!["query", "round", "mrx sql", "Python's query", "ratio", "less the start"]];
    let mut met = vec![row!["", "median", "target", ""]];
    for (store, seconds) in &started {
        met.push(row![
            format!("start, {store} store"),
            milliseconds(*seconds),
            format!("at most {}", milliseconds(START)),
            verdict(*seconds, START),
        ]);
    }
    let mut version = String::new();
    for (name, query) in QUERIES {
        let mut ratios = Vec::new();
        for round in 1..=rounds() {
            let (ours, theirs) = ask(&full, &script, query)?;
            let [whole, ratio] = [ours, ours - started[0].1].map(|ours| ours / theirs.seconds);
            table.push(row![
                name,
                round,
                milliseconds(ours),
                milliseconds(theirs.seconds),
                format!("{whole:.2}"),
                format!("{ratio:.2}"),
            ]);
            ratios.push((ours - START) / theirs.seconds);
            version = theirs.version;
        }
        let ratio = median(ratios);
        met.push(row![
            format!("{name}, less {}", milliseconds(START)),
            format!("{ratio:.2}"),
            format!("at most {RATIO}"),
            verdict(ratio, RATIO),
        ]);
    }
    let size = format!("{rows} judgements in {RUNS} runs, {} MiB", bytes >> 20);
    print(&format!("{size}; Python's DuckDB is {version}"), &table)?;
    print("targets", &met)
}

/// Writes judgements and their readings, run by run, and the plan that shows them; returns rows
/// and bytes.
fn fill(store: &Store, rows_each: usize) -> Outcome<(u64, u64)> {
    let mut nodes = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for run in 0..RUNS {
        let (judgements, readings) = write(store, run as u64, rows_each)?;
        rows += judgements.rows;
        bytes += judgements.bytes + readings.bytes;
        let inputs = json!({ "judgements": judgements.object });
        nodes.push(record(store, &format!("judge.m{run}"), json!({}), judgements, "judgements")?);
        nodes.push(record(store, &format!("read.m{run}"), inputs, readings, "readings")?);
    }
    let (experiment, recorded) = ("bench".to_owned(), "2026-01-01T00:00:00.000Z".to_owned());
    store.record_plan(&RecordedPlan {
        format: FORMAT,
        experiment,
        file: None,
        variant: None,
        recorded,
        nodes,
    })?;
    Ok((rows, bytes))
}

fn write(store: &Store, run: u64, rows: usize) -> Outcome<(StoredTable, StoredTable)> {
    let mut source = Rows::new(run, TEXT_BYTES).take(rows);
    let mut judgements = TableWriter::create(store)?;
    let mut readings = TableWriter::create(store)?;
    loop {
        let (chunk, read): (Vec<Judgement>, Vec<Reading>) =
            source.by_ref().take(AT_ONCE).map(|(row, score)| with_reading(row, score)).unzip();
        if chunk.is_empty() {
            return Ok((judgements.finish()?, readings.finish()?));
        }
        judgements.write(&chunk)?;
        readings.write(&read)?;
    }
}

fn with_reading(judgement: Judgement, value: Option<f64>) -> (Judgement, Reading) {
    let reading = Reading {
        judgement_id: Some(judgement.judgement_id.clone()),
        meta_judgement_id: None,
        soft_value: None,
        value,
        status: if value.is_some() { Status::Ok } else { Status::Truncated },
        rule: "score-1".to_owned(),
    };
    (judgement, reading)
}

/// Writes the manifest of a run that made one table, and returns its node.
fn record(
    store: &Store,
    node: &str,
    inputs: Value,
    table: StoredTable,
    name: &str,
) -> Outcome<PlannedNode> {
    let (stage, model) = node.split_once('.').ok_or("a node has a stage")?;
    let key =
        json!({ "stage": stage, "version": 1, "config": { "model": model }, "inputs": inputs });
    let key: Key = serde_json::from_value(key)?;
    let run = key.digest();
    let manifest = Manifest {
        format: FORMAT,
        run,
        node: node.to_owned(),
        experiment: "bench".to_owned(),
        key,
        tables: BTreeMap::from([(name.to_owned(), table)]),
        objects: BTreeMap::new(),
        cost: Cost {
            started: "2026-01-01T00:00:00.000Z".to_owned(),
            seconds: 1.0,
            attempts: 1,
            spent: mrx::store::Spent::default(),
        },
        made_by: None,
    };
    store.write_manifest(&manifest)?;
    Ok(PlannedNode {
        node: node.to_owned(),
        model: model.to_owned(),
        run: Some(run),
        finished: true,
    })
}

/// Times `select 1` in the full and in an empty store.
fn starts(full: &Path, empty: &Path) -> Outcome<[(&'static str, f64); 2]> {
    let mut medians = [("full", 0.0), ("empty", 0.0)];
    for ((_, seconds), store) in medians.iter_mut().zip([full, empty]) {
        let once = |_| Ok(timed(store, &["sql", "select 1"])?.0);
        *seconds = median((0..STARTS * rounds()).map(once).collect::<Outcome<Vec<_>>>()?);
    }
    Ok(medians)
}

/// Asks both the same, and checks that both say the same.
fn ask(store: &Path, script: &Path, query: &str) -> Outcome<(f64, Theirs)> {
    let (ours, answer) = timed(store, &["sql", "--format", "json", query])?;
    let theirs: Theirs =
        serde_json::from_slice(&stdout_of(python("query.py").arg(script).arg(query))?)?;
    let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&answer)?;
    let rows: Vec<Vec<Value>> = rows.into_iter().map(|row| row.into_values().collect()).collect();
    if rows != theirs.rows {
        return Err(format!("mrx says {rows:?}, Python's DuckDB {:?}", theirs.rows).into());
    }
    Ok((ours, theirs))
}
