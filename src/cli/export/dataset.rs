//! `mrx export dataset`: an experiment as a folder that `datasets.load_dataset` reads, with a card that says how it
//! was made.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};

use super::made::Made;
use super::preferences;
use super::recorded::recorded;
use crate::cli::failure::{Failure, Kind};
use crate::cli::outputs::{Outputs, Over};
use crate::cli::place::StorePlace;
use crate::cli::tables::tell_lost;
use crate::cli::ui::{Ui, thousands};
use crate::query::{Format, Session, TABLES, keys, quote};

/// Write an experiment as a dataset for Hugging Face, with a card
///
/// Each table is a configuration, and `preferences` holds the kept pairs as TRL takes them: `load_dataset(DIR,
/// "responses")`. What the loop made is the split `train`, held-out prompts and what was made of them `test`. The card,
/// `README.md`, says the experiment, its settings, its models' digests and the digest of every table;
/// `how_it_was_made.json` says it to programs. Weights are not in it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// An experiment of the store, as `quickstart`
    experiment: String,

    /// These tables alone, as `pairs,responses`; where not given, all that have rows
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    tables: Vec<String>,

    /// The licence, by its name at Hugging Face, as `apache-2.0`: texts of models may be under their models' licences
    #[arg(long, value_name = "LICENCE", default_value = "unknown")]
    license: String,

    /// Write into this folder; where not given, one that is named after the experiment
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write over files that say something else
    #[arg(long)]
    force: bool,
}

/// Rows of a split.
#[derive(Debug, Serialize, Deserialize)]
struct Split {
    split: String,
    rows: u64,
    #[serde(default)]
    bytes: u64,
}

/// A table of the dataset.
#[derive(Debug, Serialize)]
struct Config {
    name: &'static str,
    /// Its schema's own words.
    about: String,
    splits: Vec<Split>,
    bytes: u64,
}

/// The configuration of the pairs as TRL takes them.
const PREFERENCES: &str = "preferences";
const CARD: &str = "README.md";

/// Which split a row is of: the loop's own, or held out.
const SPLIT: &str = "CASE part WHEN 'eval' THEN 'test' WHEN 'panel' THEN 'test' WHEN 'validation' THEN 'validation' \
                     ELSE 'train' END";

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let Args { experiment, tables, license, out, force } = args;
    let store = place.open()?;
    let plan = recorded(&store, experiment)?;
    let names: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
    let unknown =
        tables.iter().find(|table| *table != PREFERENCES && !names.contains(&table.as_str()));
    if let Some(unknown) = unknown {
        let failure = Failure::new(Kind::Usage, format!("there is no table `{unknown}`"));
        return Err(failure.hint(format!("one of {PREFERENCES}, {}", names.join(", "))));
    }
    let wanted = |name: &str| tables.is_empty() || tables.iter().any(|table| table == name);
    let session = Session::of(&store, &[experiment])?;
    let folder = out.clone().unwrap_or_else(|| format!("{experiment}-dataset").into());
    let mut dataset = Dataset {
        outputs: Outputs::of(&folder, Over::forced(*force))?,
        session,
        configs: Vec::new(),
    };
    if wanted(PREFERENCES) {
        dataset.preferences(experiment)?;
    }
    for (name, ddl) in TABLES.iter().filter(|(name, _)| wanted(name)) {
        dataset.table(name, ddl, experiment)?;
    }
    if dataset.configs.is_empty() {
        let text = format!("`{experiment}` has no rows of {}", tables.join(", "));
        return Err(Failure::new(Kind::Data, text));
    }
    tell_lost(&dataset.session, ui);
    let made = Made::of(&store, &plan)?;
    let Dataset { mut outputs, configs, .. } = dataset;
    let card = card(&configs, &made, experiment, license)?;
    outputs.text(Path::new(CARD), std::iter::once(card.as_str()))?;
    let json = format!("{:#}\n", made.json());
    outputs.text(Path::new("how_it_was_made.json"), std::iter::once(json.as_str()))?;
    outputs.put(ui)?;
    let rows: u64 = configs.iter().flat_map(|config| &config.splits).map(|split| split.rows).sum();
    ui.say(&format!("{} tables, {} rows", configs.len(), thousands(rows)));
    if license == "unknown" {
        ui.warn("the card says that the licence is unknown: `--license` names one");
    }
    Ok(())
}

/// A dataset as it is written.
struct Dataset {
    outputs: Outputs,
    session: Session,
    configs: Vec<Config>,
}

impl Dataset {
    fn preferences(&mut self, experiment: &str) -> Result<(), Failure> {
        let query = preferences::query(experiment, "");
        let about = "The kept pairs as conversations, for TRL: `chosen` and `rejected` hold the prompt, too";
        let counted =
            format!("SELECT 'train' AS split, count(*) AS rows FROM ({query}) HAVING rows > 0");
        let splits: Vec<Split> = self.session.rows(&counted)?;
        self.config(PREFERENCES, about.to_owned(), splits, |_| query.clone())
    }

    fn table(&mut self, name: &'static str, ddl: &str, experiment: &str) -> Result<(), Failure> {
        let from = format!("FROM {name} WHERE experiment = {}", quote(experiment));
        let splits: Vec<Split> = self.session.rows(&format!(
            "SELECT {SPLIT} AS split, count(*) AS rows {from} GROUP BY ALL ORDER BY split DESC"
        ))?;
        let key = keys()?.into_iter().find(|[table, _]| table == name);
        let order = key.map_or("ALL".to_owned(), |[_, column]| format!("node, {column}"));
        self.config(name, about(ddl), splits, |split| {
            format!("{from} AND {SPLIT} = {} ORDER BY {order}", quote(split))
        })
    }

    /// Writes the splits of a configuration, if there are any.
    fn config(
        &mut self,
        name: &'static str,
        about: String,
        mut splits: Vec<Split>,
        query: impl Fn(&str) -> String,
    ) -> Result<(), Failure> {
        for split in &mut splits {
            let file = PathBuf::from(format!("{name}/{}-00000-of-00001.parquet", split.split));
            let query = query(&split.split);
            split.bytes = self.outputs.query(&file, &self.session, &query, Format::Parquet)?;
        }
        let bytes = splits.iter().map(|split| split.bytes).sum();
        if !splits.is_empty() {
            self.configs.push(Config { name, about, splits, bytes });
        }
        Ok(())
    }
}

/// What a table's schema says of the table.
fn about(ddl: &str) -> String {
    let comment = ddl.split_once("COMMENT ON TABLE").and_then(|(_, rest)| rest.split_once('\''));
    let comment = comment.and_then(|(_, rest)| rest.split_once("';"));
    comment.map(|(text, _)| text.replace("''", "'")).unwrap_or_default()
}

/// Writes the card.
fn card(
    configs: &[Config],
    made: &Made,
    experiment: &str,
    license: &str,
) -> Result<String, Failure> {
    let in_yaml = |text: &str| serde_json::Value::from(text).to_string();
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build()?);
    let context = context! {
        configs => Serde(configs), made => Serde(made), experiment => experiment,
        quoted_name => in_yaml(experiment), quoted_license => in_yaml(license),
        license => license, is_trainable => configs.iter().any(|config| config.name == PREFERENCES),
    };
    Ok(environment.render_str(include_str!("card.md.jinja"), context)?)
}
