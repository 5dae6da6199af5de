//! `mrx import`: what was made elsewhere becomes the result of a node that waits for it.

use std::path::PathBuf;

use super::alone::{attempt, one_node, to_make};
use super::failure::{Failure, Kind};
use super::machine::Here;
use super::named_model::NamedModel;
use super::place::StorePlace;
use super::ui::Ui;
use crate::experiment::{Brought, Experiment, listed};
use crate::runner::{Event, Listener, NodeName, Plan};
use crate::store::Imported;

/// Take what was made elsewhere
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Checkpoint(CheckpointArgs),
}

/// Take a model that was trained elsewhere; `mrx run` then goes on from it
///
/// Its tensors are held against the model that training starts from, and its files are copied into the store.
/// Tokenizer and chat template are taken from the start where the folder has none. What it becomes has to wait
/// for it: `trainer = "import"` in `[train]`, or in `[sft]` for m0.
#[derive(Debug, clap::Args)]
pub(super) struct CheckpointArgs {
    /// The model's folder, as transformers saves it
    folder: PathBuf,

    /// The model that it is: of an experiment (a folder with experiment.toml, or a TOML file), as
    /// `experiments/quickstart/m2`
    #[arg(long = "as", value_name = "EXPERIMENT/MODEL")]
    model: NamedModel,

    /// What the training reported of each step: an object a line, under TRL's names, or
    /// the `trainer_state.json` that transformers writes
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,

    /// Who made it, and with what; recorded as it is written here
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,

    /// Set a value as if the file said so; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// The device that the experiment computes on
    #[arg(long, env = "MRX_DEVICE", default_value = "cpu", value_parser = super::run::device)]
    device: String,
}

pub(super) fn run(command: &Command, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    match command {
        Command::Checkpoint(args) => checkpoint(args, place, ui),
    }
}

fn checkpoint(args: &CheckpointArgs, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let CheckpointArgs { folder, model, metrics, by, overrides, device } = args;
    let node = match model.number {
        0 => "sft.m0".to_owned(),
        number => format!("train.m{number}"),
    };
    let files = listed(folder).map_err(|error| {
        Failure::new(Kind::Data, format!("cannot read the folder {}: {error}", folder.display()))
    })?;
    let brought = Brought {
        files,
        metrics: metrics.clone(),
        from: Imported {
            folder: std::path::absolute(folder)?.display().to_string(),
            by: by.clone(),
        },
    };
    let here = Here::look(place)?;
    let machine = here.with_brought(node.clone(), brought, device);
    let experiment = Experiment::load(&model.experiment, overrides, &machine)?;
    let plan = experiment.plan();
    let name = one_node(plan, &node)?;
    refuse_unless_it_waits(plan, &name)?;
    let store = place.open()?;
    if to_make(&store, plan, &name)?.is_none() {
        let text = format!("{name} is made already, and a node is made once");
        let hint = "another checkpoint is another node's: give its training settings of their own, as another \
                    `seed`";
        return Err(Failure::new(Kind::Data, text).hint(hint));
    }
    attempt(&store, plan, &name, (&Warnings(ui), device))?.map_err(Failure::of)?;
    ui.print(&format!("{name:<16} is made"))
}

fn refuse_unless_it_waits(plan: &Plan, name: &NodeName) -> Result<(), Failure> {
    let node = plan.nodes.iter().find(|node| node.name == *name);
    let config = node.map(|node| node.stage.signature().config).unwrap_or_default();
    let trainer = config.pointer("/trainer/name").and_then(|name| name.as_str());
    if trainer == Some("import") {
        return Ok(());
    }
    let table = if name.stage() == "sft" { "sft" } else { "train" };
    let trainer = trainer.unwrap_or("local");
    let text = format!(
        "{name} waits for no checkpoint: `trainer` of `[{table}]` is \"{trainer}\", not \"import\""
    );
    Err(Failure::new(Kind::Data, text).hint(format!("say `trainer = \"import\"` in `[{table}]`")))
}

/// Passes warnings on, and nothing else.
struct Warnings<'u>(&'u Ui);

impl Listener for Warnings<'_> {
    fn hear(&self, event: &Event) {
        if let Event::Warned { node, text, .. } = event {
            self.0.warn(&format!("{node}: {text}"));
        }
    }
}
