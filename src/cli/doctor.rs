//! `mrx doctor`: look at servers before a run does.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::failure::{Failure, Kind};
use super::machine::Here;
use super::place::StorePlace;
use super::tables::print_rows;
use super::ui::{Label, Ui};
use crate::experiment::doctor::{Address, NoPatient, Patient};
use crate::experiment::remote::{Finding, Options, Verdict};
use crate::query::Format;

/// Look at a server, or at the engines of an experiment, before a run does
///
/// Asks who it is, draws a few short texts, and sends twice as many requests at once as a run would. What
/// fails is told with what it costs a run. No row is kept. Exits with 1 where a check fails.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An address, as `http://localhost:8000`; or a folder with experiment.toml, or a TOML file
    #[arg(value_name = "ENDPOINT|EXPERIMENT")]
    target: String,

    /// What the model is served as; without it, the only one that there is
    #[arg(long, value_name = "NAME", help_heading = "Of an endpoint")]
    model: Option<String>,

    /// The model's folder, for its chat template and its tokens
    #[arg(long, value_name = "DIR", help_heading = "Of an endpoint")]
    folder: Option<PathBuf>,

    /// What kind of server it is: vllm, sglang, llama-server, transformers, openai; guessed without it
    #[arg(long, value_name = "NAME", help_heading = "Of an endpoint")]
    preset: Option<String>,

    /// The variable of the environment that holds its key
    #[arg(long, value_name = "NAME", help_heading = "Of an endpoint")]
    api_key_env: Option<String>,

    /// Requests to send at once; without it, twice as many as a run sends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    load: Option<u32>,

    /// Set a value as if the file said so; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Print a JSON array, an object for each check
    #[arg(long)]
    json: bool,
}

/// A check, for a program.
#[derive(Serialize)]
struct Told<'t> {
    engine: &'t str,
    roles: &'t [&'static str],
    #[serde(flatten)]
    finding: Finding,
}

/// A check, for a person.
#[derive(Serialize, Deserialize)]
struct Line {
    check: String,
    verdict: String,
    found: String,
    #[serde(rename = "what it costs a run")]
    costs: Option<String>,
}

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let here = Here::look(place)?;
    let patients = patients(args, &here)?;
    if patients.is_empty() {
        let text = format!("every role of {} is run by mrx itself, or by files", args.target);
        return Err(Failure::new(Kind::Usage, text)
            .hint("`[engine]` says which server or command runs a model"));
    }
    let options = Options { load: args.load.map(|load| load as usize) };
    let mut told = Vec::new();
    for patient in &patients {
        let folder = match patient.started_with() {
            Some(files) => place.create()?.lay_out("doctor", files)?,
            None => PathBuf::new(),
        };
        let findings = patient.examine(&folder, options).map_err(Failure::of);
        let (engine, roles) = (patient.name(), patient.roles());
        let findings = findings.map_err(|failure| which(failure, args))?;
        told.extend(findings.into_iter().map(|finding| Told { engine, roles, finding }));
    }
    if args.json {
        let text =
            serde_json::to_string_pretty(&told).map_err(|error| Failure::of(error.into()))?;
        ui.print(&text)?;
    } else {
        print(&told, ui)?;
    }
    sum_up(&told, ui)
}

fn patients(args: &Args, here: &Here) -> Result<Vec<Patient>, Failure> {
    let machine = here.machine("cpu");
    let url = args.target.clone();
    let of_endpoint = [
        ("--model", args.model.is_some()),
        ("--folder", args.folder.is_some()),
        ("--preset", args.preset.is_some()),
        ("--api-key-env", args.api_key_env.is_some()),
    ];
    if !is_address(&url) {
        if let Some((flag, _)) = of_endpoint.iter().find(|(_, given)| *given) {
            let text = format!("`{flag}` says what an endpoint is, and {url} is an experiment");
            return Err(Failure::new(Kind::Usage, text).hint("`--set` changes what it says"));
        }
        return Ok(Patient::all_of(Path::new(&url), &args.overrides, &machine)?);
    }
    if !args.overrides.is_empty() {
        let text = "`--set` changes what an experiment says, and this is an address";
        return Err(Failure::new(Kind::Usage, text));
    }
    let (model, folder, preset) = (args.model.clone(), args.folder.clone(), args.preset.clone());
    let address = Address { url, model, folder, preset, api_key_env: args.api_key_env.clone() };
    let patient = Patient::at(address, &machine);
    patient.map(|patient| vec![patient]).map_err(|error| which(Failure::of(error), args))
}

fn is_address(target: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| target.starts_with(scheme))
}

/// What helps where it is not clear what is meant.
fn which(failure: Failure, args: &Args) -> Failure {
    let Some(error) = failure.error.downcast_ref::<NoPatient>() else { return failure };
    let address = is_address(&args.target);
    let kind = if address { Kind::Usage } else { Kind::Data };
    let hint = match error {
        NoPatient::WhichModel { .. } if address => "`--model NAME` names it",
        NoPatient::WhichModel { .. } => "`served_name` of its engine names it",
        _ => return Failure { kind, ..failure },
    };
    Failure { kind, ..failure }.hint(hint)
}

/// Prints a table for each server.
fn print(told: &[Told<'_>], ui: &Ui) -> Result<(), Failure> {
    for (nth, server) in told.chunk_by(|a, b| a.finding.at == b.finding.at).enumerate() {
        let Some(Told { engine, roles, finding }) = server.first() else { continue };
        let roles =
            if roles.is_empty() { String::new() } else { format!(" ({})", roles.join(", ")) };
        let space = if nth == 0 { "" } else { "\n" };
        ui.print(&format!("{space}{engine} at {}{roles}", finding.at))?;
        let lines: Vec<Line> = server.iter().map(|told| line(&told.finding)).collect();
        print_rows(ui, Format::Table, &lines)?;
        // A table may cut them.
        let failed = server.iter().filter(|told| told.finding.verdict == Verdict::Fail);
        for Finding { check, found, costs, .. } in failed.map(|told| &told.finding) {
            ui.print(&format!("\n{check}: {found}\n  {costs}"))?;
        }
    }
    Ok(())
}

fn line(finding: &Finding) -> Line {
    let verdict = match finding.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Unknown => "unknown",
    };
    Line {
        check: finding.check.to_owned(),
        verdict: verdict.to_owned(),
        found: finding.found.clone(),
        costs: Some(finding.costs.clone()).filter(|costs| !costs.is_empty()),
    }
}

/// Says how many checks fail, and fails where one does.
fn sum_up(told: &[Told<'_>], ui: &Ui) -> Result<(), Failure> {
    let count = |verdict| told.iter().filter(|told| told.finding.verdict == verdict).count();
    let (all, failed, unknown) = (told.len(), count(Verdict::Fail), count(Verdict::Unknown));
    if failed > 0 {
        return Err(Failure::new(Kind::Data, format!("{failed} of {all} checks fail")));
    }
    let text = if unknown == 0 {
        format!("all {all} checks pass")
    } else {
        format!("{} checks pass, {unknown} could not be told", all - unknown)
    };
    ui.say(&ui.paint(Label::Good, &text));
    Ok(())
}
