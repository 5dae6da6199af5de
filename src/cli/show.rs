//! `mrx show`: print one artifact: what it is, what it was made from, what it cost, its rows.

use std::fmt::Write as _;

use clap::ValueEnum;
use indicatif::HumanBytes;
use serde::Deserialize;
use serde_json::Value;

use super::failure::{Failure, Kind};
use super::place::StorePlace;
use super::tables::rows_out;
use super::target::Target;
use super::ui::{Ui, seconds, thousands};
use super::{show_experiment, show_prompt};
use crate::experiment::SCRIPT;
use crate::query::{Format, Session, TABLES, ddl_of, documents};
use crate::store::{Digest, Host, Key, KeyInput, MadeBy, Manifest, Spent, Store, read_schema};

/// Print a node, a run, an object, the schemas, or what an experiment may say
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
pub(super) struct Args {
    /// A node (`judge.m1`, `experiment/judge.m1`), the first digits of a run or an object; with
    /// --schema, a table; with --experiment, a table of experiment.toml, as `pairs.actor`
    #[arg(required_unless_present_any = ["schema", "trainer", "experiment"])]
    target: Option<String>,

    /// Print what every column of a table (of all, where none is named) means, as SQL
    #[arg(long)]
    schema: bool,

    /// Print what every field of experiment.toml means, with its default, its range and the paper's section; with
    /// `--format json`, its JSON Schema
    #[arg(long, conflicts_with_all = ["schema", "trainer", "prompt"])]
    experiment: bool,

    /// Print the program that `trainer = "trl"` trains with
    #[arg(long, conflicts_with_all = ["schema", "prompt", "target"])]
    trainer: bool,

    /// Print what the model was asked for a row, by its id, or for the first row of a node: the
    /// conversation, the text that the chat template makes of it, and its tokens
    #[arg(long, conflicts_with_all = ["schema", "format"])]
    prompt: bool,

    /// Rows of each table to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    rows: usize,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Shape,
}

/// How to print an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// For a person
    Text,
    /// The manifest, as JSON
    Json,
}

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    if args.experiment {
        return show_experiment::show(args.target.as_deref(), args.format == Shape::Json, ui);
    }
    if args.schema {
        return schema(args.target.as_deref(), ui);
    }
    if args.trainer {
        return ui.print(SCRIPT.trim_end());
    }
    let store = place.open()?;
    let target = args.target.as_deref().unwrap_or_default();
    if args.prompt {
        return show_prompt::show(&store, target, ui);
    }
    match Target::find(&store, target)? {
        Target::Run(manifest) if args.format == Shape::Json => {
            ui.print(&serde_json::to_string_pretty(&*manifest)?)
        }
        Target::Run(manifest) => {
            let session = Session::open(&store)?;
            ui.print(&text_of(&session, &manifest)?)?;
            for (name, table) in &manifest.tables {
                ui.print(&format!("\n{}", columns_of(name)?))?;
                rows_of(&session, &store, table.object, args.rows, ui)?;
            }
            Ok(())
        }
        Target::Object(digest, _) if args.format == Shape::Json => {
            let text = format!("{} is an object, and only runs have manifests", digest.short());
            Err(Failure::new(Kind::Usage, text))
        }
        Target::Object(digest, makers) => object(&store, digest, &makers, args.rows, ui),
    }
}

fn schema(table: Option<&str>, ui: &Ui) -> Result<(), Failure> {
    let Some(table) = table else {
        let all: Vec<&str> = TABLES.iter().map(|(_, ddl)| ddl.trim_end()).collect();
        return ui.print(&all.join("\n\n"));
    };
    if let Some(ddl) = ddl_of(table) {
        return ui.print(ddl.trim_end());
    }
    let names: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
    let failure = Failure::new(Kind::Usage, format!("there is no table `{table}`"));
    Err(failure.hint(format!("one of {}", names.join(", "))))
}

/// Names the columns of a table; `--schema` says what they mean.
fn columns_of(table: &str) -> Result<String, Failure> {
    let documents = documents()?;
    let Some(document) = documents.into_iter().find(|document| document.name == table) else {
        return Ok(table.to_owned());
    };
    let columns: Vec<String> =
        document.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
    Ok(format!("{table} ({})", columns.join(", ")))
}

