//! Measures over verdicts: who wins, by how much, and whether it is the order that decides.

use std::collections::{BTreeMap, BTreeSet};

use super::numbers::Numbers;
use super::rows::{Options, Row};
use crate::runner::StageError;
use crate::stats::{
    Arena, Battle, BradleyTerry, Clusters, Gamed, Games, LengthControl, Method, OrderedVerdict,
    Orders, Paired, minimum_detectable,
};

/// Significance and power of the smallest difference that a test would find.
const ALPHA: f64 = 0.05;
const POWER: f64 = 0.8;

fn games(rows: &[&Row]) -> Result<Games, StageError> {
    let preferences = rows.iter().copied().map(|row| row.value).collect();
    Ok(Games::weighted(preferences, Row::weights(rows), Row::clusters(rows))?)
}

pub(super) fn win_rate(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<(), StageError> {
    let all = games(rows)?;
    let tally = all.tally();
    let read: Vec<&Row> = rows.iter().copied().filter(|row| row.counts()).collect();
    if read.is_empty() {
        let is_read = rows.iter().any(|row| row.value.is_some());
        let why = if is_read { "all weights are 0" } else { "no verdict could be read" };
        numbers.none("", 0, why);
    } else {
        read_win_rate(&games(&read)?, numbers);
    }
    let n = all.clusters().count();
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

fn read_win_rate(games: &Games, numbers: &mut Numbers<'_>) {
    let (n, level) = (games.clusters().count(), numbers.bootstrap.level);
    let Some((rate, interval)) = games.tally().rate().zip(games.interval(level)) else { return };
    numbers.interval("", rate, interval, n);
    let resampled = games.resampled(&numbers.bootstrap);
    numbers.share_beside(&resampled, games.standard_error(), n);
    let by_row = games.over(Clusters::rows(games.clusters().of_row().len()));
    if let Some((interval, _)) = by_row.interval(level) {
        let method = "wilson over rows, as if each were independent".to_owned();
        numbers.ranged("rows", rate, interval, by_row.units(), method);
    }
    if let Some(rate) = games.discrete().tally().rate() {
        numbers.plain("discrete", rate, n, "each preference rounded to a win, a loss or a tie");
    }
}

/// Difficulties for some of the rows.
#[derive(Debug, thiserror::Error)]
#[error("`difficulty` is given for {given} of {all} rows; expected one for each, or none")]
struct SomeDifficulties {
    given: usize,
    all: usize,
}

/// The games of rows that count, as length control takes them.
fn controlled(
    read: &[&Row],
    clusters: Clusters,
    gamed: Vec<Gamed>,
    inverse_penalty: Option<f64>,
) -> Result<LengthControl, SomeDifficulties> {
    let difficulties: Vec<f64> = read.iter().filter_map(|row| row.difficulty).collect();
    let (given, all) = (difficulties.len(), read.len());
    if given != 0 && given != all {
        return Err(SomeDifficulties { given, all });
    }
    let chars = |row: &&Row| Some(row.baseline_chars? - row.response_chars?);
    Ok(LengthControl {
        preferences: read.iter().filter_map(|row| row.value).collect(),
        differences: read.iter().filter_map(chars).collect(),
        difficulties: (given > 0).then_some(difficulties),
        weights: Row::weights(read),
        clusters,
        gamed,
        inverse_penalty,
    })
}

pub(super) fn length_control(
    rows: &[&Row],
    options: &Options,
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let (gamed, played): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.gamed_length.is_some());
    let gamed = gamed.into_iter().filter_map(|row| {
        Some(Gamed {
            preference: row.value?,
            length: row.gamed_length?,
            difficulty: row.difficulty.unwrap_or_default(),
            weight: row.weight.unwrap_or(1.0),
        })
    });
    let read: Vec<&Row> = played.into_iter().filter(|row| row.counts()).collect();
    let unreadable = rows.iter().filter(|row| row.value.is_none()).count();
    let (clusters, level) = (Row::clusters(&read), numbers.bootstrap.level);
    let n = clusters.count();
    if read.is_empty() {
        numbers.none("", 0, "no verdict could be read");
        return Ok(());
    }
    let control = controlled(&read, clusters, gamed.collect(), options.inverse_penalty)?;
    if let Some(model) = numbers.exists(control.fit(), n)? {
        let resampled = control.resampled(&numbers.bootstrap)?;
        match control.interval(level)? {
            Some(interval) => numbers.interval("", resampled.value, interval, n),
            None => numbers.share("", &resampled, n),
        }
        numbers.share_beside(&resampled, control.standard_error()?, n);
        numbers.plain("length", model.length, n, "coefficient of tanh(z), in log-odds");
        if control.difficulties.is_some() {
            numbers.plain("difficulty", model.difficulty, n, "coefficient of the difficulty");
        }
    }
    numbers.count("unreadable", unreadable, n, "count of rows");
    Ok(())
}

pub(super) fn difference(
    rows: &[&Row],
    options: &Options,
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let models: BTreeSet<&str> = rows.iter().filter_map(|row| row.model.as_deref()).collect();
    let [first, second] = two_models(&models, options.baseline.as_deref())?;
    let of = |name: &str| -> Vec<&Row> {
        let of_model = |row: &&Row| row.model.as_deref() == Some(name) && row.counts();
        rows.iter().copied().filter(of_model).collect()
    };
    let (first, second) = (of(first), of(second));
    let unreadable = rows.len() - first.len() - second.len();
    numbers.count("unreadable", unreadable, Row::clusters(rows).count(), "count of rows");
    if first.is_empty() || second.is_empty() {
        numbers.none("", 0, "no verdict on one of the models could be read");
        return Ok(());
    }
    let prompts = |rows: &[&'_ Row]| -> Vec<Option<String>> {
        rows.iter().map(|row| row.prompt.clone()).collect()
    };
    let [a, b] = Clusters::together(prompts(&first), prompts(&second));
    let paired = Paired::new(&games(&first)?.over(a.clone()), &games(&second)?.over(b.clone()));
    let Some(paired) = numbers.exists(paired, 0)? else { return Ok(()) };
    compared(&paired, numbers);
    let has_chars = |row: &&Row| row.response_chars.is_some() && row.baseline_chars.is_some();
    if first.iter().chain(&second).all(has_chars) {
        let n = a.count();
        let first = controlled(&first, a, Vec::new(), None)?;
        let second = controlled(&second, b, Vec::new(), None)?;
        match first.difference(&second, &numbers.bootstrap) {
            Ok(resampled) => {
                numbers.bootstrapped("length_controlled", &resampled, Method::Percentile, n);
            }
            Err(error) => numbers.none("length_controlled", n, error),
        }
    }
    Ok(())
}

fn compared(paired: &Paired, numbers: &mut Numbers<'_>) {
    let (n, level) = (paired.prompts(), numbers.bootstrap.level);
    numbers.interval("", paired.difference(), paired.interval(level), n);
    let resampled = paired.resampled(&numbers.bootstrap);
    numbers.bootstrapped("percentile", &resampled, Method::Percentile, n);
    numbers.bootstrapped("bca", &resampled, Method::Bca, n);
    let better = resampled.share_above(0.0);
    numbers.counted("p_better", better, n, "share above 0, ties half,");
    let signs = paired.signs();
    let (p, method) = match paired.p_value() {
        Some(p) => (p, "two-sided t-test over prompts"),
        None => (signs.p_value(), "exact sign test over prompts, as all say the same"),
    };
    numbers.plain("p", p, n, method);
    numbers.plain("p_signs", signs.p_value(), n, "exact sign test over prompts (McNemar's)");
    for (part, count) in [("better", signs.better), ("worse", signs.worse), ("equal", signs.equal)]
    {
        numbers.count(part, count, n, "count of prompts");
    }
    numbers.count("unmatched", paired.unmatched, n, "count of prompts with one model only");
    match paired.standard_error() {
        Some(error) => {
            let least = minimum_detectable(error, ALPHA, POWER);
            numbers.plain("minimum_detectable", least, n, "80 % power, two-sided 5 %");
        }
        None => numbers.none("minimum_detectable", n, "all prompts say the same"),
    }
}

/// Rows that do not compare two models.
#[derive(Debug, thiserror::Error)]
enum BadModels {
    #[error("expected rows of two models, found {}", names(.0))]
    NotTwo(Vec<String>),
    #[error("the baseline `{baseline}` is not one of the models; there are {}", names(.known))]
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
    let verdict = |row: &&Row| -> Result<OrderedVerdict, BadOrder> {
        let model_first = match row.order.as_deref().unwrap_or_default() {
            "model" => true,
            "baseline" => false,
            other => return Err(BadOrder(other.to_owned())),
        };
        let comparison = row.item.clone().unwrap_or_default();
        Ok(OrderedVerdict { comparison, model_first, preference: row.value })
    };
    rows.iter().map(verdict).collect::<Result<Vec<_>, _>>()?;
    let read: Vec<&Row> = rows.iter().copied().filter(|row| row.value.is_some()).collect();
    let mut orders = BTreeMap::<_, BTreeSet<_>>::new();
    for row in &read {
        orders.entry((&row.prompt, &row.item)).or_default().insert(&row.order);
    }
    // Each number is over the rows that say something of it, and their prompts are its units.
    let both = |row: &&Row| orders[&(&row.prompt, &row.item)].len() == 2;
    let decided = |row: &&Row| row.value != Some(0.5);
    for (part, rows, number) in [
        ("disagree", read.iter().copied().filter(both).collect(), Orders::disagree as Number),
        ("first_wins", read.iter().copied().filter(decided).collect(), Orders::first_wins),
    ] {
        let rows: Vec<&Row> = rows;
        if rows.is_empty() {
            numbers.none(part, 0, "no rows say anything of it");
            continue;
        }
        let verdicts = rows.iter().map(verdict).collect::<Result<Vec<_>, _>>()?;
        let orders = Orders::new(&verdicts, Row::clusters(&rows))?;
        let resampled = numbers
            .bootstrap
            .run(orders.clusters(), |counts| vec![number(&orders, counts).unwrap_or(f64::NAN)]);
        numbers.share(part, &resampled[0], orders.clusters().count());
    }
    let n = Row::clusters(rows).count();
    numbers.count("unreadable", rows.len() - read.len(), n, "count of rows");
    Ok(())
}

/// A number of verdicts in two orders, each cluster counted so often.
type Number = fn(&Orders, &[f64]) -> Option<f64>;

pub(super) fn tournament(
    rows: &[&Row],
    options: &Options,
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let met = |row: &&Row| row.counts() && row.first != row.second;
    let read: Vec<&Row> = rows.iter().copied().filter(met).collect();
    let unreadable = rows.iter().filter(|row| row.value.is_none()).count();
    numbers.count("unreadable", unreadable, Row::clusters(rows).count(), "count of rows");
    if read.is_empty() {
        numbers.none("", 0, "no two players met in a battle that counts");
        return Ok(());
    }
    let battle = |row: &&Row| Battle {
        first: Row::text(row.first.as_ref()),
        second: Row::text(row.second.as_ref()),
        outcome: row.value.unwrap_or(0.5),
        weight: row.weight.unwrap_or(1.0),
    };
    let battles: Vec<Battle> = read.iter().map(battle).collect();
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
    Ok(())
}
