//! `mrx export table` and `mrx export query`: rows in a file, in a form that other programs read.

use std::path::{Path, PathBuf};

use super::recorded::recorded;
use crate::cli::failure::{Failure, Kind};
use crate::cli::outputs::{Outputs, Over};
use crate::cli::place::StorePlace;
use crate::cli::tables::{format, tell_lost};
use crate::cli::ui::Ui;
use crate::query::{Format, Session, quote};

/// Where rows go.
#[derive(Debug, clap::Args)]
struct Place {
    /// The file; how it ends says the format: .parquet, .jsonl, .json, .csv, .arrow or .md
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// The format, where the file's name does not say it
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    format: Option<Format>,

    /// Write over a file that says something else
    #[arg(long)]
    force: bool,
}

/// Write a table, of one experiment or of all, into a file
///
/// A table is a view of `mrx sql`, with its columns `experiment`, `model`, `node`, `part` and `run`. Lists and
/// structures stay what they are in Parquet and JSON, and are JSON in the cells of CSV.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TableArgs {
    /// The table, as `pairs`; `mrx sql --help` lists them
    table: String,

    /// Rows of this experiment alone
    #[arg(long, short, value_name = "NAME")]
    experiment: Option<String>,

    #[command(flatten)]
    place: Place,
}

/// Write the rows of a query into a file
///
/// `mrx sql QUERY --format csv` prints the same rows, for a pipe; this writes a file that is whole or not there, and
/// never over another.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct QueryArgs {
    /// The query
    #[arg(required_unless_present = "file")]
    query: Option<String>,

    /// Read the query from a file
    #[arg(long, short, value_name = "FILE", conflicts_with = "query")]
    file: Option<PathBuf>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run_table(args: &TableArgs, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let TableArgs { table, experiment, place } = args;
    let session = Session::open(&store)?;
    let columns = session.columns()?;
    let has = |column: &str| columns.iter().any(|(view, name)| view == table && name == column);
    if !columns.iter().any(|(view, _)| view == table) {
        let mut views: Vec<&str> = columns.iter().map(|(view, _)| view.as_str()).collect();
        views.dedup();
        let failure = Failure::new(Kind::Usage, format!("there is no table `{table}`"));
        return Err(failure.hint(format!("one of {}", views.join(", "))));
    }
    let Some(experiment) = experiment else {
        return write(&session, &format!("FROM {table}"), place, ui);
    };
    if !has("experiment") {
        let text = format!("`{table}` is about the store, and its rows are of no one experiment");
        return Err(Failure::new(Kind::Usage, text));
    }
    recorded(&store, experiment)?;
    let query = format!("FROM {table} WHERE experiment = {}", quote(experiment));
    write(&session, &query, place, ui)
}

pub(super) fn run_query(args: &QueryArgs, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let query = match (&args.query, &args.file) {
        (_, Some(file)) => std::fs::read_to_string(file).map_err(|error| {
            Failure::new(Kind::Data, format!("cannot read {}: {error}", file.display()))
        })?,
        (query, None) => query.clone().unwrap_or_default(),
    };
    write(&Session::open(&store)?, &query, &args.place, ui)
}

/// Writes the rows of a query into the file that was named.
fn write(session: &Session, query: &str, place: &Place, ui: &Ui) -> Result<(), Failure> {
    let Place { out, format, force } = place;
    let format = format.map_or_else(|| format_of(out), Ok)?;
    let (mut outputs, name) = Outputs::of_file(out, Over::forced(*force))?;
    outputs.query(&name, session, query, format)?;
    tell_lost(session, ui);
    outputs.put(ui)
}

/// The format that a file's name says.
pub(super) fn format_of(path: &Path) -> Result<Format, Failure> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let known = if ending == "md" { Some(Format::Markdown) } else { Format::named(&ending) };
    known.filter(|format| *format != Format::Table).ok_or_else(|| {
        let text = format!("the name of {} does not say a format", path.display());
        let hint = "let it end with .parquet, .jsonl, .json, .csv, .arrow or .md, or name one with `--format`";
        Failure::new(Kind::Usage, text).hint(hint)
    })
}
