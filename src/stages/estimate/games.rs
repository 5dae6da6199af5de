//! Measures over verdicts: who wins, by how much, and whether it is the order that decides.

use std::collections::BTreeSet;

use super::numbers::Numbers;
use super::{Options, Row};
use crate::runner::StageError;
use crate::stats::{
    Arena, Battle, BradleyTerry, Clusters, Gamed, Games, LengthControl, Method, Orders, Paired,
    Verdict, minimum_detectable,
};

/// Significance and power of the smallest difference that a test would find.
const ALPHA: f64 = 0.05;
const POWER: f64 = 0.8;

fn games(rows: &[&Row]) -> Result<Games, StageError> {
    let preferences = rows.iter().copied().map(|row| row.value).collect();
    Ok(Games::weighted(preferences, Row::weights(rows), Row::clusters(rows))?)
}

pub(super) fn win_rate(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<(), StageError> {
    let games = games(rows)?;
    let (tally, n) = (games.tally(), games.units());
    let level = numbers.bootstrap.level;
    if let (Some(rate), Some(interval)) = (tally.rate(), games.interval(level)) {
        numbers.interval("", rate, interval, n);
        numbers.share_beside(&games.resampled(&numbers.bootstrap), n);
        let by_row = games.over(Clusters::rows(rows.len()));
        if let Some((interval, _)) = by_row.interval(level) {
            let method = "wilson over rows, as if each were independent".to_owned();
            numbers.ranged("rows", rate, interval, by_row.units(), method);
        }
    } else {
        numbers.none("", 0, "no verdict could be read");
    }
    if let Some(rate) = games.discrete().tally().rate() {
        numbers.plain("discrete", rate, n, "each preference rounded to a win, a loss or a tie");
    }
    if let Some(bounds) = tally.bounds() {
        numbers.plain("worst", bounds.low, n, "every unreadable verdict a loss");
        numbers.plain("best", bounds.high, n, "every unreadable verdict a win");
    }
    for (part, count) in [
        ("wins", tally.wins),
        ("losses", tally.losses),
        ("ties", tally.ties),
        ("unreadable", tally.unreadable),
    ] {
        numbers.plain(part, count, n, "count of rows, by weight");
    }
    Ok(())
}

pub(super) fn length_control(
    rows: &[&Row],
    options: &Options,
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let is_gamed = |row: &&Row| row.gamed_length.is_some();
    let gamed = rows.iter().copied().filter(is_gamed).map(|row| Gamed {
        preference: row.value.unwrap_or(0.5),
        length: row.gamed_length.unwrap_or_default(),
        difficulty: row.difficulty.unwrap_or_default(),
        weight: row.weight.unwrap_or(1.0),
    });
    let played: Vec<&Row> = rows.iter().copied().filter(|row| !is_gamed(row)).collect();
    let (read, unread): (Vec<&Row>, Vec<&Row>) =
        played.into_iter().partition(|row| row.value.is_some());
    let (clusters, level) = (Row::clusters(&read), numbers.bootstrap.level);
    let n = clusters.count();
    if read.is_empty() {
        numbers.none("", 0, "no verdict could be read");
        return Ok(());
    }
    let has_difficulty = read.iter().copied().any(|row| row.difficulty.is_some());
    let difficulty = |row: &Row| row.difficulty.unwrap_or_default();
    let chars =
        |row: &Row| row.baseline_chars.unwrap_or_default() - row.response_chars.unwrap_or_default();
    let control = LengthControl {
        preferences: read.iter().copied().filter_map(|row| row.value).collect(),
        differences: read.iter().copied().map(chars).collect(),
        difficulties: has_difficulty.then(|| read.iter().copied().map(difficulty).collect()),
        weights: Row::weights(&read),
        clusters,
        gamed: gamed.collect(),
        inverse_penalty: options.inverse_penalty,
    };
    if let Some(model) = numbers.exists(control.fit(), n)? {
        numbers.interval("", control.win_rate()?, control.interval(level)?, n);
        numbers.share_beside(&control.resampled(&numbers.bootstrap)?, n);
        numbers.plain("length", model.length, n, "coefficient of tanh(z), in log-odds");
        if has_difficulty {
            numbers.plain("difficulty", model.difficulty, n, "coefficient of the difficulty");
        }
    }
    numbers.count("unreadable", unread.len(), n, "count of rows");
    Ok(())
}

pub(super) fn difference(
    rows: &[&Row],
    options: &Options,
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let models: BTreeSet<&str> =
        rows.iter().copied().filter_map(|row| row.model.as_deref()).collect();
    let [first, second] = two_models(&models, options.baseline.as_deref())?;
    let of = |name: &str| -> Vec<&Row> {
        rows.iter().copied().filter(|row| row.model.as_deref() == Some(name)).collect()
    };
    let (first, second) = (of(first), of(second));
    let prompts =
        |rows: &[&Row]| rows.iter().copied().map(|row| row.prompt.clone()).collect::<Vec<_>>();
    let [a, b] = Clusters::together(prompts(&first), prompts(&second));
    let (first, second) = (games(&first)?.over(a), games(&second)?.over(b));
    let Some(paired) = numbers.exists(Paired::new(&first, &second), 0)? else { return Ok(()) };
    let (n, level) = (paired.prompts(), numbers.bootstrap.level);
    numbers.interval("", paired.difference(), paired.interval(level), n);
    let resampled = paired.resampled(&numbers.bootstrap);
    numbers.bootstrapped("percentile", &resampled, Method::Percentile, n);
    numbers.bootstrapped("bca", &resampled, Method::Bca, n);
    let better = resampled.share_above(0.0);
    numbers.plain("p_better", better, n, "share of resamples over prompts above 0, ties half");
    match paired.p_value() {
        Some(p) => numbers.plain("p", p, n, "two-sided t-test over prompts"),
        None => numbers.none("p", n, "every prompt says the same"),
    }
    let signs = paired.signs();
    numbers.plain("p_signs", signs.p_value(), n, "exact sign test over prompts (McNemar's)");
    for (part, count) in [("better", signs.better), ("worse", signs.worse), ("equal", signs.equal)]
    {
        numbers.count(part, count, n, "count of prompts");
    }
    numbers.count("unmatched", paired.unmatched, n, "count of prompts with one model only");
    if let Some(error) = paired.standard_error() {
        let least = minimum_detectable(error, ALPHA, POWER);
        numbers.plain("minimum_detectable", least, n, "80 % power, two-sided 5 %");
    }
    Ok(())
}

/// Rows that are no comparison of two models.
#[derive(Debug, thiserror::Error)]
enum BadModels {
    #[error("expected rows of two models, found {}", names(.0))]
    NotTwo(Vec<String>),
    #[error("the baseline `{baseline}` is none of the models; there are {}", names(.known))]
    UnknownBaseline { baseline: String, known: Vec<String> },
}

fn names(names: &[String]) -> String {
    names.join(", ")
}

/// The model that is compared with, then the other.
fn two_models<'m>(
    models: &BTreeSet<&'m str>,
    baseline: Option<&str>,
) -> Result<[&'m str; 2], BadModels> {
    let known = || models.iter().map(|model| (*model).to_owned()).collect();
    let found: Vec<&str> = models.iter().copied().collect();
    let [a, b] = found[..] else { return Err(BadModels::NotTwo(known())) };
    match baseline {
        None => Ok([a, b]),
        Some(baseline) if baseline == a => Ok([a, b]),
        Some(baseline) if baseline == b => Ok([b, a]),
        Some(baseline) => {
            Err(BadModels::UnknownBaseline { baseline: baseline.to_owned(), known: known() })
        }
    }
}

