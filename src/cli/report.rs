//! `mrx report`: what experiments came to, as one page to hand on.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind};
use super::outputs::{Outputs, Over, unwritten};
use super::place::StorePlace;
use super::recorded;
use super::summary;
use super::ui::{Ui, thousands};
use crate::experiment::{Experiment, Machine};
use crate::report;
use crate::store::{RecordedPlan, Store};
use crate::study::{Asked, Claim, Overview};

/// Write what experiments came to as one page
///
/// The page needs no network and no server: it opens in any browser, from a folder or a mail. It shows win rates,
/// judges, pairs, trainings, costs and settings, and a sample of the rows: prompts that flipped with all answers,
/// and prompts of each iteration with every judgement and what became of their pairs. Several experiments stand
/// beside each other, with what differed between them. Those that a file makes over seeds are told as one: means over
/// seeds, differences at equal seeds, and what the file claims; a single seed is told by its own name.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Experiments of the store, by name or by where their files are
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<String>,

    /// Write the page to this file, - for stdout; of what is there already, only an earlier report is replaced
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
}

/// Bytes of a page for all that is not its script and its style: a mail carries five million.
const DATA: usize = 4_200_000;
const PAGE: usize = 5_000_000;

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let mut asked = named(&store, &args.experiments)?;
    let mut others = Vec::new();
    for one in asked.iter_mut().filter(|one| one.plans.len() > 1) {
        others.extend(with_claims(&store, one, ui)?);
    }
    let to_stdout = args.output == Path::new("-");
    if !to_stdout {
        check_free(&args.output)?;
    }
    let overview = Overview::of(&store, &asked, &others, DATA)?;
    let names: Vec<&str> = overview.experiments.iter().map(|one| one.name.as_str()).collect();
    let page = report::page(&names.join(", "), &overview)?;
    if page.len() > PAGE {
        let kilobytes = thousands(page.len() as u64 / 1000);
        ui.warn(&format!("the page takes {kilobytes} kB, for there are many experiments in it"));
    }
    if to_stdout {
        return ui.print(page.trim_end());
    }
    let (mut outputs, name) = Outputs::of_file(&args.output, Over::Anything)?;
    outputs.text(&name, std::iter::once(page.as_str()))?;
    outputs.put(ui)
}

/// Orders the experiments of a file as it does, and reads what it claims of them; returns those of other files that it
/// claims something of.
fn with_claims(store: &Store, asked: &mut Asked, ui: &Ui) -> Result<Vec<RecordedPlan>, Failure> {
    let first =
        asked.plans.first().and_then(|plan| Some((plan.file.clone()?, plan.variant.clone()?)));
    let Some((file, variant)) = first else { return Ok(Vec::new()) };
    let family = variant.family;
    let made = match Experiment::all(&file, &[], &Machine::any()) {
        Ok(made) => made,
        Err(error) => {
            ui.warn(&format!("what the file of `{family}` claims is left out: {error}"));
            return Ok(Vec::new());
        }
    };
    let place = |plan: &RecordedPlan| {
        made.iter().position(|one| one.plan().experiment == plan.experiment).unwrap_or(made.len())
    };
    asked.plans.sort_by_key(place);
    let claims = made.first().map(Experiment::claims).unwrap_or_default();
    asked.claims = claims.iter().cloned().map(summary::claimed).collect::<Vec<Claim>>();
    summary::others_claimed(store, &family, &asked.claims)
}

/// The experiments that are named, each of which has made something.
fn named(store: &Store, names: &[String]) -> Result<Vec<Asked>, Failure> {
    let plans = store.plans()?;
    let mut found: Vec<Asked> = Vec::new();
    for name in names {
        let mut named = recorded::find_all(&plans, name)?;
        if named.is_empty() {
            return Err(recorded::unknown(name, &plans));
        }
        // Of several that a file makes, those that were begun.
        if named.len() > 1 && named.iter().any(|plan| is_begun(store, plan)) {
            named.retain(|plan| is_begun(store, plan));
        }
        for plan in &named {
            if !is_begun(store, plan) {
                let text = "none of its nodes is made";
                let text = format!("there is nothing to show of `{}`: {text}", plan.experiment);
                return Err(Failure::new(Kind::Data, text).hint("`mrx run` makes them"));
            }
            let mut known = found.iter().flat_map(|asked| &asked.plans);
            if known.any(|known| known.experiment == plan.experiment) {
                let twice = &plan.experiment;
                let text = format!("expected each experiment once, found `{twice}` twice");
                return Err(Failure::new(Kind::Usage, text));
            }
        }
        found.push(Asked { plans: named, claims: Vec::new() });
    }
    Ok(found)
}

/// Whether any of its nodes is made.
fn is_begun(store: &Store, plan: &RecordedPlan) -> bool {
    plan.nodes.iter().filter_map(|node| node.run).any(|run| store.run_path(run).exists())
}

/// Checks before the work that the page can be written, and replaces nothing but another page.
fn check_free(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let text =
            format!("cannot write {}: there is no folder {}", path.display(), folder.display());
        return Err(Failure::new(Kind::Data, text));
    }
    let mut begins = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(256).read_to_end(&mut begins));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritten(path, &error)),
        Ok(0) => Ok(()),
        Ok(_) if report::is_page(&begins) => Ok(()),
        Ok(_) => {
            let text = format!("{} is there already, and is no report of mrx", path.display());
            Err(Failure::new(Kind::Data, text).hint("name another file with -o"))
        }
    }
}
