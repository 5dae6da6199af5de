//! Where a win rate's uncertainty comes from: the prompts, the K answers drawn to each, the order in
//! which answers are shown, or the judge's own N draws.
//!
//! `preference = μ + order + prompt + sample in prompt + order in sample + draw`: the order's mean effect
//! is fixed and cancels where both orders are played, the rest are random and nested. Each part's
//! variance comes from sums of squares set equal to what they are expected to be (Henderson 1953,
//! method 1), for numbers of samples and draws that need not be the same. Where some sample lacks an
//! order, orders cannot be told apart so, and what they do is part of the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;

/// One preference, and what it was drawn for.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// The prompt.
    pub prompt: String,
    /// Which answer to it.
    pub sample: String,
    /// Which order the judge saw.
    pub order: String,
    /// What was preferred.
    pub value: f64,
}

/// The parts, from the outermost.
pub const PARTS: [&str; 4] = ["prompt", "sample", "order", "judge"];

/// One part of the variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// The variance between units of this part, at least 0: an estimate below is cut there.
    pub variance: f64,
    /// What it adds to the variance of the mean over all.
    pub of_mean: f64,
}

/// How the variance of a mean splits.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// In the order of [`PARTS`]. `None` where a part was drawn once in each unit above: it cannot be
    /// told from that unit, which then carries both.
    pub parts: [Option<Part>; 4],
    /// Units of each part.
    pub units: [usize; 4],
    /// The mean.
    pub mean: f64,
}

impl Split {
    /// Splits the variance of draws.
    ///
    /// # Errors
    /// Where there is no draw, fewer than two prompts, or a value is not finite.
    pub fn of(draws: &[Draw]) -> Result<Self, Error> {
        let values: Vec<f64> = draws.iter().map(|draw| draw.value).collect();
        Error::check_lengths(values.len(), draws.len())?;
        Error::check_finite(&values)?;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let orders = orders_of_all(draws);
        let values = if orders > 1 { without_order(draws, mean) } else { values };
        let levels = Levels::of(draws, &values);
        if levels.units[1].len() < 2 {
            return Err(Error::TooFew { found: levels.units[1].len(), needed: 2, what: "prompts" });
        }
        let units = [1, 2, 3, 4].map(|level| levels.units[level].len());
        Ok(Self { parts: levels.parts(orders), units, mean })
    }

    /// The variance of the mean: its standard error's square.
    #[must_use]
    pub fn of_mean(&self) -> f64 {
        self.parts.iter().flatten().map(|part| part.of_mean).sum()
    }

    /// Each part's share of the variance of the mean, in `[0, 1]`.
    #[must_use]
    pub fn shares(&self) -> [Option<f64>; 4] {
        let all = self.of_mean();
        self.parts.map(|part| part.map(|part| if all > 0.0 { part.of_mean / all } else { 0.0 }))
    }

    /// What to have more of: prompts where at least half the variance is theirs, or nothing else is
    /// known; else samples or judge draws, whichever adds more. An order's own variance counts with
    /// the judge's.
    #[must_use]
    pub fn raise_next(&self) -> &'static str {
        let [prompt, sample, order, judge] = self.shares().map(Option::unwrap_or_default);
        match (prompt, sample, order + judge) {
            (prompt, sample, judge) if prompt >= 0.5 || sample + judge == 0.0 => "prompts",
            (_, sample, judge) if sample >= judge => "samples",
            _ => "judge draws",
        }
    }
}

/// How many orders there are, where every sample has all of them; else 1.
fn orders_of_all(draws: &[Draw]) -> usize {
    let mut of_samples = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
    for Draw { prompt, sample, order, .. } in draws {
        of_samples.entry((prompt, sample)).or_default().insert(order);
    }
    let all: BTreeSet<&str> = draws.iter().map(|draw| draw.order.as_str()).collect();
    if of_samples.values().all(|orders| *orders == all) { all.len() } else { 1 }
}

/// The values less what each order's mean is above the whole.
fn without_order(draws: &[Draw], mean: f64) -> Vec<f64> {
    let mut orders = BTreeMap::<&str, (f64, f64)>::new();
    for draw in draws {
        let order = orders.entry(&draw.order).or_default();
        *order = (order.0 + draw.value, order.1 + 1.0);
    }
    let effect = |draw: &Draw| {
        let (sum, n) = orders[draw.order.as_str()];
        sum / n - mean
    };
    draws.iter().map(|draw| draw.value - effect(draw)).collect()
}

/// A unit of some level: how many draws it has, their sum, and the unit that it is in.
#[derive(Debug, Clone, Copy)]
struct Unit {
    n: f64,
    sum: f64,
    above: usize,
}

/// Units of every level: the whole, prompts, samples, orders, draws.
struct Levels {
    units: [Vec<Unit>; 5],
}

impl Levels {
    fn of(draws: &[Draw], values: &[f64]) -> Self {
        let mut units: [Vec<Unit>; 5] = Default::default();
        units[0].push(Unit { n: 0.0, sum: 0.0, above: 0 });
        let mut places = BTreeMap::<(usize, usize, &str), usize>::new();
        for (draw, value) in draws.iter().zip(values) {
            let mut above = 0;
            let names = [&draw.prompt, &draw.sample, &draw.order];
            for (level, name) in (1..).zip(names) {
                let place = *places.entry((level, above, name)).or_insert_with(|| {
                    units[level].push(Unit { n: 0.0, sum: 0.0, above });
                    units[level].len() - 1
                });
                units[level][place].n += 1.0;
                units[level][place].sum += value;
                above = place;
            }
            units[4].push(Unit { n: 1.0, sum: *value, above });
            units[0][0].n += 1.0;
            units[0][0].sum += value;
        }
        Self { units }
    }

