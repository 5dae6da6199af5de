//! Numbers of several seeds as one: their means, with Student's t over seeds.

use std::collections::{BTreeMap, BTreeSet};

use super::course::NodeCost;
use super::number::{Number, SeedPoint};
use crate::study::models::ModelNumbers;
use crate::study::over_seeds::Mean;

/// Shares by group: a group that a seed does not have never occurred in it.
const DIVIDED: [&str; 3] = ["judge_status", "meta_judge_status", "judge_score_histogram"];

/// The number of the model, its name, part, name and group: in this order numbers are read.
type Key<'a> = (usize, &'a str, &'a str, &'a str, &'a str);

/// The means of all numbers over seeds, in the order in which those of one seed stand.
pub(super) fn averaged(of: &[(u64, Vec<Number>)]) -> Vec<Number> {
    let mut found: BTreeMap<Key<'_>, Vec<(u64, &Number)>> = BTreeMap::new();
    let mut divided: BTreeSet<(u64, &str, &str)> = BTreeSet::new();
    for (seed, number) in of.iter().flat_map(|(seed, all)| all.iter().map(|one| (*seed, one))) {
        let Number { model, part, name, group, .. } = number;
        found.entry((place(model), model, part, name, group)).or_default().push((seed, number));
        if DIVIDED.contains(&name.as_str()) {
            divided.insert((seed, model, name));
        }
    }
    let seeds = || of.iter().map(|(seed, _)| *seed);
    let mean = |((_, model, _, name, _), numbers): (Key<'_>, Vec<(u64, &Number)>)| {
        let has = |seed| numbers.iter().any(|(known, _)| *known == seed);
        let never = seeds().filter(|seed| !has(*seed) && divided.contains(&(*seed, model, name)));
        mean(&numbers, never, of.len())
    };
    found.into_iter().filter_map(mean).collect()
}

