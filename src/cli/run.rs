//! `mrx run`: make an experiment's tables.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use super::ahead;
use super::display::{Display, JsonEvents};
use super::failure::{Failure, Kind};
use super::host::host;
use super::machine::Here;
use super::memory::for_cache;
use super::place::StorePlace;
use super::screen::Handle;
use super::summary;
use super::ui::{Label, Ui, seconds};
use crate::experiment::{CannotFit, Experiment, Need, refuse_unlearned};
use crate::query::MemoryLimit;
use crate::runner::{
    FailedNode, Interrupt, Listener, NodeName, Plan, Runner, Shelf, StageError, State, Summary,
    survey,
};
use crate::store::Store;

/// Make an experiment's tables, all that are not made yet
///
/// Interrupted or killed, the same command goes on where it was: rows that are safe are not made
/// again. Ctrl-C ends what is under way; a second Ctrl-C leaves at once.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder with experiment.toml, or a TOML file
    experiment: PathBuf,

    /// Make these nodes and what they stand on, as `judge.m1` (all where none is named)
    nodes: Vec<String>,

    /// Set a value as if the file said so; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Compute on this device: cpu, cuda, cuda:N or metal
    #[arg(long, env = "MRX_DEVICE", default_value = "cpu", value_parser = device)]
    device: String,

    /// Keep at most so much of what a model has read and drawn, as 8GiB (half of what the machine has left)
    #[arg(long, value_name = "SIZE", env = "MRX_CACHE_MEMORY", default_value = "", hide_default_value = true, value_parser = cache_memory)]
    cache_memory: MemoryLimit,

    /// Print events as JSON lines on stdout
    #[arg(long)]
    json: bool,
}

/// A device's name; an empty one, as that of an unset variable, is the CPU.
pub(super) fn device(name: &str) -> Result<String, String> {
    let number = name.strip_prefix("cuda:").is_some_and(|n| n.parse::<u16>().is_ok());
    match name {
        "" => Ok("cpu".to_owned()),
        "cpu" | "cuda" | "metal" => Ok(name.to_owned()),
        _ if number => Ok(name.to_owned()),
        _ => Err("expected cpu, cuda, cuda:N or metal".to_owned()),
    }
}

/// A size; an empty one, as that of an unset variable, is none.
pub(super) fn cache_memory(text: &str) -> Result<MemoryLimit, String> {
    if text.is_empty() { Ok(MemoryLimit::default()) } else { MemoryLimit::parse(text) }
}

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let began = Instant::now();
    let here = Here::look(place)?;
    let machine = here.machine(&args.device);
    let experiments = Experiment::all(&args.experiment, &args.overrides, &machine)?;
    let mut wanted = Vec::new();
    for experiment in &experiments {
        let nodes = named_nodes(experiment.plan(), &args.nodes)?;
        refuse_unlearned(experiment.plan(), &nodes)?;
        wanted.push(nodes);
    }
    let store = place.create()?;
    for (experiment, wanted) in experiments.iter().zip(&wanted) {
        refuse_what_does_not_fit(experiment, &store, wanted)?;
    }
    here.save(&store)?;
    let several = experiments.len() > 1;
    let is_live = ui.is_live && !args.json;
    let known = || ahead::look(&store, &experiments, &wanted, &args.device);
    let display = Display::new(ui, several, is_live.then(known));
    let interrupt = Interrupt::default();
    on_ctrl_c(&interrupt, display.handle())?;
    let events = JsonEvents(ui);
    let listener: &dyn Listener = if args.json { &events } else { &display };
    let (interrupt, device) = (&interrupt, args.device.as_str());
    let host = &host();
    let (clock, open): (fn() -> SystemTime, _) = (SystemTime::now, Shelf::default());
    let memory = experiments.iter().filter_map(Experiment::memory).min();
    let cache_memory = for_cache(&args.cache_memory, memory);
    let runner =
        Runner { store: &store, listener, interrupt, clock, device, cache_memory, host, open };
    let mut outcome = Outcome::default();
    for (experiment, wanted) in experiments.iter().zip(&wanted) {
        outcome.add(experiment, runner.run(experiment.plan(), wanted)?, several);
    }
    display.close();
    if !args.json {
        outcome.tell(began.elapsed().as_secs_f64(), ui);
        if args.nodes.is_empty() && outcome.failed.is_empty() {
            summary::tell(&store, &experiments, outcome.made > 0, ui)?;
        }
    }
    failures(outcome.failed, ui)
}

/// What runs of all experiments of a file came to.
#[derive(Default)]
struct Outcome {
    made: usize,
    reused: usize,
    /// Nodes, with the experiment where there are several, and why they failed.
    failed: Vec<(String, StageError)>,
    skipped: usize,
}

impl Outcome {
    fn add(&mut self, experiment: &Experiment, summary: Summary, several: bool) {
        let Summary { made, reused, failed, skipped } = summary;
        self.made += made;
        self.reused += reused;
        self.skipped += skipped;
        let name = &experiment.plan().experiment;
        self.failed.extend(failed.into_iter().map(|FailedNode { node, error }| {
            let node = if several { format!("{name}/{node}") } else { node.to_string() };
            (node, error)
        }));
    }

