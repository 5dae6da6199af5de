//! `mrx init`: a first experiment, with its comments, its SQL and its templates.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::failure::{Failure, Kind};
use super::outputs::{Outputs, Over};
use super::ui::Ui;
use crate::experiment::schema;

/// Write a first experiment, with comments, that runs as written
///
/// Files that are there already are left alone. Beside the experiment lies its schema, by which editors complete and check
/// `experiment.toml`; `mrx show --experiment` prints what every field means.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write into, whose name becomes the experiment's; where not given, named after the template
    folder: Option<PathBuf>,

    /// What to begin with
    #[arg(long, short, value_name = "TEMPLATE", default_value = "quickstart")]
    template: Template,

    /// The folder of your model, as transformers saves it: for own-model and api
    #[arg(long, value_name = "DIR")]
    #[arg(required_if_eq_any([("template", "own-model"), ("template", "api")]))]
    model: Option<PathBuf>,
}

/// What an experiment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Template {
    /// The whole loop on a tiny model that begins at random, in minutes
    Quickstart,
    /// The loop on a model of yours, with a dozen prompts
    OwnModel,
    /// Numbers with intervals from a CSV of verdicts that were made elsewhere
    Verdicts,
    /// The loop on a model of yours, whose games a model behind an API decides
    Api,
}

/// Files by their names in the folder.
type Files = &'static [(&'static str, &'static str)];

/// Files of the experiments of the project.
macro_rules! files {
    ($($folder:literal: $($name:literal),*);*) => {
        &[$($(($name, include_str!(concat!("../../experiments/", $folder, "/", $name)))),*),*]
    };
}

const QUICKSTART: Files = files!(
    "quickstart": "experiment.toml", "examples.sql", "prompts.sql", "eval.sql", "oracle.sql",
    "judge.jinja", "meta_judge.jinja", "model/config.json", "model/generation_config.json",
    "model/tokenizer.json", "model/tokenizer_config.json", "model/chat_template.jinja"
);
const OWN_MODEL: Files = files!(
    "own_model": "experiment.toml", "prompts.sql", "prompts.jsonl", "eval.sql", "eval.jsonl"
);
const VERDICTS: Files = files!(
    "win_rates": "experiment.toml", "verdicts.csv", "win_rate.sql", "win_rate_and_lengths.sql",
    "gain.sql", "position_bias.sql"
);
const API: Files = files!(
    "api_judge": "experiment.toml";
    "own_model": "prompts.sql", "prompts.jsonl", "eval.sql", "eval.jsonl"
);

/// What helps where a file is there already.
const ELSEWHERE: &str = "name another folder, or take away what is there";

const EXPERIMENT: &str = "experiment.toml";
const SCHEMA: &str = "experiment.schema.json";

impl Template {
    const fn files(self) -> Files {
        match self {
            Self::Quickstart => QUICKSTART,
            Self::OwnModel => OWN_MODEL,
            Self::Verdicts => VERDICTS,
            Self::Api => API,
        }
    }

    /// The folder where none is named.
    const fn folder(self) -> &'static str {
        match self {
            Self::Quickstart => "quickstart",
            Self::OwnModel => "own-model",
            Self::Verdicts => "verdicts",
            Self::Api => "api-judge",
        }
    }

    /// What to do next, after looking: the folder follows.
    const fn next(self) -> [&'static str; 2] {
        match self {
            Self::Verdicts => [
                "mrx run",
                "mrx sql \"SELECT name, value, low, high FROM estimates WHERE name NOT LIKE '%/%'\"",
            ],
            _ => ["mrx plan", "mrx run"],
        }
    }
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<(), Failure> {
    let Args { folder, template, model } = args;
    let model = model.as_deref().map(|model| checked(model, *template)).transpose()?;
    let folder = folder.clone().unwrap_or_else(|| template.folder().into());
    let name = name_of(&folder, *template)?;
    let mut outputs = Outputs::of(&folder, Over::TheSame(ELSEWHERE))?;
    for (file, text) in template.files() {
        let text = match *file {
            EXPERIMENT => Cow::Owned(own(text, &name, model.as_deref())?),
            _ => Cow::Borrowed(*text),
        };
        outputs.text(Path::new(file), std::iter::once(&*text))?;
    }
    let schema = serde_json::to_string_pretty(&schema())? + "\n";
    outputs.text(Path::new(SCHEMA), std::iter::once(schema.as_str()))?;
    outputs.put(ui)?;
    ui.say("\nnext:");
    let shown = folder.display().to_string();
    let shown = if shown.contains(' ') { format!("'{shown}'") } else { shown };
    for command in template.next() {
        let whole =
            if command.ends_with('"') { command.to_owned() } else { format!("{command} {shown}") };
        ui.say(&format!("  {whole}"));
    }
    Ok(())
}

/// The place of a model, from anywhere.
fn checked(model: &Path, template: Template) -> Result<String, Failure> {
    if !matches!(template, Template::OwnModel | Template::Api) {
        let text =
            "`--model` is for the templates own-model and api: this one runs no model of yours";
        return Err(Failure::new(Kind::Usage, text));
    }
    if !model.join("config.json").is_file() {
        let text =
            format!("expected a model's folder, found no config.json in {}", model.display());
        let hint = "it is the folder that `save_pretrained` of transformers writes";
        return Err(Failure::new(Kind::Data, text).hint(hint));
    }
    Ok(std::path::absolute(model)?.display().to_string())
}

/// The name of an experiment in a folder.
fn name_of(folder: &Path, template: Template) -> Result<String, Failure> {
    let whole = std::path::absolute(folder)?;
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = name.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    let name = name.trim_matches(['-', '.', '_']);
    Ok(if name.is_empty() { template.folder() } else { name }.to_owned())
}

/// The file of the experiment with its own name and model, and with the line by which editors find the schema.
fn own(text: &str, name: &str, model: Option<&str>) -> Result<String, Failure> {
    const MODEL: &str = "path = \"model\"";
    let line = text.lines().find(|line| line.starts_with("name = "));
    let line = line.ok_or_else(|| Failure::new(Kind::Bug, "the template has no name"))?;
    let text = text.replacen(line, &format!("name = {}", quoted(name)), 1);
    let path = |line: &str| {
        line.strip_prefix(MODEL).map(|rest| (line.to_owned(), rest.trim_start().to_owned()))
    };
    let text = match (model, text.lines().find_map(path)) {
        (Some(model), Some((line, comment))) => {
            let path = format!("path = {}", quoted(model));
            text.replacen(&line, format!("{path:<29} {comment}").trim_end(), 1)
        }
        _ => text,
    };
    Ok(format!("#:schema ./{SCHEMA}\n{text}"))
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
