//! `mrx export preferences`: the kept pairs of an experiment as a preference set of TRL's.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Deserialize;

use super::recorded::recorded;
use super::sql::fill;
use super::table::format_of;
use crate::cli::failure::{Failure, Kind};
use crate::cli::outputs::{Outputs, Over};
use crate::cli::place::StorePlace;
use crate::cli::tables::tell_lost;
use crate::cli::ui::{Ui, thousands};
use crate::query::{Format, Session, quote};

/// Write the kept pairs of an experiment as a preference set for TRL
///
/// `chosen` and `rejected` are conversations, the prompt's messages and an answer: TRL's conversational format with
/// an implicit prompt, which its `DPOTrainer` takes as it is. Beside them stand `score_chosen`, `score_rejected`, `role`
/// (actor or judge), `model`, `prompt_id` and `pair_id`. Texts are without what was thought. `mrx export pairs`
/// writes what one training takes, with its settings and the reference's log-probabilities.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// An experiment of the store, as `quickstart`, or a model of it, as `quickstart/m1`
    #[arg(value_name = "EXPERIMENT[/MODEL]")]
    of: String,

    /// Pairs of answers, or of judgements; both where not given
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,

    /// The file, which ends with .parquet, .jsonl or .json; where not given, one that is named after the experiment
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write over a file that says something else
    #[arg(long)]
    force: bool,
}

/// Whose pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Actor,
    Judge,
}

/// How many there are.
#[derive(Deserialize)]
struct Counted {
    kept: u64,
    dropped: u64,
}

/// The query of an experiment's preference set.
pub(super) fn query(experiment: &str, more: &str) -> String {
    let values = [("experiment", quote(experiment)), ("more", more.to_owned())];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    fill(include_str!("sql/preferences.sql"), &values)
}

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let (experiment, model) = match args.of.rsplit_once('/') {
        Some((experiment, model)) => (experiment, Some(model)),
        None => (args.of.as_str(), None),
    };
    recorded(&store, experiment)?;
    let of_model = model.map(|model| format!(" AND model = {}", quote(model))).unwrap_or_default();
    let of_role = match args.role {
        Some(Role::Actor) => " AND role = 'actor'",
        Some(Role::Judge) => " AND role = 'judge'",
        None => "",
    };
    let more = format!("{of_model}{of_role}");
    let session = Session::of(&store, &[experiment])?;
    let count = format!(
        "SELECT count(*) FILTER (kept) AS kept, count(*) FILTER (NOT kept) AS dropped FROM pairs \
         WHERE experiment = {} AND part IS NULL{more}",
        quote(experiment)
    );
    let counted: Option<Counted> = session.rows(&count)?.pop();
    let Counted { kept, dropped } =
        counted.ok_or_else(|| Failure::new(Kind::Bug, "a count gave no row"))?;
    tell_lost(&session, ui);
    if kept == 0 {
        let text = format!("`{}` has no kept pairs, and {} that were dropped", args.of, dropped);
        return Err(Failure::new(Kind::Data, text));
    }
    let named = || format!("{}-preferences.parquet", args.of.replace('/', "-")).into();
    let out = args.out.clone().unwrap_or_else(named);
    write(&session, &query(experiment, &more), &out, args.force, ui)?;
    let (kept, dropped) = (thousands(kept), thousands(dropped));
    ui.say(&format!("{kept} pairs; {dropped} that were dropped are not among them"));
    Ok(())
}

fn write(session: &Session, query: &str, out: &Path, force: bool, ui: &Ui) -> Result<(), Failure> {
    let format = format_of(out)?;
    if !matches!(format, Format::Parquet | Format::Jsonl | Format::Json) {
        let text =
            format!("{}: conversations are lists, which this format has none of", out.display());
        let hint = "let the file's name end with .parquet, .jsonl or .json";
        return Err(Failure::new(Kind::Usage, text).hint(hint));
    }
    let (mut outputs, name) = Outputs::of_file(out, Over::forced(force))?;
    outputs.query(&name, session, query, format)?;
    outputs.put(ui)
}
