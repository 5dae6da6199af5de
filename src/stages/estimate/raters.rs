//! Measures over scores and ratings: their means, how they agree, and what they follow.

use std::collections::{BTreeMap, BTreeSet};

use super::numbers::Numbers;
use super::rows::{Options, Row};
use crate::runner::StageError;
use crate::stats::{
    Clusters, Draw, Draws, Interval, Method, PARTS, Ranks, Ratings, Resampled, Slope, Split, Values,
};

pub(super) fn mean(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<(), StageError> {
    let Some(values) = values_of(rows, numbers)? else { return Ok(()) };
    let resampled = values.resampled(&numbers.bootstrap);
    first(&values, &resampled, values.interval(numbers.bootstrap.level), numbers);
    numbers.bootstrapped("percentile", &resampled, Method::Percentile, values.units());
    numbers.bootstrapped("bca", &resampled, Method::Bca, values.units());
    Ok(())
}

pub(super) fn share(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<(), StageError> {
    let Some(values) = values_of(rows, numbers)? else { return Ok(()) };
    let resampled = values.resampled(&numbers.bootstrap);
    first(&values, &resampled, values.share_interval(numbers.bootstrap.level), numbers);
    numbers.share_beside(&resampled, values.standard_error(), values.units());
    Ok(())
}

/// The values of the rows that count, where there are some; how many have none is counted.
fn values_of(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<Option<Values>, StageError> {
    let given: Vec<&Row> = rows.iter().copied().filter(|row| row.counts()).collect();
    let missing = rows.iter().filter(|row| row.value.is_none()).count();
    let all = Row::clusters(rows).count();
    numbers.count("missing", missing, all, "count of rows without a value");
    if given.is_empty() {
        numbers.none("", 0, "no row has a value that counts");
        return Ok(None);
    }
    let values = given.iter().filter_map(|row| row.value).collect();
    Ok(Some(Values::new(values, Row::weights(&given), Row::clusters(&given))?))
}

/// The number that the measure is named after.
fn first(
    values: &Values,
    resampled: &Resampled,
    interval: Option<(Interval, Method)>,
    numbers: &mut Numbers<'_>,
) {
    if let Some(interval) = interval {
        numbers.interval("", resampled.value, interval, values.units());
    } else {
        let why = "no interval: there is one prompt only, or all say the same";
        numbers.plain("", resampled.value, values.units(), why);
    }
}

/// Ratings that are not categories.
#[derive(Debug, thiserror::Error)]
enum BadCategories {
    #[error("found {found} different ratings; expected at most {MOST_CATEGORIES} categories")]
    TooMany { found: usize },
}

const MOST_CATEGORIES: usize = 200;

pub(super) fn agreement(
    rows: &[&Row],
    options: &Options,
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let read: Vec<&Row> =
        rows.iter().copied().filter(|row| row.first.is_some() && row.second.is_some()).collect();
    let unread = rows.len() - read.len();
    let all = Row::clusters(rows).count();
    numbers.count("unreadable", unread, all, "count of rows without both ratings");
    if read.is_empty() {
        numbers.none("", 0, "no row has both ratings");
        return Ok(());
    }
    let categories = Categories::of(&read)?;
    let place = |name: &Option<String>| categories.place(name.as_deref()).unwrap_or_default();
    let pairs: Vec<(usize, usize)> =
        read.iter().map(|row| (place(&row.first), place(&row.second))).collect();
    let clusters = Row::clusters(&read);
    let prompts = clusters.of_row().to_vec();
    same("", &pairs, &prompts, numbers)?;
    if let Some(tie) = &options.tie {
        match categories.place(Some(tie)) {
            None => numbers.none("without_ties", 0, format!("no rating is `{tie}`")),
            Some(tie) => {
                let untied =
                    pairs.iter().zip(&prompts).filter(|((a, b), _)| *a != tie && *b != tie);
                let (pairs, prompts): (Vec<_>, Vec<_>) = untied.map(|(p, c)| (*p, *c)).unzip();
                same("without_ties", &pairs, &prompts, numbers)?;
            }
        }
    }
    let ratings = Ratings::new(pairs, categories.names.len(), clusters)?;
    let values = categories.values.as_deref().filter(|values| values.len() > 2);
    let cost = |power: i32| {
        move |a: usize, b: usize| values.map_or(0.0, |v| (v[a] - v[b]).abs().powi(power))
    };
    let resampled = numbers.bootstrap.run(ratings.clusters(), |counts| {
        let agreement = ratings.agreement_of(counts);
        let mut kappas = vec![agreement.kappa()];
        if values.is_some() {
            kappas.extend([1, 2].map(|power| agreement.weighted_kappa(cost(power))));
        }
        kappas.into_iter().map(|kappa| kappa.unwrap_or(f64::NAN)).collect()
    });
    let n = ratings.clusters().count();
    for (part, resampled) in ["kappa", "kappa_linear", "kappa_quadratic"].iter().zip(&resampled) {
        numbers.bootstrapped(part, resampled, Method::Bca, n);
    }
    Ok(())
}

/// How many pairs are of one category, over the prompts they belong to.
fn same(
    part: &str,
    pairs: &[(usize, usize)],
    prompts: &[usize],
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    if pairs.is_empty() {
        numbers.none(part, 0, "every row is a tie");
        return Ok(());
    }
    let same = pairs.iter().map(|(a, b)| f64::from(u8::from(a == b))).collect();
    let values = Values::new(same, vec![1.0; pairs.len()], Clusters::of(prompts))?;
    let interval = values.share_interval(numbers.bootstrap.level);
    if let Some((share, interval)) = values.mean().zip(interval) {
        numbers.interval(part, share, interval, values.units());
    }
    if part.is_empty() {
        let resampled = values.resampled(&numbers.bootstrap);
        numbers.share_beside(&resampled, values.standard_error(), values.units());
    }
    Ok(())
}

/// The categories of two raters, in the order of their values where all are numbers. Equal numbers are
/// one category, however they are written: 4 and 4.0.
struct Categories {
    names: Vec<String>,
    values: Option<Vec<f64>>,
}

impl Categories {
    fn of(rows: &[&Row]) -> Result<Self, BadCategories> {
        let names = rows.iter().flat_map(|row| [row.first.as_deref(), row.second.as_deref()]);
        let names: BTreeSet<&str> = names.flatten().collect();
        let numbers: Option<Vec<f64>> = names.iter().map(|name| number(name)).collect();
        let values = numbers.map(|mut numbers| {
            numbers.sort_by(f64::total_cmp);
            numbers.dedup();
            numbers
        });
        let names: Vec<String> = match &values {
            Some(values) => values.iter().map(ToString::to_string).collect(),
            None => names.into_iter().map(ToOwned::to_owned).collect(),
        };
        match names.len() {
            found if found > MOST_CATEGORIES => Err(BadCategories::TooMany { found }),
            _ => Ok(Self { names, values }),
        }
    }

    fn place(&self, name: Option<&str>) -> Option<usize> {
        let name = name?;
        match &self.values {
            Some(values) => {
                number(name).and_then(|value| values.binary_search_by(|v| v.total_cmp(&value)).ok())
            }
            None => self.names.iter().position(|known| known == name),
        }
    }
}

/// The number that a rating is, if it is one; −0 is 0.
fn number(name: &str) -> Option<f64> {
    name.trim().parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value + 0.0)
}

pub(super) fn correlation(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<(), StageError> {
    let read: Vec<&Row> =
        rows.iter().copied().filter(|row| row.x.is_some() && row.y.is_some()).collect();
    if read.is_empty() {
        numbers.none("", 0, "no row has both numbers");
        return Ok(());
    }
    let x: Vec<f64> = read.iter().copied().filter_map(|row| row.x).collect();
    let y: Vec<f64> = read.iter().copied().filter_map(|row| row.y).collect();
    let clusters = Row::clusters(&read);
    let ranks = Ranks::new(&x, &y, clusters.clone())?;
    let slope = Slope::new(x, y, clusters.clone())?;
    let resampled = numbers.bootstrap.run(&clusters, |counts| {
        let found = [ranks.spearman(counts), ranks.kendall(counts), slope.per_unit(counts)];
        found.map(|found| found.unwrap_or(f64::NAN)).to_vec()
    });
    for (part, resampled) in ["spearman", "kendall", "slope"].iter().zip(&resampled) {
        numbers.bootstrapped(part, resampled, Method::Bca, clusters.count());
    }
    let missing = rows.len() - read.len();
    numbers.count("missing", missing, clusters.count(), "count of rows without both numbers");
    Ok(())
}

pub(super) fn consistency(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<(), StageError> {
    let read: Vec<&Row> = rows.iter().copied().filter(|row| row.value.is_some()).collect();
    let all = Row::clusters(rows).count();
    numbers.count("missing", rows.len() - read.len(), all, "count of rows without a value");
    // An item is one only within its prompt, and says something where it was drawn twice.
    let mut draws = BTreeMap::<_, usize>::new();
    for row in &read {
        *draws.entry((&row.prompt, &row.item)).or_default() += 1;
    }
    let twice = |row: &&Row| draws[&(&row.prompt, &row.item)] > 1;
    let read: Vec<&Row> = read.iter().copied().filter(twice).collect();
    if read.is_empty() {
        numbers.none("", 0, "no item has two values");
        return Ok(());
    }
    let scores: Vec<f64> = read.iter().filter_map(|row| row.value).collect();
    let items = read.iter().map(|row| (&row.prompt, &row.item));
    let draws = Draws::new(&scores, items, Row::clusters(&read))?;
    let n = draws.clusters().count();
    let resampled = numbers.bootstrap.run(draws.clusters(), |counts| {
        let found = [draws.consistency(counts), draws.spread(counts)];
        found.map(|found| found.unwrap_or(f64::NAN)).to_vec()
    });
    numbers.share("", &resampled[0], n);
    numbers.bootstrapped("spread", &resampled[1], Method::Bca, n);
    Ok(())
}

pub(super) fn variance(rows: &[&Row], numbers: &mut Numbers<'_>) -> Result<(), StageError> {
    let draw = |row: &Row| {
        Some(Draw {
            prompt: Row::text(row.prompt.as_ref()),
            sample: Row::text(row.item.as_ref()),
            order: Row::text(row.order.as_ref()),
            value: row.value?,
        })
    };
    let draws: Vec<Draw> = rows.iter().copied().filter_map(draw).collect();
    let all = Row::clusters(rows).count();
    numbers.count("missing", rows.len() - draws.len(), all, "count of rows without a value");
    let n = draws.iter().map(|draw| &draw.prompt).collect::<BTreeSet<_>>().len();
    if draws.is_empty() {
        numbers.none("", 0, "no row has a value");
        return Ok(());
    }
    let Some(split) = numbers.exists(Split::of(&draws), n)? else { return Ok(()) };
    let method =
        format!("standard error of the mean; raise the number of {} next", split.raise_next());
    numbers.plain("", split.of_mean().sqrt(), n, &method);
    for ((part, share), units) in PARTS.iter().zip(split.shares()).zip(split.units) {
        let method = format!("share of the mean's variance, from {units} units");
        match share {
            Some(share) => numbers.plain(part, share, n, &method),
            None => numbers.none(part, n, "drawn once in each unit above, which carries both"),
        }
    }
    Ok(())
}