    /// `Σ_v (Σ_u n_u²) / n_v` over units v of one level and the units u of a deeper one within each.
    fn weight(&self, level: usize, deeper: usize) -> f64 {
        let mut squares: Vec<f64> = self.units[deeper].iter().map(|unit| unit.n * unit.n).collect();
        for between in (level + 1..=deeper).rev() {
            let mut above = vec![0.0; self.units[between - 1].len()];
            for (unit, squares) in self.units[between].iter().zip(squares) {
                above[unit.above] += squares;
            }
            squares = above;
        }
        self.units[level].iter().zip(squares).map(|(unit, squares)| squares / unit.n).sum()
    }

    fn sum_of_squares(&self, level: usize) -> f64 {
        let above = &self.units[level - 1];
        let gap = |unit: &Unit| unit.sum / unit.n - above[unit.above].sum / above[unit.above].n;
        self.units[level].iter().map(|unit| unit.n * gap(unit).powi(2)).sum()
    }

    /// Solves from the innermost part outwards: what is expected of a level's squares names that
    /// level's variance and those within it.
    fn parts(&self, orders: usize) -> [Option<Part>; 4] {
        let all = self.units[0][0].n;
        // What rounding makes of values that are all the same.
        let nothing = all * (1e-12 * self.units[0][0].sum / all).powi(2);
        let mut parts: [Option<Part>; 4] = [None; 4];
        for level in (1..=4).rev() {
            let freedom = self.units[level].len() as f64 - self.units[level - 1].len() as f64;
            // The orders' mean effects were taken out, and with them their degrees of freedom.
            let fixed = if level == 3 { orders as f64 - 1.0 } else { 0.0 };
            if freedom - fixed <= 0.0 {
                continue;
            }
            let kept = (freedom - fixed) / freedom;
            let expected =
                |part: usize| kept * (self.weight(level, part) - self.weight(level - 1, part));
            let within: f64 = (level + 1..=4)
                .filter_map(|deeper| Some(parts[deeper - 1]?.variance * expected(deeper)))
                .sum();
            let squares = self.sum_of_squares(level);
            let left = if squares <= nothing { 0.0 } else { squares - within };
            let variance = (left / expected(level)).max(0.0);
            let of_mean = variance * self.weight(0, level) / all;
            parts[level - 1] = Some(Part { variance, of_mean });
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(prompt: usize, sample: usize, order: usize, value: f64) -> Draw {
        let name = |number: usize| number.to_string();
        Draw { prompt: name(prompt), sample: name(sample), order: name(order), value }
    }

    #[test]
    fn one_draw_a_prompt_is_the_textbooks_standard_error() {
        let values = [0.0, 1.0, 1.0, 0.5, 0.25];
        let draws: Vec<Draw> =
            values.iter().enumerate().map(|(prompt, value)| draw(prompt, 0, 0, *value)).collect();
        let split = Split::of(&draws).unwrap();
        let mean = values.iter().sum::<f64>() / 5.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4.0;
        assert!((split.of_mean() - variance / 5.0).abs() < 1e-12);
        assert_eq!(split.parts.map(|part| part.is_some()), [true, false, false, false]);
        assert_eq!(split.raise_next(), "prompts");
    }

    #[test]
    fn an_unbalanced_design_is_solved_as_by_hand() {
        // Two prompts, of 1 and 3 draws, each of one sample in one order: a one-way layout.
        let draws =
            [draw(0, 0, 0, 1.0), draw(1, 0, 0, 3.0), draw(1, 0, 0, 5.0), draw(1, 0, 0, 4.0)];
        let split = Split::of(&draws).unwrap();
        // Within: (1 + 1 + 0) / 2 = 1. Between: 1·(1 − 3.25)² + 3·(4 − 3.25)² = 6.75, which is
        // expected to be within + (4 − 10/4)·prompt.
        let prompt = (6.75 - 1.0) / 1.5;
        assert!((split.parts[0].unwrap().variance - prompt).abs() < 1e-12, "{split:?}");
        assert!((split.parts[3].unwrap().variance - 1.0).abs() < 1e-12, "{split:?}");
        assert!((split.of_mean() - (prompt * 10.0 / 16.0 + 1.0 / 4.0)).abs() < 1e-12, "{split:?}");
    }

    #[test]
    fn what_is_most_of_the_variance_is_raised_next() {
        let mut draws = Vec::new();
        for (prompt, sample, order, n) in (0..40).flat_map(|p| {
            (0..3).flat_map(move |s| (0..2).flat_map(move |o| (0..2).map(move |n| (p, s, o, n))))
        }) {
            // The answer decides, and prompts hardly differ.
            let value = f64::from(u8::try_from((sample * 7 + prompt * 5) % 3).unwrap()) / 2.0;
            draws.push(draw(prompt, sample, order, value + 0.001 * f64::from(n)));
        }
        assert_eq!(Split::of(&draws).unwrap().raise_next(), "samples");
    }
}
