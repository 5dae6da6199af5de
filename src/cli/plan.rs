//! `mrx plan`: say what a run would do, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use indicatif::HumanBytes;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::machine::Here;
use super::place::StorePlace;
use super::tables::{format, print_rows};
use super::ui::{Ui, seconds, thousands};
use crate::experiment::{Experiment, Footprint, Load, Memory, Need, Scale, Takes, in_words};
use crate::query::Format;
use crate::runner::{Outlook, State, Why, survey};
use crate::store::{Manifest, Store};

/// Say what a run would do, and why, without doing it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder with experiment.toml, or a TOML file
    experiment: PathBuf,

    /// Set a value as if the file said so; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// The device that the run would compute on
    #[arg(long, env = "MRX_DEVICE", default_value = "cpu", value_parser = super::run::device)]
    device: String,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format())]
    format: Format,
}

/// A node of the plan, for a program.
#[derive(Serialize, Deserialize)]
struct PlannedRow {
    node: String,
    state: String,
    rows: Option<u64>,
    seconds: Option<f64>,
    run: Option<String>,
    why: Option<String>,
}

/// A node of the plan, for a person.
#[derive(Serialize, Deserialize)]
struct PlannedLine {
    node: String,
    state: String,
    rows: Option<u64>,
    time: Option<String>,
    run: Option<String>,
    why: Option<String>,
}

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let here = Here::look(place)?;
    let machine = here.machine(&args.device);
    let experiments = Experiment::all(&args.experiment, &args.overrides, &machine)?;
    let store = place.look()?;
    let [experiment] = experiments.as_slice() else {
        return all(&experiments, &store, args.format, ui);
    };
    let outlooks = survey(&store, experiment.plan())?;
    let rows: Vec<PlannedRow> = outlooks.iter().map(row).collect();
    if args.format == Format::Table {
        print_rows(ui, args.format, &rows.into_iter().map(line).collect::<Vec<_>>())?;
    } else {
        print_rows(ui, args.format, &rows)?;
    }
    let to_make = outlooks.iter().filter(|outlook| outlook.state != State::Hit).count();
    let nodes = outlooks.len();
    ui.say(&match to_make {
        0 => format!("\nnothing to do: all {nodes} nodes are in the store"),
        n => format!("\n{n} of {nodes} nodes would be made"),
    });
    if args.format == Format::Table && to_make > 0 && !experiment.scales().is_empty() {
        ui.print("\nAt most, beside evaluation and fine-tuning, an iteration takes:")?;
        let lines: Vec<Size> = experiment.scales().iter().enumerate().map(size).collect();
        print_rows(ui, args.format, &lines)?;
        let validation = outlooks.iter().find(|outlook| outlook.node.as_str() == VALIDATION);
        let validation = validation.filter(|outlook| outlook.state == State::Hit);
        costs(experiment, &store, validation.map(|outlook| outlook.rows), ui)?;
        memory(experiment, ui)?;
    }
    Ok(())
}

/// An experiment of several.
#[derive(Serialize, Deserialize)]
struct PlannedExperiment {
    experiment: String,
    nodes: usize,
    #[serde(rename = "in the store")]
    made: usize,
    /// Nodes that an experiment above makes.
    shared: usize,
    #[serde(rename = "to make")]
    to_make: usize,
}

/// Says of several experiments what each would make, and what it shares with those above it.
fn all(experiments: &[Experiment], store: &Store, format: Format, ui: &Ui) -> Result<(), Failure> {
    let mut known = BTreeSet::new();
    let mut lines = Vec::new();
    for experiment in experiments {
        let plan = experiment.plan();
        let (mut made, mut shared) = (0, 0);
        for (outlook, recipe) in survey(store, plan)?.iter().zip(plan.recipes()) {
            let is_first = known.insert(recipe);
            match outlook.state {
                State::Hit => made += 1,
                _ if !is_first => shared += 1,
                _ => {}
            }
        }
        let nodes = plan.nodes.len();
        let to_make = nodes - made - shared;
        let experiment = plan.experiment.clone();
        lines.push(PlannedExperiment { experiment, nodes, made, shared, to_make });
    }
    print_rows(ui, format, &lines)?;
    let sum = |of: fn(&PlannedExperiment) -> usize| lines.iter().map(of).sum::<usize>();
    ui.say(&match sum(|line| line.to_make) {
        0 => format!("\nnothing to do: all {} nodes are in the store", sum(|line| line.nodes)),
        to_make => format!(
            "\n{to_make} of {} nodes would be made; {} are shared with an experiment above",
            sum(|line| line.nodes),
            sum(|line| line.shared)
        ),
    });
    Ok(())
}

