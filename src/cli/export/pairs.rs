//! `mrx export pairs`: what the next model is trained on, for a program elsewhere, and the file to start it with.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::folder::link_model;
use super::lesson::Lesson;
use super::recipe::{self, Devices};
use super::rows::Rows;
use super::target::Target;
use crate::cli::failure::Failure;
use crate::cli::machine::Here;
use crate::cli::named_model::NamedModel;
use crate::cli::outputs::{Outputs, Over};
use crate::cli::place::StorePlace;
use crate::cli::ui::{Ui, thousands};
use crate::experiment::Experiment;

/// Write the pairs of an iteration, and a configuration to train on them with
///
/// The pairs are those that train the next model: texts as chat messages, in the order of their ids. The
/// configuration says every setting of `[train]` in the program's own words; what it has no word for is refused.
/// The model to start from is a folder of links: `rsync -L` or `scp -r` copies what they lead to.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The model that the pairs were made with, of an experiment (a folder with experiment.toml, or a TOML file),
    /// as `experiments/quickstart/m1`
    #[arg(value_name = "EXPERIMENT/MODEL")]
    model: NamedModel,

    /// The program that trains
    #[arg(long, value_name = "PROGRAM")]
    to: Target,

    /// Write the files into this folder; where not given, one that is named after the experiment, the model and
    /// the program
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Processes that train together, a device each: the batch is divided among them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    processes: usize,

    /// Pairs that a process holds at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    per_device: usize,

    /// Set a value as if the file said so; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// The device that the experiment computes on
    #[arg(long, env = "MRX_DEVICE", default_value = "cpu", value_parser = crate::cli::run::device)]
    device: String,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a number from 1 on".to_owned())
}

/// The file of the pairs.
const PAIRS: &str = "pairs.jsonl";

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let Args { model, to, out, processes, per_device, overrides, device } = args;
    let here = Here::look(place)?;
    let experiment = Experiment::load(&model.experiment, overrides, &here.machine(device))?;
    let store = place.open()?;
    let mut lesson = Lesson::find(&store, &experiment, model.number)?;
    let rows = Rows::open(&store, *to)?;
    lesson.pairs = rows.check(&lesson)?;
    lesson.has_logps = *to == Target::Trl && lesson.knows_logps();
    let devices = Devices { processes: *processes, pairs: *per_device };
    let config = recipe::write(*to, &lesson, devices).map_err(Failure::of)?;
    let named = || format!("{}-m{}-{}", lesson.experiment, model.number, to.name()).into();
    let folder = out.clone().unwrap_or_else(named);
    let mut outputs = Outputs::of(&folder, Over::Anything)?;
    rows.write(&lesson, &mut outputs, Path::new(PAIRS))?;
    if *to == Target::LlamaFactory {
        outputs.text(Path::new("dataset_info.json"), std::iter::once(&*dataset_info()))?;
    }
    outputs.text(Path::new(to.config()), std::iter::once(&*config))?;
    for (name, files) in [("model", Some(&lesson.start)), ("reference", lesson.reference.as_ref())]
    {
        let Some(files) = files else { continue };
        link_model(&folder.join(name), files)?;
        ui.print(&folder.join(name).display().to_string())?;
    }
    outputs.put(ui)?;
    ui.say(&said(&lesson, model));
    Ok(())
}

/// How many pairs there are, and what is to be done with what comes of them.
fn said(lesson: &Lesson, model: &NamedModel) -> String {
    let (pairs, node) = (thousands(lesson.pairs as u64), &lesson.node);
    let (experiment, next) = (model.experiment.display(), model.number + 1);
    if lesson.waits {
        let import = format!("mrx import checkpoint FOLDER --as {experiment}/m{next}");
        format!("{pairs} pairs; what comes of them becomes {node} by `{import}`")
    } else {
        format!(
            "{pairs} pairs; {node} is trained here, unless `[train]` says `trainer = \"import\"`"
        )
    }
}

/// How LLaMA-Factory is told of the file.
fn dataset_info() -> String {
    let columns =
        json!({ "messages": "conversations", "chosen": "chosen", "rejected": "rejected" });
    let pairs = json!({ "file_name": PAIRS, "formatting": "sharegpt", "ranking": true, "columns": columns });
    format!("{:#}\n", json!({ "pairs": pairs }))
}
