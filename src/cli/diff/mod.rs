//! `mrx diff`: what one model does better or worse than another, and what differed in making them.

mod find;
mod over_seeds;
mod play;
mod print;

use std::time::SystemTime;

use super::display::Display;
use super::failure::{Failure, Kind};
use super::host::host;
use super::machine::Here;
use super::memory::for_cache;
use super::place::StorePlace;
use super::screen::Eta;
use super::tables::format_of;
use super::ui::Ui;
use crate::query::{Format, MemoryLimit};
use crate::runner::{Interrupt, Runner, Shelf};
use crate::study::{Comparison, RecordedModel};
pub(super) use find::find;

/// Say what one model does better or worse than another
///
/// The second model plays the first on the prompts that both were evaluated on, by the judge or the
/// oracle of their experiment. Games that were not played yet are played now, and kept until `mrx store gc`.
/// Of a file that makes experiments over seeds, its name means all of them: means, and differences at equal seeds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A model of an experiment, as `quickstart/m0`
    first: String,

    /// Another, as `quickstart/m3`
    second: String,

    /// Prompts that flipped to show side by side, 0 for all
    #[arg(long, value_name = "N")]
    rows: Option<usize>,

    /// Fail with exit code 1 where the second wins less than this share of its games (0 to 1)
    #[arg(long, value_name = "RATE", value_parser = rate)]
    fail_under: Option<f64>,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format_of(&["table", "markdown", "json", "csv"]))]
    format: Format,

    /// Compute on this device where a model has to judge
    #[arg(long, env = "MRX_DEVICE", default_value = "cpu", value_parser = super::run::device)]
    device: String,

    /// Keep at most so much of what a judge has read and drawn, as 8GiB (half of what the machine has left)
    #[arg(long, value_name = "SIZE", env = "MRX_CACHE_MEMORY", default_value = "", hide_default_value = true, value_parser = super::run::cache_memory)]
    cache_memory: MemoryLimit,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    rate.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

pub(super) fn run(args: &Args, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let names = [args.first.as_str(), args.second.as_str()];
    if names[0] != names[1] && over_seeds::told(&store, names, args.fail_under, (args.format, ui))?
    {
        return Ok(());
    }
    let sides = [find(&store, &args.first)?, find(&store, &args.second)?];
    let [first, second] = sides.each_ref().map(RecordedModel::name);
    if first == second {
        let text = format!("expected two models, found `{first}` twice");
        return Err(Failure::new(Kind::Usage, text));
    }
    let (interrupt, display) =
        (Interrupt::default(), Display::new(ui, false, ui.is_live.then(Eta::default)));
    let runner = Runner {
        store: &store,
        listener: &display,
        interrupt: &interrupt,
        clock: SystemTime::now,
        device: &args.device,
        cache_memory: for_cache(&args.cache_memory, None),
        open: Shelf::default(),
        host: &host(),
    };
    let here = Here::look(place)?;
    let games = play::play(&runner, &sides, &here.machine(&args.device))?;
    display.close();
    let comparison = Comparison::of(&store, &sides, games)?;
    print::print(&comparison, args.rows, args.format, ui)?;
    match (args.fail_under, comparison.win_rate()) {
        (Some(least), Some(rate)) if rate < least => {
            let text = format!("{second} wins {rate:.3} of its games, less than {least}");
            Err(Failure::new(Kind::Data, text))
        }
        (Some(_), None) => {
            let text = "there is no win rate to hold against --fail-under";
            Err(Failure::new(Kind::Data, text))
        }
        _ => Ok(()),
    }
}
