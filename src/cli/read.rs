//! `mrx read`: what a rule reads in a text, and why. Nothing is drawn and nothing is kept.

use std::io::Read as _;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;

use super::failure::{Failure, Kind};
use super::marked::{excerpt, marked_lines};
use super::ui::Ui;
use crate::experiment::{Explained, Reader, Whose};
use crate::records::Status;

/// Try how a verdict is read out of a text
///
/// Without an experiment, by a built-in rule; with one, as its judge, its meta-judge or its judge of
/// games is read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The experiment whose rule reads: a TOML file, or a folder with an experiment.toml
    experiment: Option<PathBuf>,

    /// The text; `-` reads it from stdin
    #[arg(long = "try", value_name = "TEXT", required_unless_present = "file")]
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,

    /// Read the text from a file
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    file: Option<PathBuf>,

    /// The built-in rule: score, whole-score, rating, winner, response, choice, arena, result, boxed, json
    #[arg(long, value_name = "NAME", conflicts_with = "experiment", default_value = "score")]
    rule: String,

    /// Whose verdict it is
    #[arg(long, value_name = "WHOSE", default_value = "judge", requires = "experiment")]
    of: Of,

    /// Set a value as if the file said so; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "experiment")]
    overrides: Vec<String>,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Shape,
}

/// Whose verdict is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Of {
    /// The judge's
    Judge,
    /// The meta-judge's
    MetaJudge,
    /// That of the judge of games
    Evaluate,
}

impl From<Of> for Whose {
    fn from(of: Of) -> Self {
        match of {
            Of::Judge => Self::Judge,
            Of::MetaJudge => Self::MetaJudge,
            Of::Evaluate => Self::Evaluate,
        }
    }
}

/// How to print a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// For a person
    Text,
    /// For a program
    Json,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), Failure> {
    let reader = match &args.experiment {
        Some(path) => Reader::of_experiment(path, &args.overrides, args.of.into())?,
        None => {
            Reader::built_in(&args.rule).map_err(|e| Failure::new(Kind::Usage, e.to_string()))?
        }
    };
    let text = text(args)?;
    let explained = reader.explain(&text);
    match args.format {
        Shape::Text => ui.print(&told(&reader, &explained)),
        Shape::Json => {
            let Explained { thinking, at, verdict, answer } = &explained;
            let matched = at.clone().and_then(|at| answer.get(at));
            let json = json!({
                "rule": reader.name(), "status": verdict.status, "value": verdict.value,
                "why": why(verdict.status, at.is_some()), "matched": matched, "answer": answer,
                "thinking": thinking,
            });
            ui.print(&serde_json::to_string_pretty(&json)?)
        }
    }
}

fn text(args: &Args) -> Result<String, Failure> {
    let fail = |from: &str, e: &std::io::Error| {
        Failure::new(Kind::Data, format!("cannot read {from}: {e}"))
    };
    match (&args.text, &args.file) {
        (Some(text), _) if text != "-" => Ok(text.clone()),
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|e| fail(&path.display().to_string(), &e))
        }
        _ => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|e| fail("stdin", &e))?;
            Ok(text)
        }
    }
}

/// What was read, and the lines that it stands in, with the place under it.
fn told(reader: &Reader, explained: &Explained) -> String {
    let Explained { thinking, answer, at, verdict } = explained;
    let read = match verdict.value {
        Some(value) => value.to_string(),
        None => verdict.status.as_str().to_owned(),
    };
    let mut lines = vec![format!("read   {read}"), format!("rule   {}", reader.name())];
    lines.push(format!("why    {}", why(verdict.status, at.is_some())));
    if let Some(thinking) = thinking {
        let characters = thinking.chars().count();
        let begins = excerpt(thinking);
        lines.push(format!("apart  {characters} characters of reasoning, not read: {begins}"));
    }
    if let Some(at) = at {
        lines.push(String::new());
        lines.extend(marked_lines(answer, at));
    }
    lines.join("\n")
}

const fn why(status: Status, found: bool) -> &'static str {
    match status {
        Status::Ok if found => "this is the verdict that counts",
        Status::Ok => "there is no verdict, and the rule says what that counts as",
        Status::Missing => "there is nothing that the rule takes for a verdict",
        Status::OffScale => "the verdict is outside the rule's scale",
        Status::Truncated => "the text was cut",
        Status::Ambiguous => "the marker is there, and names no one verdict",
        Status::Refused => "there is no text",
    }
}