    fn tell(&self, spent: f64, ui: &Ui) {
        let Self { made, reused, failed, skipped } = self;
        if failed.is_empty() && *made == 0 {
            let all = if *reused == 1 {
                "the node is".to_owned()
            } else {
                format!("all {reused} nodes are")
            };
            return ui.say(&format!("nothing to do: {all} in the store ({})", seconds(spent)));
        }
        let mut parts = vec![ui.paint(Label::Strong, &format!("{made} made"))];
        let others = [(*reused, "reused"), (failed.len(), "failed"), (*skipped, "skipped")];
        parts.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        ui.say(&format!("{} in {}", parts.join(", "), seconds(spent)));
    }
}

/// Ends before anything is made where a node that is asked for cannot fit, whatever its rows are.
fn refuse_what_does_not_fit(
    experiment: &Experiment,
    store: &Store,
    wanted: &[NodeName],
) -> Result<(), Failure> {
    let refused = |node: &NodeName| {
        let of_node = |need: &&Need| need.node == node.as_str();
        experiment.needs().iter().find(of_node)?.refused.clone()
    };
    let mut asked = experiment.plan().nodes.iter().map(|node| &node.name);
    let asked = asked.by_ref().filter(|node| wanted.is_empty() || wanted.contains(node));
    let refused: Vec<(&NodeName, CannotFit)> =
        asked.filter_map(|node| Some((node, refused(node)?))).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let outlooks = survey(store, experiment.plan())?;
    let is_made = |node: &NodeName| {
        outlooks.iter().any(|outlook| outlook.node == *node && outlook.state == State::Hit)
    };
    match refused.into_iter().find(|(node, _)| !is_made(node)) {
        Some((_, CannotFit::Training(refused))) => Err(refused.into()),
        Some((_, CannotFit::Drawing(refused))) => Err(refused.into()),
        None => Ok(()),
    }
}

/// Prints each node's error; the worst of them decides the exit code.
fn failures(failed: Vec<(String, StageError)>, ui: &Ui) -> Result<(), Failure> {
    let mut worst: Option<Failure> = None;
    for (nodes, error) in by_message(failed) {
        let mut failure = Failure::of(error);
        failure.error = format!("{nodes}: {}", with_causes(failure.error.as_ref())).into();
        if failure.kind != Kind::Damaged {
            failure.kind = Kind::Stage;
        }
        if failure.hints.is_empty() {
            let again = "what was made is kept; once this is mended, the same command goes on";
            failure.hints.push(again.to_owned());
        }
        worst = Some(match worst.take() {
            None => failure,
            Some(earlier) => {
                let (worse, other) = Failure::worse(earlier, failure);
                ui.failure(&other);
                worse
            }
        });
    }
    worst.map_or(Ok(()), Err)
}

/// Nodes that failed in the same words are told of together.
fn by_message(failed: Vec<(String, StageError)>) -> Vec<(String, StageError)> {
    let mut told: Vec<(String, StageError)> = Vec::new();
    for (node, error) in failed {
        let message = with_causes(error.as_ref());
        match told.iter_mut().find(|(_, earlier)| with_causes(earlier.as_ref()) == message) {
            Some((nodes, _)) => *nodes = format!("{nodes}, {node}"),
            None => told.push((node, error)),
        }
    }
    told
}

/// Writes an error and its causes, each once.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = Vec::new();
    for cause in causes.map(ToString::to_string) {
        if !said.last().is_some_and(|last| last.contains(&cause)) {
            said.push(cause);
        }
    }
    said.join("\n  caused by: ")
}

/// Reads node names, each of which has to be in the plan.
pub(super) fn named_nodes(plan: &Plan, names: &[String]) -> Result<Vec<NodeName>, Failure> {
    let known = |name: &String| plan.nodes.iter().any(|node| node.name.as_str() == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let text = format!("`{unknown}` is not a node of `{}`", plan.experiment);
        let failure = Failure::new(Kind::Usage, text);
        let near = plan.nodes.iter().map(|node| node.name.as_str());
        let near = near.min_by_key(|name| strsim::damerau_levenshtein(name, unknown));
        return Err(match near {
            Some(near) => failure.hint(format!("did you mean `{near}`? `mrx plan` lists them all")),
            None => failure,
        });
    }
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The first Ctrl-C hands out nothing new and waits a while for what is under way; the second leaves at
/// once.
fn on_ctrl_c(interrupt: &Interrupt, screen: Option<Handle>) -> Result<(), Failure> {
    const ENDING: &str = "ending what is under way; Ctrl-C again leaves at once";
    let interrupt = interrupt.clone();
    ctrlc::set_handler(move || {
        if interrupt.requested() {
            screen.iter().for_each(Handle::close);
            exit_now();
        }
        interrupt.request();
        match &screen {
            Some(screen) => screen.say(ENDING),
            None => super::ui::talk(&format!("\n{ENDING}")),
        }
    })
    .map_err(|e| Failure::new(Kind::Bug, e))
}

#[expect(clippy::exit, reason = "the person asked twice; everything safe is on disk already")]
fn exit_now() -> ! {
    std::process::exit(i32::from(Kind::Interrupted.code()))
}
