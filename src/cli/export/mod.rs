//! `mrx export`: what an experiment made, as files for other programs.

mod folder;
mod lesson;
mod loss;
mod pairs;
mod recipe;
mod rows;
mod target;

use super::failure::Failure;
use super::place::StorePlace;
use super::ui::Ui;

/// Write what an experiment made as files for other programs
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Pairs(pairs::Args),
}

pub(super) fn run(command: &Command, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    match command {
        Command::Pairs(args) => pairs::run(args, place, ui),
    }
}
