//! `mrx sql`: ask questions.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use super::failure::{Failure, Kind};
use super::place::StorePlace;
use super::tables::{format, print_query};
use super::ui::Ui;
use super::{memory, shell};
use crate::query::{Format, MemoryLimit, Session};

/// Ask SQL over every table of every experiment
///
/// Without a query, an interactive shell on a terminal, else the query is read from stdin.
/// Queries are DuckDB's SQL and cannot change anything.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Views: prompts, examples, responses, judgements (with score and status), meta_judgements (with winner \
and status), readings, ratings, pairs, reference_logps, lessons, checkpoints, metrics, choices, verdicts, estimates; each \
row carries experiment, model (m0, m1, …), node, part (NULL for the loop itself; eval, panel, …) and run. About the store itself: runs, nodes, lineage, experiments. \
`mrx show --schema` says what every column means.

Short-hands: share(condition) is the share of rows for which it holds; preference(first, second) is how \
likely the first wins, from the log-probabilities of both verdicts; excerpt(text, length := 60) is \
the beginning of a text on one line.")]
pub(super) struct Args {
    /// The query
    query: Option<String>,

    /// Read the query from a file
    #[arg(long, short, value_name = "FILE", conflicts_with = "query")]
    file: Option<PathBuf>,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format())]
    format: Format,

    /// Rows of a table to show, 0 for all; 50 where not given. Other formats have every row
    #[arg(long, value_name = "N")]
    rows: Option<usize>,

    /// Take no more memory than this, as 8GB; half of the machine's where not given
    #[arg(long, value_name = "SIZE", value_parser = MemoryLimit::parse)]
    memory_limit: Option<MemoryLimit>,

    /// Print a script that gives DuckDB's own shell, or Python, the same views
    #[arg(long, conflicts_with_all = ["query", "file"])]
    attach: bool,
}

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let session = Session::within(&store, &args.memory_limit.clone().unwrap_or_default())?;
    if args.attach {
        ui.print(&session.script()?)?;
        ui.hint("duckdb:  mrx sql --attach > views.sql && duckdb -init views.sql");
        ui.hint("python:  duckdb.execute(subprocess.check_output([\"mrx\", \"sql\", \"--attach\"], text=True))");
        return Ok(());
    }
    memory::watch(session.memory());
    let query = match (&args.query, &args.file) {
        (Some(query), _) => query.clone(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| {
            Failure::new(Kind::Data, format!("cannot read {}: {e}", file.display()))
        })?,
        (None, None) if std::io::stdin().is_terminal() => {
            return shell::run(&session, &store, args.format, args.rows, ui);
        }
        (None, None) => {
            let mut query = String::new();
            std::io::stdin().read_to_string(&mut query)?;
            query
        }
    };
    print_query(&session, &query, args.format, args.rows, ui)
}