fn text_of(session: &Session, manifest: &Manifest) -> Result<String, Failure> {
    let mut text = format!("{} of {}\n", manifest.node, manifest.experiment);
    let cost = &manifest.cost;
    let attempts = match cost.attempts {
        1 => String::new(),
        n => format!(", in {n} attempts"),
    };
    let _ = writeln!(text, "run       {}", manifest.run);
    let _ = writeln!(text, "started   {}", cost.started);
    let _ = writeln!(text, "took      {}{attempts}", seconds(cost.seconds));
    let Spent { prompt_tokens, completion_tokens, money } = cost.spent;
    if prompt_tokens + completion_tokens > 0 {
        let [read, drawn] = [prompt_tokens, completion_tokens].map(thousands);
        let _ = writeln!(text, "tokens    {read} read, {drawn} drawn");
    }
    if let Some(money) = money {
        let _ = writeln!(text, "cost      {money:.4}");
    }
    if let Some(MadeBy { mrx, device, host, reached, imported }) = &manifest.made_by {
        let Host { os, arch, cpu, cores } = host;
        let cpu = if cpu.is_empty() { String::new() } else { format!(", {cpu}") };
        let _ = writeln!(text, "by        mrx {mrx} on {device}, {os} {arch}{cpu}, {cores} cores");
        for place in reached {
            let _ = writeln!(text, "asked     {place}");
        }
        if let Some(from) = imported {
            let _ = writeln!(text, "imported  {from}");
        }
    }
    text.push_str("\nmade\n");
    for (name, table) in &manifest.tables {
        let (rows, bytes) = (thousands(table.rows), HumanBytes(table.bytes));
        let _ =
            writeln!(text, "  {name:<16} {rows:>12} rows  {bytes:>11}  {}", table.object.short());
    }
    for (name, file) in &manifest.objects {
        let bytes = file.bytes.map(|bytes| HumanBytes(bytes).to_string()).unwrap_or_default();
        let _ = writeln!(text, "  {name:<34} {bytes:>11}  {}", file.object.short());
    }
    text.push_str("\nfrom\n");
    let makers: Vec<Maker> = session.rows(&format!(
        "SELECT DISTINCT input, from_node FROM lineage WHERE run = '{}' AND from_node IS NOT NULL",
        manifest.run
    ))?;
    let Key { stage, version, config, inputs, .. } = &manifest.key;
    for (name, input) in inputs {
        ancestry(&mut text, name, input, &makers);
    }
    text.push_str("\nwith\n");
    let _ = writeln!(text, "  {stage} version {version}");
    for (name, value) in config.as_object().into_iter().flatten() {
        setting(&mut text, name, value);
    }
    Ok(text.trim_end().to_owned())
}

/// The node that made an input.
#[derive(Deserialize)]
struct Maker {
    input: String,
    from_node: String,
}

/// One input: a table and the node that made it, or files and their digests.
fn ancestry(text: &mut String, name: &str, input: &KeyInput, makers: &[Maker]) {
    match input {
        KeyInput::Files(files) => {
            for (file, digest) in files {
                let _ = writeln!(text, "  {name:<16} {file:<29} {}", digest.short());
            }
        }
        KeyInput::Declared(named) => {
            for (what, value) in named {
                let _ = writeln!(text, "  {name:<16} {what:<29} {value}");
            }
        }
        KeyInput::Table(digest) => {
            let maker = makers.iter().find(|maker| maker.input == name);
            let maker = maker.map_or("", |maker| maker.from_node.as_str());
            let _ = writeln!(text, "  {name:<16} {maker:<29} {}", digest.short());
        }
    }
}

fn setting(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                setting(text, &format!("{name}.{field}"), value);
            }
        }
        Value::String(long) if long.contains('\n') => {
            let first = long.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let first: String = first.chars().take(48).collect();
            let _ = writeln!(text, "  {name:<28} {} lines: {first}…", long.lines().count());
        }
        Value::Null => {
            let _ = writeln!(text, "  {name:<28} off");
        }
        other => {
            let _ = writeln!(text, "  {name:<28} {other}");
        }
    }
}

fn object(
    store: &Store,
    digest: Digest,
    makers: &[Manifest],
    rows: usize,
    ui: &Ui,
) -> Result<(), Failure> {
    let path = store.checked_path(digest)?;
    let bytes = HumanBytes(path.metadata()?.len());
    ui.print(&format!("object    {digest}\nsize      {bytes}"))?;
    for maker in makers {
        ui.print(&format!(
            "made by   {} of {} (run {})",
            maker.node,
            maker.experiment,
            maker.run.short()
        ))?;
    }
    let is_table = makers.iter().any(|m| m.tables.values().any(|table| table.object == digest));
    if !is_table && read_schema(&path).is_err() {
        return Ok(());
    }
    let (name, schema) = read_schema(&path)?;
    ui.print(&format!("\n{}: {} columns", name.unwrap_or_default(), schema.fields().len()))?;
    rows_of(&Session::open(store)?, store, digest, rows, ui)
}

fn rows_of(
    session: &Session,
    store: &Store,
    digest: Digest,
    rows: usize,
    ui: &Ui,
) -> Result<(), Failure> {
    let path = store.object_path(digest).to_string_lossy().replace('\'', "''");
    let query = format!("FROM read_parquet('{path}', hive_partitioning = false) LIMIT {rows}");
    session.run(&query, rows_out(ui, Format::Table, Some(0)).as_mut())?;
    Ok(())
}
