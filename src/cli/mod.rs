//! The face: one file per command. Talks to people, and hands everything else down.

mod ahead;
mod alone;
mod batch;
mod completions;
mod diff;
mod display;
mod doctor;
mod export;
mod failure;
mod faults;
mod guard;
mod host;
mod import;
mod init;
mod machine;
mod man;
mod marked;
mod memory;
mod named_model;
mod outputs;
mod place;
mod plan;
mod read;
mod recorded;
mod report;
mod run;
mod screen;
mod shell;
mod show;
mod show_experiment;
mod show_prompt;
mod sql;
mod store;
mod suggestions;
mod summary;
mod tables;
mod target;
mod trace;
mod ui;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::{Failure, Kind};
use self::place::StorePlace;
use self::ui::{Color, Ui};

/// What every command takes.
#[derive(Debug, Parser)]
#[command(
    name = "mrx",
    version,
    about = "Run the Meta-Rewarding loop and keep every row",
    after_help = "Exit codes: 0 done · 1 the experiment or its data is at fault · 2 usage · 3 a stage failed, \
                  the others are kept · 4 the store is damaged · 70 a bug in mrx · 130 interrupted",
    max_term_width = 100
)]
struct Args {
    /// Keep tables in this folder
    #[arg(long, env = "MRX_STORE", value_name = "DIR", default_value = ".mrx")]
    #[arg(global = true, hide_env_values = true, help_heading = "Everywhere")]
    store: PathBuf,

    /// When to use colour; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    #[arg(global = true, help_heading = "Everywhere")]
    color: Color,

    /// Say nothing but errors
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Run(run::Args),
    Plan(plan::Args),
    Sql(sql::Args),
    Diff(diff::Args),
    Report(report::Args),
    Show(show::Args),
    Trace(trace::Args),
    Read(read::Args),
    Doctor(doctor::Args),
    #[command(subcommand)]
    Batch(batch::Command),
    #[command(subcommand)]
    Export(export::Command),
    #[command(subcommand)]
    Import(import::Command),
    #[command(subcommand)]
    Store(store::Command),
    Completions(completions::Args),
    Man(man::Args),
    Guard(guard::Args),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let Args { store, color, quiet, command } = Args::parse();
    let ui = Ui::new(color, quiet);
    let place = StorePlace(store);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        match command {
            Command::Init(args) => init::run(&args, &ui),
            Command::Run(args) => run::run(&args, &place, &ui),
            Command::Plan(args) => plan::run(&args, &place, &ui),
            Command::Sql(args) => sql::run(&args, &place, &ui),
            Command::Diff(args) => diff::run(&args, &place, &ui),
            Command::Report(args) => report::run(&args, &place, &ui),
            Command::Show(args) => show::run(&args, &place, &ui),
            Command::Trace(args) => trace::run(&args, &place, &ui),
            Command::Read(args) => read::run(&args, &ui),
            Command::Doctor(args) => doctor::run(&args, &place, &ui),
            Command::Batch(command) => batch::run(&command, &place, &ui),
            Command::Export(command) => export::run(&command, &place, &ui),
            Command::Import(command) => import::run(&command, &place, &ui),
            Command::Store(command) => store::run(&command, &place, &ui),
            Command::Completions(args) => completions::run(&args, self::command(), &ui),
            Command::Man(args) => man::run(&args, self::command(), &ui),
            Command::Guard(args) => return guard::run(&args).map_err(Failure::from),
        }
        .map(|()| ExitCode::SUCCESS)
    }));
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            ui.failure(&failure);
            ExitCode::from(failure.kind.code())
        }
        // The panic has told its place on stderr already.
        Err(_) => {
            ui.error("this is a bug in mrx; nothing that was committed is lost");
            ExitCode::from(Kind::Bug.code())
        }
    }
}

/// Builds the command line, for completions and for the test that prints every help text.
#[must_use]
pub fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}
