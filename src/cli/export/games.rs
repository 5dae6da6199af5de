//! `mrx export alpaca-eval`, `arena-hard` and `mt-bench`: models' answers to the held-out prompts and the verdicts on
//! them, in the files of benchmarks. What a benchmark cannot say is counted and told.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::layout::{Layout, Names, Part, Rows};
use super::sql::fill;
use crate::cli::diff::find;
use crate::cli::failure::{Failure, Kind};
use crate::cli::outputs::{Outputs, Over};
use crate::cli::place::StorePlace;
use crate::cli::tables::tell_lost;
use crate::cli::ui::{Ui, thousands};
use crate::query::{Session, quote};
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Models of one experiment, as `quickstart/m1`
    #[arg(value_name = "EXPERIMENT/MODEL", required = true)]
    models: Vec<String>,

    /// Write the files into this folder; where not given, one that is named after the experiment and the benchmark
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write over files that say something else
    #[arg(long)]
    force: bool,
}

/// How many rows there are of what.
#[derive(Debug, Deserialize)]
struct Counted {
    answers: u64,
    refused: u64,
    games: u64,
    played: u64,
    unreadable: u64,
    between_levels: u64,
    between_wins: u64,
    by_levels: u64,
    one_order: u64,
    grades: u64,
    baseline: Option<String>,
    judge: Option<String>,
}

/// A line of a file, made by a query.
#[derive(Deserialize)]
struct Line {
    line: String,
}

/// Models of one experiment.
struct Models {
    experiment: String,
    models: BTreeSet<String>,
}

impl Models {
    fn find(store: &Store, named: &[String]) -> Result<Self, Failure> {
        let mut found: Option<Self> = None;
        for name in named {
            let model = find(store, name)?;
            let all = found.get_or_insert_with(|| Self {
                experiment: model.experiment.clone(),
                models: BTreeSet::new(),
            });
            if all.experiment != model.experiment {
                let text = format!(
                    "models of `{}` and of `{}` go into exports of their own",
                    all.experiment, model.experiment
                );
                return Err(Failure::new(Kind::Usage, text));
            }
            all.models.insert(model.model);
        }
        found.ok_or_else(|| Failure::new(Kind::Usage, "expected a model of an experiment"))
    }

    /// A query over what all stand on.
    fn query(&self, rest: &str, values: &[(&'static str, String)]) -> String {
        let models: Vec<String> = self.models.iter().map(|model| quote(model)).collect();
        let (experiment, models) = (quote(&self.experiment), models.join(", "));
        let mut all = vec![("experiment", experiment.as_str()), ("models", models.as_str())];
        let more: Vec<_> = values
            .iter()
            .map(|(name, value)| (*name, fill(value, &[("experiment", &experiment)])))
            .collect();
        all.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
        fill(&format!("{}{rest}", include_str!("sql/played.sql")), &all)
    }

    fn count(&self, session: &Session) -> Result<Counted, Failure> {
        let counted = session.rows(&self.query(include_str!("sql/counted.sql"), &[]))?.pop();
        counted.ok_or_else(|| Failure::new(Kind::Bug, "a count gave no row"))
    }
}

pub(super) fn run(args: &Args, layout: Layout, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let models = Models::find(&store, &args.models)?;
    let session = Session::of(&store, &[&models.experiment])?;
    let counted = models.count(&session)?;
    tell_lost(&session, ui);
    check(&models, &counted)?;
    let names = Names {
        experiment: &models.experiment,
        baseline: counted.baseline.as_deref(),
        judge: counted.judge.as_deref(),
        by_levels: counted.by_levels > 0,
    };
    let named = || PathBuf::from(format!("{}-{}", models.experiment, layout.name()));
    let mut outputs =
        Outputs::of(&args.out.clone().unwrap_or_else(named), Over::forced(args.force))?;
    for part in parts(&models, &counted) {
        let Some(Rows { name, query, values, format }) = layout.file(part, &names) else {
            continue;
        };
        let query = models.query(query, &values);
        if let Some(format) = format {
            outputs.query(&name, &session, &query, format)?;
        } else {
            let lines: Vec<Line> = session.rows(&query)?;
            let parts = lines.iter().flat_map(|line| [line.line.as_str(), "\n"]);
            outputs.text(&name, parts)?;
        }
    }
    outputs.put(ui)?;
    tell(layout, &counted, ui);
    Ok(())
}

/// Refuses what would be an export of nothing, and of less than there is.
fn check(models: &Models, counted: &Counted) -> Result<(), Failure> {
    if counted.answers == 0 {
        let listed: Vec<&str> = models.models.iter().map(String::as_str).collect();
        let text = format!(
            "`{}` has no answers of {} to held-out prompts",
            models.experiment,
            listed.join(", ")
        );
        let hint =
            "`[evaluate]` says what every model is asked; `mrx run EXPERIMENT evaluate.m1` asks it";
        return Err(Failure::new(Kind::Data, text).hint(hint));
    }
    if counted.games != counted.played {
        let text = format!(
            "{} of {} verdicts are about answers that are not there",
            counted.games.abs_diff(counted.played),
            counted.games
        );
        return Err(Failure::new(Kind::Damaged, text).hint("`mrx store verify` says what is lost"));
    }
    Ok(())
}

/// What is written, in the order in which it is told.
fn parts<'m>(models: &'m Models, counted: &Counted) -> Vec<Part<'m>> {
    let all = || models.models.iter().map(String::as_str);
    let mut parts = vec![Part::Questions];
    parts.extend(all().map(Part::Answers));
    if counted.games > 0 {
        let is_among = |name: &str| all().any(|m| format!("{}-{m}", models.experiment) == name);
        if !counted.baseline.as_deref().is_some_and(is_among) {
            parts.push(Part::BaselineAnswers);
        }
        parts.extend(all().map(Part::Verdicts));
        parts.push(Part::AllVerdicts);
    }
    if counted.grades > 0 {
        parts.extend(all().map(Part::Grades));
    }
    parts
}

/// Says how much was written, and what the benchmark reads otherwise.
fn tell(layout: Layout, counted: &Counted, ui: &Ui) {
    let n = |count: u64| thousands(count);
    let Counted { answers, games, .. } = counted;
    ui.say(&format!("{} answers, {} games", n(*answers), n(*games)));
    let warn = |count: u64, what: &str| {
        if count > 0 {
            ui.warn(&format!("{} {what}", n(count)));
        }
    };
    warn(counted.refused, "answers were refused by the model: they are empty texts");
    warn(counted.unreadable, layout.unreadable());
    match layout {
        Layout::AlpacaEval => {}
        Layout::ArenaHard if counted.by_levels > 0 => {
            warn(counted.between_levels, "verdicts lie between two levels: the nearest is written");
        }
        Layout::ArenaHard | Layout::MtBench => {
            warn(counted.between_wins, "verdicts are weighed, and here only the winner is said");
        }
    }
    if layout != Layout::AlpacaEval {
        let what = "games were played in one order: the benchmark wants both, and leaves these out";
        warn(counted.one_order, what);
    }
}