/// What a training takes of memory, for a person.
#[derive(Serialize, Deserialize)]
struct Taken {
    node: String,
    weights: String,
    gradients: String,
    optimizer: String,
    activations: String,
    logits: String,
    reading: String,
    #[serde(rename = "in all")]
    all: String,
}

/// Prints what drawing and training take of memory beside what there is.
fn memory(experiment: &Experiment, ui: &Ui) -> Result<(), Failure> {
    let needs = experiment.needs();
    let drawing = needs.iter().filter_map(|need| match need.takes {
        Takes::Drawing(footprint) => Some(footprint),
        Takes::Training(_) => None,
    });
    if let Some(Footprint { weights, work, text }) = drawing.max_by_key(Footprint::least) {
        ui.print(&format!(
            "\nDrawing here takes about {} of memory for weights and {} for work, {} for the keys and values of a \
             text, and more for those beside it, up to `--cache-memory`.",
            in_words(weights),
            in_words(work),
            in_words(text),
        ))?;
    }
    let taken = |need: &Need| {
        let Takes::Training(memory) = need.takes else { return None };
        let Memory { weights, gradients, optimizer, activations, logits, reading } = memory;
        Some(Taken {
            node: need.node.clone(),
            weights: in_words(weights),
            gradients: in_words(gradients),
            optimizer: in_words(optimizer),
            activations: in_words(activations),
            logits: in_words(logits),
            reading: in_words(reading),
            all: in_words(memory.total()),
        })
    };
    let trainings: Vec<Taken> = needs.iter().filter_map(taken).collect();
    if trainings.is_empty() {
        return Ok(());
    }
    let may = experiment.memory().map(|bytes| format!(", where {} may be used", in_words(bytes)));
    ui.print(&format!(
        "\nTraining here takes about, with {PROMPT_TOKENS} tokens to a prompt{}:",
        may.unwrap_or_default()
    ))?;
    print_rows(ui, Format::Table, &trainings)
}

/// The prompts that the best of several epochs is chosen by.
const VALIDATION: &str = "prompts.validation";

/// Tokens of a prompt where its texts are not known yet.
const PROMPT_TOKENS: u64 = 256;

/// What is asked of an engine in all iterations, for a person.
#[derive(Serialize, Deserialize)]
struct Bill {
    engine: String,
    calls: String,
    #[serde(rename = "tokens read")]
    read: String,
    #[serde(rename = "tokens drawn")]
    drawn: String,
    time: Option<String>,
    cost: Option<String>,
}

/// What all iterations ask of each engine: of validation prompts, as far as it is known how many there are.
fn by_engine(scales: &[Scale], validation: Option<u64>) -> BTreeMap<&str, Vec<Load>> {
    let mut of_engine: BTreeMap<&str, Vec<Load>> = BTreeMap::new();
    for scale in scales {
        for load in &scale.asked {
            of_engine.entry(&load.engine).or_default().push(load.clone());
        }
        for load in &scale.validation {
            let load_of_all = load.times(validation.unwrap_or(0));
            of_engine.entry(&load.engine).or_default().push(load_of_all);
        }
    }
    of_engine
}

/// Says how much more there is to ask for each validation prompt, where it is not known how many there are.
fn say_unknown(scales: &[Scale], validation: Option<u64>, ui: &Ui) {
    let calls: u64 = scales.iter().flat_map(|scale| &scale.validation).map(|load| load.calls).sum();
    if calls > 0 && validation.is_none() {
        ui.say(&format!(
            "and {} more texts for each validation prompt: how many there are is known once {VALIDATION} \
             is made",
            thousands(calls)
        ));
    }
}

