//! `mrx batch`: requests into files for somebody else to run, and replies from the files that come back.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::alone::{attempt, one_node, to_make};
use super::failure::{Failure, Kind};
use super::machine::Here;
use super::place::StorePlace;
use super::ui::{Ui, thousands};
use crate::experiment::remote::{self, Export, Replies, Stopped, Work};
use crate::experiment::{Experiment, ModelError};
use crate::runner::{Event, Listener, StageError};
use crate::store::{Batch, FORMAT, Store};

/// Hears nothing: what files come to is told by itself.
struct Silent;

impl Listener for Silent {
    fn hear(&self, _: &Event) {}
}

/// Where what draws from files computes.
const DEVICE: &str = "cpu";

/// Write requests into files for somebody else to run, and take the replies
///
/// The files are those that batch APIs and `vllm run-batch` take: a request a line, found again by the id of
/// its row. What comes back may be in any order, in parts, and twice.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Export(ExportArgs),
    Import(ImportArgs),
}

/// Write the requests of a node that are not answered yet
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// A folder with experiment.toml, or a TOML file
    experiment: PathBuf,

    /// The node, as `judge.m1`; what it reads has to be made
    node: String,

    /// Write the files into this folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Requests in a file, at most
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    max_requests: usize,

    /// Megabytes of a file, at most
    #[arg(long, value_name = "MB", default_value_t = 200)]
    max_megabytes: u64,

    /// Set a value as if the file said so; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Take the replies to requests that `export` wrote; `mrx run` then goes on
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// Files of replies, in any order
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(command: &Command, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    match command {
        Command::Export(args) => export(args, place, ui),
        Command::Import(args) => import(args, place, ui),
    }
}

fn export(args: &ExportArgs, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let ExportArgs { experiment: file, node, out, max_requests, max_megabytes, overrides } = args;
    std::fs::create_dir_all(out)?;
    let work = Work::Export(Export {
        folder: out.clone(),
        stem: node.clone(),
        max_requests: (*max_requests).max(1),
        max_bytes: max_megabytes.saturating_mul(1_000_000).max(1),
    });
    let here = Here::look(place)?;
    let experiment = Experiment::load(file, overrides, &here.with_work(node.clone(), work))?;
    let store = place.create()?;
    let name = one_node(experiment.plan(), node)?;
    let Some(run) = to_make(&store, experiment.plan(), &name)? else {
        ui.say(&format!("nothing to export: {node} is made"));
        return Ok(());
    };
    let error = match attempt(&store, experiment.plan(), &name, (&Silent, DEVICE))? {
        Ok(()) => {
            ui.say(&format!("nothing to export: {node} is made now, for no request was left"));
            return Ok(());
        }
        Err(error) => error,
    };
    match stopped(&error) {
        Some(Stopped::Exported { ids, files }) => {
            let file = std::path::absolute(experiment.path())?;
            let (overrides, node) = (overrides.clone(), node.clone());
            let batch = Batch { format: FORMAT, run, node, file, overrides };
            store.record_batch(&batch, ids)?;
            for file in files {
                ui.print(&file.display().to_string())?;
            }
            let (requests, files) = (thousands(ids.len() as u64), files.len());
            ui.say(&format!(
                "{requests} requests in {files} files; `mrx batch import` takes the replies"
            ));
            Ok(())
        }
        _ => Err(Failure { kind: Kind::Stage, ..Failure::of(error) }),
    }
}

fn import(args: &ImportArgs, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let replies = Arc::new(Replies::find(args.files.clone())?);
    let store = place.open()?;
    let here = Here::look(place)?;
    let wanted = wanted(&store, &replies)?;
    let mut worst = None;
    for batch in wanted {
        let told = take(&store, &here, &batch, &replies)?;
        ui.print(&format!("{:<16} {}", batch.node, told.words))?;
        worst = worst.or(told.failure);
    }
    worst.map_or(Ok(()), Err)
}

/// The batches that some replies are for. A reply to nothing that was asked is a mistake, and then none is
/// taken.
fn wanted(store: &Store, replies: &Replies) -> Result<Vec<Batch>, Failure> {
    const SHOWN: usize = 3;
    let mut unknown: BTreeSet<&str> = replies.ids().collect();
    let mut wanted = Vec::new();
    for batch in store.batches()? {
        let rows = store.batch_rows(batch.run)?;
        let before = unknown.len();
        unknown.retain(|id| !rows.contains(*id));
        if unknown.len() < before {
            wanted.push(batch);
        }
    }
    if unknown.is_empty() {
        return Ok(wanted);
    }
    let first: Vec<&str> = unknown.iter().take(SHOWN).copied().collect();
    let text = format!(
        "{} replies are to requests that this store never exported: {}{}; nothing was taken",
        unknown.len(),
        first.join(", "),
        if unknown.len() > SHOWN { ", …" } else { "" }
    );
    Err(Failure::new(Kind::Data, text)
        .hint("is it a batch of another experiment, or of another store?"))
}

/// What came of the replies to one batch.
struct Told {
    words: String,
    failure: Option<Failure>,
}

fn take(
    store: &Store,
    here: &Here,
    batch: &Batch,
    replies: &Arc<Replies>,
) -> Result<Told, Failure> {
    let said = |words: String| Ok(Told { words, failure: None });
    let work = Work::Import(Arc::clone(replies));
    let machine = here.with_work(batch.node.clone(), work);
    let experiment = Experiment::load(&batch.file, &batch.overrides, &machine)?;
    let name = one_node(experiment.plan(), &batch.node)?;
    match to_make(store, experiment.plan(), &name)? {
        None => return said("is made already".to_owned()),
        Some(run) if run != batch.run => {
            let text = format!(
                "{} is not what it was when its requests were exported: the experiment has changed",
                batch.node
            );
            let hint = "put the experiment back as it was, or export again";
            return Err(Failure::new(Kind::Data, text).hint(hint));
        }
        Some(_) => {}
    }
    let error = match attempt(store, experiment.plan(), &name, (&Silent, DEVICE))? {
        Ok(()) => return said("is made".to_owned()),
        Err(error) => error,
    };
    let Some(Stopped::Imported { taken, missing, failed }) = stopped(&error) else {
        let failure = Failure { kind: Kind::Stage, ..Failure::of(error) };
        return Ok(Told { words: "failed".to_owned(), failure: Some(failure) });
    };
    let (taken, missing) = (thousands(*taken as u64), thousands(*missing as u64));
    let first = format!("{taken} rows taken, {missing} missing");
    let failed = failed.iter().map(|(row, why)| format!("    {row}: {why}"));
    said(std::iter::once(first).chain(failed).collect::<Vec<_>>().join("\n"))
}

fn stopped(error: &StageError) -> Option<&Stopped> {
    match ModelError::remote(error.as_ref()) {
        Some(remote::Error::Batch(stopped)) => Some(stopped),
        _ => None,
    }
}