/// Models of no iteration stand last.
fn place(model: &str) -> usize {
    model.strip_prefix('m').and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

/// The mean of one number over the seeds that have it, and those in which what it counts never occurred.
fn mean(
    numbers: &[(u64, &Number)],
    never: impl Iterator<Item = u64>,
    seeds: usize,
) -> Option<Number> {
    let (_, first) = numbers.first()?;
    let known = numbers.iter().filter_map(|(seed, number)| Some((*seed, number.value?)));
    let points = known.chain(never.map(|seed| (seed, 0.0)));
    let mut points: Vec<SeedPoint> =
        points.map(|(seed, value)| SeedPoint { seed, value }).collect();
    points.sort_by_key(|point| point.seed);
    let mean = Mean::of(points.iter().map(|point| point.value).collect());
    Some(Number {
        experiment: first.experiment.clone(),
        model: first.model.clone(),
        part: first.part.clone(),
        name: first.name.clone(),
        group: first.group.clone(),
        value: mean.map(|mean| mean.mean),
        low: mean.and_then(|mean| mean.low()),
        high: mean.and_then(|mean| mean.high()),
        n: mean.and_then(|mean| i64::try_from(mean.seeds).ok()).unwrap_or(0),
        method: match mean {
            Some(mean) => method(mean, seeds),
            None => first.method.clone(),
        },
        points,
    })
}

/// How a mean was found, in words.
fn method(mean: Mean, seeds: usize) -> String {
    let of = if mean.seeds == seeds { String::new() } else { format!(" of {seeds}") };
    match (mean.seeds, mean.half) {
        (1, _) => format!("one seed{of}"),
        (n, Some(_)) => format!("mean over {n}{of} seeds, Student's t over seeds"),
        (n, None) => format!("mean over {n}{of} seeds, which all say the same"),
    }
}

/// A line for each model: estimates are means over seeds, pairs and seconds sums.
pub(super) fn models(
    of: &[Vec<ModelNumbers>],
    numbers: &[Number],
    nodes: &[NodeCost],
) -> Vec<ModelNumbers> {
    let lines: BTreeMap<(usize, &str), Vec<&ModelNumbers>> = by_model(of);
    let line = |((_, model), lines): ((usize, &str), Vec<&ModelNumbers>)| {
        let number = |name: &str| {
            let is_it = |number: &&Number| {
                number.model == model
                    && number.name == name
                    && number.group == "all"
                    && ["answers", "panel"].contains(&number.part.as_str())
            };
            numbers.iter().find(is_it)
        };
        let value = |name: &str| number(name).and_then(|number| number.value);
        let sum = |of: fn(&ModelNumbers) -> Option<f64>| {
            lines.iter().filter_map(|line| of(line)).reduce(|sum, pairs| sum + pairs)
        };
        let spent = nodes.iter().filter(|node| node.model == model && node.finished);
        ModelNumbers {
            experiment: String::new(),
            model: model.to_owned(),
            win_rate: value("win_rate"),
            low: number("win_rate").and_then(|number| number.low),
            high: number("win_rate").and_then(|number| number.high),
            length_controlled: value("length_controlled_win_rate"),
            agreement: value("judge_agreement"),
            chars: value("response_chars"),
            actor_pairs: sum(|line| line.actor_pairs),
            judge_pairs: sum(|line| line.judge_pairs),
            seconds: spent.map(|node| node.seconds).sum(),
        }
    };
    lines.into_iter().map(line).collect()
}

fn by_model(of: &[Vec<ModelNumbers>]) -> BTreeMap<(usize, &str), Vec<&ModelNumbers>> {
    let mut lines: BTreeMap<(usize, &str), Vec<&ModelNumbers>> = BTreeMap::new();
    for line in of.iter().flatten() {
        lines.entry((place(&line.model), &line.model)).or_default().push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str, group: &str, value: Option<f64>) -> Number {
        let [experiment, model, part] = ["loop", "m1", "judging"].map(str::to_owned);
        let (name, group, method) = (name.to_owned(), group.to_owned(), "as it is".to_owned());
        let (low, high, n, points) = (None, None, 10, Vec::new());
        Number { experiment, model, part, name, group, value, low, high, n, method, points }
    }

    #[test]
    fn a_mean_is_over_the_seeds_that_have_the_number() {
        let of = [
            (0, vec![number("win_rate", "all", Some(0.6)), number("gain", "all", None)]),
            (1, vec![number("win_rate", "all", Some(0.7))]),
            (2, vec![]),
        ];
        let [gain, win_rate] = &averaged(&of)[..] else { panic!("two numbers") };
        assert_eq!((gain.value, gain.method.as_str(), gain.points.len()), (None, "as it is", 0));
        // s = 0.0707107, t(0.975, 1) = 12.7062047, the half is 0.6353102.
        assert!((win_rate.value.unwrap() - 0.65).abs() < 1e-12);
        assert!((win_rate.high.unwrap() - 1.285_310_2).abs() < 1e-6, "{win_rate:?}");
        assert_eq!(win_rate.method, "mean over 2 of 3 seeds, Student's t over seeds");
        assert_eq!((win_rate.n, win_rate.points.len()), (2, 2));
    }

    #[test]
    fn a_score_that_a_seed_never_gave_counts_as_none_of_its_scores() {
        let share = |group, value| number("judge_score_histogram", group, Some(value));
        let of = [
            (0, vec![share("4", 0.5), share("5", 0.5)]),
            (1, vec![share("4", 1.0)]),
            (2, vec![number("win_rate", "all", Some(0.5))]),
        ];
        let numbers = averaged(&of);
        let five = numbers.iter().find(|number| number.group == "5").unwrap();
        assert_eq!((five.value, five.n), (Some(0.25), 2), "seed 2 gave no score at all: {five:?}");
        let one = numbers.iter().find(|number| number.name == "win_rate").unwrap();
        assert_eq!((one.method.as_str(), one.low), ("one seed of 3", None));
    }
}