/// Prints what all iterations ask of each engine, how long that takes at the rate that was measured last,
/// and what it costs.
#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
fn costs(
    experiment: &Experiment,
    store: &Store,
    validation: Option<u64>,
    ui: &Ui,
) -> Result<(), Failure> {
    let of_engine = by_engine(experiment.scales(), validation);
    let manifests = store.manifests()?;
    let mut rates = Vec::new();
    let mut bill = |(engine, loads): (&&str, &Vec<Load>)| {
        let sum = |count: fn(&Load) -> u64| loads.iter().map(count).fold(0, u64::saturating_add);
        let drawn = sum(|load| load.completion_tokens);
        let rate = measured(&manifests, engine);
        if let Some((rate, from)) = &rate {
            rates.push(format!("{engine}: {rate:.0} tokens/s, as in {from}"));
        }
        let prices: Option<Vec<f64>> = loads.iter().map(price).collect();
        Bill {
            engine: (*engine).to_owned(),
            calls: thousands(sum(|load| load.calls)),
            read: thousands(sum(|load| load.read(PROMPT_TOKENS))),
            drawn: thousands(drawn),
            time: rate.map(|(rate, _)| seconds(drawn as f64 / rate)),
            cost: prices.map(|prices| format!("{:.2}", prices.iter().sum::<f64>())),
        }
    };
    let bills: Vec<Bill> = of_engine.iter().map(&mut bill).collect();
    ui.print(&format!("\nAll iterations ask, at most, with {PROMPT_TOKENS} tokens to a prompt:"))?;
    print_rows(ui, Format::Table, &bills)?;
    say_unknown(experiment.scales(), validation, ui);
    ui.say(&if rates.is_empty() {
        "no time is told: nothing was drawn in this store yet to measure a rate by".to_owned()
    } else {
        format!("time by what was measured here: {}", rates.join("; "))
    });
    Ok(())
}

fn price(load: &Load) -> Option<f64> {
    Some(load.prices?.of(load.read(PROMPT_TOKENS), load.completion_tokens))
}

/// Tokens that an engine drew in a second, in the last run that it drew for, and which run that was.
#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
fn measured(manifests: &[Manifest], engine: &str) -> Option<(f64, String)> {
    let of_engine = |manifest: &&Manifest| {
        let named = manifest.key.config.pointer("/engine/name").and_then(|name| name.as_str());
        named == Some(engine) && manifest.cost.spent.completion_tokens > 0
    };
    let last = manifests.iter().filter(of_engine).max_by_key(|manifest| &manifest.cost.started)?;
    let rate = last.cost.spent.completion_tokens as f64 / last.cost.seconds.max(1e-3);
    Some((rate, format!("{} of {}", last.node, last.experiment)))
}

/// What an iteration takes at most, for a person.
#[derive(Serialize, Deserialize)]
struct Size {
    model: String,
    answers: String,
    judgements: String,
    #[serde(rename = "meta-judgements")]
    meta_judgements: String,
    #[serde(rename = "tokens drawn")]
    tokens: String,
    texts: String,
    checkpoint: Option<String>,
}

fn size((t, scale): (usize, &Scale)) -> Size {
    /// A token is about so many bytes of text.
    const BYTES_PER_TOKEN: u64 = 4;
    let bytes = |bytes: u64| HumanBytes(bytes).to_string();
    Size {
        model: format!("m{t}"),
        answers: thousands(scale.responses),
        judgements: thousands(scale.judgements),
        meta_judgements: thousands(scale.meta_judgements),
        tokens: thousands(scale.tokens),
        texts: bytes(scale.tokens.saturating_mul(BYTES_PER_TOKEN)),
        checkpoint: scale.checkpoint.map(bytes),
    }
}

fn row(outlook: &Outlook) -> PlannedRow {
    let state = match outlook.state {
        State::Hit => "hit",
        State::Partial => "partial",
        State::Miss => "miss",
        State::Waits => "waits",
    };
    PlannedRow {
        node: outlook.node.to_string(),
        state: state.to_owned(),
        rows: matches!(outlook.state, State::Hit | State::Partial).then_some(outlook.rows),
        seconds: outlook.seconds,
        run: outlook.run.map(crate::store::Digest::to_hex),
        why: outlook.why.as_ref().map(|why| said(why, outlook)),
    }
}

fn line(row: PlannedRow) -> PlannedLine {
    const DIGITS: usize = 12;
    let PlannedRow { node, state, rows, seconds: spent, run, why } = row;
    let run = run.map(|run| run.chars().take(DIGITS).collect());
    PlannedLine { node, state, rows, time: spent.map(seconds), run, why }
}

fn said(why: &Why, outlook: &Outlook) -> String {
    match why {
        Why::New => "never made".to_owned(),
        Why::Lost { table } => format!("`{table}` is gone from the store"),
        Why::Unrecorded => "its manifest is gone from the store".to_owned(),
        Why::After { node } => format!("after {node}"),
        Why::Differs { first, more, from_node, from_experiment } => {
            let others = match more {
                0 => String::new(),
                1 => " and 1 more".to_owned(),
                n => format!(" and {n} more"),
            };
            let other = if *from_node == outlook.node.as_str() {
                String::new()
            } else {
                format!(" (nearest: {from_node} of {from_experiment})")
            };
            format!("{first}{others}{other}")
        }
    }
}
