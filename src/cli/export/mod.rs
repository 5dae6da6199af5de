//! `mrx export`: what experiments made, as files for other programs.

mod dataset;
mod folder;
mod games;
mod layout;
mod lesson;
mod loss;
mod made;
mod pairs;
mod preferences;
mod recipe;
mod recorded;
mod rows;
mod sql;
mod table;
mod target;

use super::failure::Failure;
use super::place::StorePlace;
use super::ui::Ui;
use layout::Layout;

/// Write what experiments made as files for other programs
///
/// Files appear whole or not at all. One that is there already and says something else is left alone, unless
/// --force is given.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Pairs(pairs::Args),
    Preferences(preferences::Args),
    Table(table::TableArgs),
    Query(table::QueryArgs),
    Dataset(dataset::Args),
    /// Write models' answers and verdicts as AlpacaEval has them
    ///
    /// `MODEL/model_outputs.json` for each model and for the baseline, and `MODEL/JUDGE/annotations.json`: a row a game,
    /// whose `preference` goes from 1 (the baseline wins) to 2 (the model does) and is null where the verdict
    /// could not be read, which AlpacaEval leaves out, too. `dataset` is the prompt's category, else its source.
    AlpacaEval(games::Args),
    /// Write models' answers and verdicts as Arena-Hard has them
    ///
    /// `question.jsonl`, `model_answer/MODEL.jsonl` and `model_judgment/JUDGE/MODEL.jsonl`: both games of a question in a row, the
    /// baseline shown first in the first. A verdict that could not be read has a `score` of null, and a game that was
    /// not played is null: Arena-Hard leaves out questions with either. `>>` is written where the judge tells
    /// five levels apart. A prompt without a category is a `hard_prompt`. Markdown is counted as upstream counts it;
    /// `token_len` is a quarter of the characters, until upstream's `utils/add_markdown_info.py` counts GPT-4o's tokens.
    ArenaHard(games::Args),
    /// Write models' answers and verdicts as MT-Bench has them
    ///
    /// `question.jsonl` (a prompt is the one turn of a question, numbered by its place), `model_answer/MODEL.jsonl`,
    /// `model_judgment/JUDGE_pair.jsonl` with both games of a question in a row, and for each model that judged the panel
    /// `model_judgment/MODEL_single.jsonl` with its scores, on the judge's own scale. A winner that could not be read, or
    /// of a game that was not played, is `error`, and such a score -1: FastChat leaves both out.
    MtBench(games::Args),
}

pub(super) fn run(command: &Command, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    match command {
        Command::Pairs(args) => pairs::run(args, place, ui),
        Command::Preferences(args) => preferences::run(args, place, ui),
        Command::Table(args) => table::run_table(args, place, ui),
        Command::Query(args) => table::run_query(args, place, ui),
        Command::Dataset(args) => dataset::run(args, place, ui),
        Command::AlpacaEval(args) => games::run(args, Layout::AlpacaEval, place, ui),
        Command::ArenaHard(args) => games::run(args, Layout::ArenaHard, place, ui),
        Command::MtBench(args) => games::run(args, Layout::MtBench, place, ui),
    }
}
