//! Measures over scores and ratings: their means, how they agree, and what they follow.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::Measure;
use super::numbers::Numbers;
use super::{Options, Row};
use crate::runner::StageError;
use crate::stats::{
    Agreement, Bootstrap, Draw, Draws, Method, PARTS, Ranks, Ratings, Slope, Split, Values,
};

pub(super) fn mean(
    measure: Measure,
    rows: &[&Row],
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let (given, missing): (Vec<&Row>, Vec<&Row>) =
        rows.iter().copied().partition(|row| row.value.is_some());
    if given.is_empty() {
        numbers.none("", 0, "no row has a value");
        return Ok(());
    }
    let values = given.iter().filter_map(|row| row.value).collect();
    let values = Values::new(values, Row::weights(&given), Row::clusters(&given))?;
    let (n, level) = (values.units(), numbers.bootstrap.level);
    let Some(mean) = values.mean(&values.clusters().once()) else {
        numbers.none("", n, "nothing counts: all weights are 0");
        return Ok(());
    };
    let resampled = values.resampled(&numbers.bootstrap);
    let interval = match measure {
        Measure::Share => values.share_interval(level),
        _ => values.interval(level),
    };
    match interval {
        Some(interval) => numbers.interval("", mean, interval, n),
        None => {
            numbers.plain("", mean, n, "no interval: there is one prompt only, or all say the same")
        }
    }
    if measure == Measure::Share {
        numbers.share_beside(&resampled, n);
    } else {
        numbers.bootstrapped("percentile", &resampled, Method::Percentile, n);
        numbers.bootstrapped("bca", &resampled, Method::Bca, n);
    }
    numbers.count("missing", missing.len(), n, "count of rows without a value");
    Ok(())
}

pub(super) fn agreement(
    rows: &[&Row],
    options: &Options,
    numbers: &mut Numbers<'_>,
) -> Result<(), StageError> {
    let both = |row: &&Row| row.first.is_some() && row.second.is_some();
    let read: Vec<&Row> = rows.iter().copied().filter(both).collect();
    let unread = rows.len() - read.len();
    if read.is_empty() {
        numbers.none("", 0, "no row has both ratings");
        return Ok(());
    }
    let categories = Categories::of(&read);
    let place = |name: &Option<String>| categories.place(name.as_deref().unwrap_or_default());
    let pairs = read.iter().copied().map(|row| (place(&row.first), place(&row.second))).collect();
    let ratings = Ratings::new(pairs, categories.names.len(), Row::clusters(&read))?;
    let (n, level) = (ratings.clusters().count(), numbers.bootstrap.level);
    let same = |without: Option<&str>| -> Result<Values, StageError> {
        let kept = |row: &&Row| {
            without.is_none_or(|tie| {
                [&row.first, &row.second].iter().all(|side| side.as_deref() != Some(tie))
            })
        };
        let kept: Vec<&Row> = read.iter().copied().filter(kept).collect();
        let same =
            kept.iter().copied().map(|row| f64::from(u8::from(row.first == row.second))).collect();
        Ok(Values::new(same, Row::weights(&kept), Row::clusters(&kept))?)
    };
    let all = same(None)?;
    if let (Some(share), Some(interval)) = (ratings.agreement().share(), all.share_interval(level))
    {
        numbers.interval("", share, interval, n);
        numbers.share_beside(&all.resampled(&numbers.bootstrap), n);
    }
    if let Some(tie) = &options.tie {
        let untied = ratings.agreement().without(categories.place(tie));
        match (untied.share(), same(Some(tie))) {
            (Some(share), Ok(values)) => {
                let interval = values.share_interval(level);
                if let Some(interval) = interval {
                    numbers.interval("without_ties", share, interval, values.units());
                }
            }
            _ => numbers.none("without_ties", n, "every row is a tie"),
        }
    }
    let mut kappa = |part: &str, of: &(dyn Fn(&Agreement) -> Option<f64> + Sync)| {
        let bootstrap: Bootstrap = numbers.bootstrap;
        let resampled = bootstrap.run(ratings.clusters(), |counts| {
            vec![of(&ratings.agreement_of(counts)).unwrap_or(f64::NAN)]
        });
        numbers.bootstrapped(part, &resampled[0], Method::Bca, n);
    };
    kappa("kappa", &Agreement::kappa);
    if let Some(values) = categories.values.as_ref().filter(|values| values.len() > 2) {
        kappa("kappa_linear", &|a| a.weighted_kappa(|a, b| (values[a] - values[b]).abs()));
        kappa("kappa_quadratic", &|a| a.weighted_kappa(|a, b| (values[a] - values[b]).powi(2)));
    }
    numbers.count("unreadable", unread, n, "count of rows without both ratings");
    Ok(())
}

/// The categories of two raters, in the order of their values where all are numbers.
struct Categories {
    names: Vec<String>,
    values: Option<Vec<f64>>,
}

impl Categories {
    fn of(rows: &[&Row]) -> Self {
        let names = rows
            .iter()
            .flat_map(|row| [Row::text(row.first.as_ref()), Row::text(row.second.as_ref())]);
        let mut names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
        let number = |name: &String| name.parse::<f64>().ok().filter(|value| value.is_finite());
        let values: Option<BTreeMap<String, f64>> =
            names.iter().map(|name| Some((name.clone(), number(name)?))).collect();
        let values = values.map(|values| {
            names.sort_by(|a, b| values[a].total_cmp(&values[b]));
            names.iter().map(|name| values[name]).collect()
        });
        Self { names, values }
    }

    /// A category's place; past the last for one that never came up.
    fn place(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or(self.names.len())
    }
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
    if read.is_empty() {
        numbers.none("", 0, "no row has a value");
        return Ok(());
    }
    let scores: Vec<f64> = read.iter().copied().filter_map(|row| row.value).collect();
    // An item is one only within its prompt.
    let items = read.iter().copied().map(|row| (row.prompt.as_deref(), row.item.as_deref()));
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
