//! Two models of files that make experiments over seeds: their means, and how they differ at equal seeds.

use serde::{Deserialize, Serialize};

use crate::cli::failure::{Failure, Kind};
use crate::cli::tables::print_rows;
use crate::cli::ui::Ui;
use crate::query::Format;
use crate::store::{RecordedPlan, Store};
use crate::study::{Beside, OverSeeds, Place};

/// A number of both.
#[derive(Serialize, Deserialize)]
struct Line {
    number: String,
    seeds: usize,
    first: f64,
    second: f64,
    /// The second's minus the first's, on average over seeds.
    difference: f64,
    low: Option<f64>,
    high: Option<f64>,
    /// Corrected for all numbers of the table.
    p_holm: Option<f64>,
}

/// Compares two models over seeds, where each name means those of several experiments of a file; tells whether it did.
pub(super) fn told(
    store: &Store,
    names: [&str; 2],
    fail_under: Option<f64>,
    (format, ui): (Format, &Ui),
) -> Result<bool, Failure> {
    let plans = store.plans()?;
    let is_one = |plan: &RecordedPlan, name: &str| {
        name.rsplit_once('/').is_none_or(|(whose, _)| whose == plan.experiment)
    };
    if plans.iter().any(|plan| names.iter().any(|name| is_one(plan, name))) {
        return Ok(false);
    }
    let numbers = OverSeeds::of(store, &plans)?;
    let [Some(first), Some(second)] = names.map(|name| numbers.place(name)) else {
        return Ok(false);
    };
    if fail_under.is_some() {
        let text = "--fail-under is for the games of two models; these are many";
        return Err(Failure::new(Kind::Usage, text).hint("name one seed of each"));
    }
    let lines = lines(&numbers, [&first, &second]);
    if format == Format::Table {
        ui.print(&format!("{} against {}, at equal seeds\n", names[1], names[0]))?;
    }
    print_rows(ui, format, &lines)?;
    Ok(true)
}

fn lines(numbers: &OverSeeds, [first, second]: [&Place; 2]) -> Vec<Line> {
    let line = |one: Beside| Line {
        number: one.name,
        seeds: one.seeds,
        first: rounded(one.before),
        second: rounded(one.after),
        difference: rounded(one.difference),
        low: one.low.map(rounded),
        high: one.high.map(rounded),
        p_holm: one.p_holm.map(rounded),
    };
    Beside::of_both(numbers, second, first).into_iter().map(line).collect()
}

/// Four places, which is more than seeds can tell.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