/// An order that is neither of the two.
#[derive(Debug, thiserror::Error)]
#[error("`order` is `{0}`; expected `model` or `baseline`: whose answer was shown first")]
struct BadOrder(String);

pub(super) fn position_bias(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<(), StageError> {
    let verdict = |row: &Row| -> Result<Verdict, BadOrder> {
        let model_first = match row.order.as_deref().unwrap_or_default() {
            "model" => true,
            "baseline" => false,
            other => return Err(BadOrder(other.to_owned())),
        };
        let comparison = row.item.clone().unwrap_or_default();
        Ok(Verdict { comparison, model_first, preference: row.value })
    };
    let verdicts = rows.iter().copied().map(verdict).collect::<Result<Vec<_>, _>>()?;
    let orders = Orders::new(&verdicts, Row::clusters(rows))?;
    let n = orders.clusters().count();
    let resampled = numbers.bootstrap.run(orders.clusters(), |counts| {
        let found = [orders.disagree(counts), orders.first_wins(counts)];
        found.map(|found| found.unwrap_or(f64::NAN)).to_vec()
    });
    for (part, resampled) in ["disagree", "first_wins"].iter().zip(&resampled) {
        numbers.share(part, resampled, n);
    }
    Ok(())
}

pub(super) fn tournament(
    rows: &[&Row],
    options: &Options,
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let read: Vec<&Row> = rows.iter().copied().filter(|row| row.value.is_some()).collect();
    let battle = |row: &Row| Battle {
        first: Row::text(row.first.as_ref()),
        second: Row::text(row.second.as_ref()),
        outcome: row.value.unwrap_or(0.5),
        weight: row.weight.unwrap_or(1.0),
    };
    let battles: Vec<Battle> = read.iter().copied().map(battle).collect();
    let arena = Arena::new(&battles, Row::clusters(&read))?;
    let n = arena.clusters().count();
    let model = BradleyTerry { prior: options.prior, order_effect: options.order_effect };
    let baseline = options.baseline.as_deref().map(|name| arena.player(name)).transpose()?;
    let Some(fitted) = numbers.exists(arena.fit(model), n)? else { return Ok(()) };
    let resampled = arena.resampled(model, &numbers.bootstrap, |strengths| {
        let of = |player| match baseline {
            Some(baseline) => strengths.win_probability(player, baseline),
            None => strengths.of_player[player],
        };
        (0..arena.players().len()).map(of).chain([strengths.order_effect]).collect()
    })?;
    for (player, name) in arena.players().iter().enumerate() {
        let mut part = numbers.of_part(name);
        part.bootstrapped("", &resampled[player], Method::Percentile, n);
        if let Some(baseline) = baseline {
            part.plain("elo", fitted.elo(player, baseline), n, "the baseline at 1,000");
        }
        numbers.append(part);
    }
    if let Some(order_effect) = resampled.last().filter(|_| options.order_effect) {
        numbers.bootstrapped("order_effect", order_effect, Method::Percentile, n);
    }
    numbers.count("unreadable", rows.len() - read.len(), n, "count of rows");
    Ok(())
}
