//! The bootstrap, over clusters: prompts are drawn, with all their rows, and the whole computation is
//! done again on what was drawn (Efron & Tibshirani 1993; Field & Welsh 2007 for clusters).
//!
//! Rows of one prompt are not independent. A bootstrap that draws rows prints intervals that are too
//! narrow, by a factor of up to the square root of the rows in a prompt.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::interval::{
    Interval, Method, effective_wilson, is_nothing, normal_cdf, normal_quantile, wilson,
};

/// Which rows belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    of_row: Vec<usize>,
    count: usize,
}

impl Clusters {
    /// Puts rows of equal labels together. Clusters are numbered in the order of their labels, so
    /// that the order of rows decides nothing.
    pub fn of<L: Ord>(labels: impl IntoIterator<Item = L>) -> Self {
        let labels: Vec<L> = labels.into_iter().collect();
        let mut numbers: BTreeMap<&L, usize> = labels.iter().map(|label| (label, 0)).collect();
        for (number, place) in numbers.values_mut().enumerate() {
            *place = number;
        }
        let of_row = labels.iter().map(|label| numbers[label]).collect();
        let count = numbers.len();
        Self { of_row, count }
    }

    /// Puts the rows of two lists together, with one numbering: a label is the same cluster in both.
    pub fn together<L: Ord>(
        first: impl IntoIterator<Item = L>,
        second: impl IntoIterator<Item = L>,
    ) -> [Self; 2] {
        let mut labels: Vec<L> = first.into_iter().collect();
        let rows = labels.len();
        labels.extend(second);
        let Self { mut of_row, count } = Self::of(labels);
        let rest = of_row.split_off(rows);
        [Self { of_row, count }, Self { of_row: rest, count }]
    }

    /// Takes each row for a cluster of its own.
    #[must_use]
    pub fn rows(rows: usize) -> Self {
        Self { of_row: (0..rows).collect(), count: rows }
    }

    /// How many clusters there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Each row's cluster, from 0.
    #[must_use]
    pub fn of_row(&self) -> &[usize] {
        &self.of_row
    }

    /// Counts of 1 for every cluster: the rows as they were found.
    #[must_use]
    pub fn once(&self) -> Vec<f64> {
        vec![1.0; self.count]
    }
}

/// How often, from which seed, and for which nominal coverage clusters are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Resamples, at least 1.
    pub resamples: usize,
    /// What every draw starts from.
    pub seed: u64,
    /// Nominal coverage of the intervals, in `(0, 1)`.
    pub level: f64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 1000, seed: 0, level: 0.95 }
    }
}

impl Bootstrap {
    /// Computes numbers on the clusters as they are, on every resample, and with each cluster left
    /// out once; of more than 1,000 clusters, with each of 1,000 groups of them. `numbers` gets how
    /// often each cluster counts and returns the same count of numbers each time; one that is not
    /// finite does not exist there.
    ///
    /// Resample i draws from its own stream of the seed, so that the number of threads and of
    /// resamples changes none that was drawn before.
    pub fn run<F>(&self, clusters: &Clusters, numbers: F) -> Vec<Resampled>
    where
        F: Fn(&[f64]) -> Vec<f64> + Sync,
    {
        const MOST: usize = 1000;
        let mut resampled = self.draw(clusters, &numbers);
        let without = |group: usize| {
            let count = |cluster: usize| f64::from(u8::from(cluster % MOST != group));
            let counts: Vec<f64> = (0..clusters.count()).map(count).collect();
            numbers(&counts)
        };
        let groups = clusters.count().min(MOST);
        let without: Vec<Vec<f64>> = (0..groups).into_par_iter().map(without).collect();
        for (which, resampled) in resampled.iter_mut().enumerate() {
            resampled.without = without.iter().map(|numbers| numbers[which]).collect();
        }
        resampled
    }

    /// As [`Bootstrap::run`], without leaving clusters out: [`Resampled::bca`] then corrects for
    /// bias alone.
    pub fn draw<F>(&self, clusters: &Clusters, numbers: F) -> Vec<Resampled>
    where
        F: Fn(&[f64]) -> Vec<f64> + Sync,
    {
        let values = numbers(&clusters.once());
        let count = clusters.count();
        let drawn: Vec<Vec<f64>> = (0..self.resamples)
            .into_par_iter()
            .map_init(
                || vec![0.0; count],
                |counts, resample| numbers(self.counts(resample, counts)),
            )
            .collect();
        let resampled = values.iter().enumerate().map(|(which, &value)| {
            let all = drawn.iter().map(|numbers| numbers[which]);
            let mut replicates: Vec<f64> = all.filter(|number| number.is_finite()).collect();
            replicates.sort_by(f64::total_cmp);
            let lost = drawn.len() - replicates.len();
            Resampled { value, replicates, lost, without: Vec::new(), clusters: count }
        });
        resampled.collect()
    }

    /// How often each cluster comes up in a resample.
    fn counts<'c>(&self, resample: usize, counts: &'c mut [f64]) -> &'c [f64] {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(resample as u64);
        counts.fill(0.0);
        for _ in 0..counts.len() {
            counts[generator.random_range(0..counts.len())] += 1.0;
        }
        counts
    }
}

/// A number, and what it came to on every resample.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    /// The number on the clusters as they are; not finite where there is none.
    pub value: f64,
    /// What it came to, in order; resamples on which it does not exist are left out.
    pub replicates: Vec<f64>,
    /// Resamples on which it does not exist.
    pub lost: usize,
    /// The number without each cluster, or without each of many groups of them.
    without: Vec<f64>,
    clusters: usize,
}

impl Resampled {
    /// Whether no interval can be had from the replicates: they are all the same, or more than one in
    /// twenty resamples has no number.
    #[must_use]
    pub fn is_degenerate(&self) -> bool {
        self.is_constant() || 20 * self.lost > self.lost + self.replicates.len()
    }

    /// Whether all replicates are the same, but for rounding.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        let ends = self.replicates.first().zip(self.replicates.last());
        ends.is_some_and(|(first, last)| is_nothing(last - first, *first))
    }

    /// The standard deviation of the replicates.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        let n = self.replicates.len() as f64;
        let mean = self.replicates.iter().sum::<f64>() / n;
        let squares: f64 = self.replicates.iter().map(|x| (x - mean) * (x - mean)).sum();
        (squares / (n - 1.0)).sqrt()
    }

    /// The share of replicates above `threshold`, those at it counted half.
    #[must_use]
    pub fn share_above(&self, threshold: f64) -> f64 {
        let at = |x: &&f64| is_nothing(**x - threshold, threshold);
        let ties = self.replicates.iter().filter(at).count() as f64;
        let above = self.replicates.iter().filter(|x| !at(x) && **x > threshold).count() as f64;
        (above + 0.5 * ties) / self.replicates.len() as f64
    }

    /// The percentile interval; `None` without replicates.
    #[must_use]
    pub fn percentile(&self, level: f64) -> Option<Interval> {
        let tail = f64::midpoint(1.0, -level);
        Some(Interval { low: self.quantile(tail)?, high: self.quantile(1.0 - tail)? })
    }

    /// The bias-corrected and accelerated interval (Efron 1987; Efron & Tibshirani, section 14.3);
    /// `None` where it does not exist.
    #[must_use]
    pub fn bca(&self, level: f64) -> Option<Interval> {
        let quantile = normal_quantile(f64::midpoint(1.0, level));
        let above = self.share_above(self.value);
        if !(above > 0.0 && above < 1.0) {
            return None;
        }
        let bias = -normal_quantile(above);
        let speed = self.acceleration();
        let share = |z: f64| {
            let moved = bias + z;
            normal_cdf(bias + moved / (1.0 - speed * moved))
        };
        Some(Interval {
            low: self.quantile(share(-quantile))?,
            high: self.quantile(share(quantile))?,
        })
    }

    /// The interval by one of the bootstrap's methods, and which it is: where all replicates lie on one
    /// side of the number, its bias cannot be told, and percentiles are all there is. `None` without
    /// replicates.
    #[must_use]
    pub fn interval(&self, method: Method, level: f64) -> Option<(Interval, Method)> {
        let corrected = if method == Method::Bca { self.bca(level) } else { None };
        let percentile = || Some((self.percentile(level)?, Method::Percentile));
        corrected.map(|interval| (interval, Method::Bca)).or_else(percentile)
    }

    /// The interval of a share; Wilson's over clusters where the resamples are degenerate, which the
    /// method that is returned says. Where too many have no number, it is as wide as the standard error
    /// says that is known besides, or as that of the rest.
    #[must_use]
    pub fn share_interval(
        &self,
        method: Method,
        level: f64,
        standard_error: Option<f64>,
    ) -> (Interval, Method) {
        let clusters = self.clusters as f64;
        if self.is_constant() {
            return (wilson(self.value, clusters, level), Method::WilsonForNoSpread);
        }
        let found = self.interval(method, level).filter(|_| !self.is_degenerate());
        found.unwrap_or_else(|| {
            let error = standard_error.unwrap_or_else(|| self.standard_error());
            let error = Some(error).filter(|error| error.is_finite());
            let (interval, _) =
                effective_wilson(self.value, error, clusters, clusters - 1.0, level);
            (interval, Method::WilsonForLost)
        })
    }

    /// A sixth of the skewness of the leave-one-out numbers; 0 where one of them does not exist.
    fn acceleration(&self) -> f64 {
        let n = self.without.len() as f64;
        let mean = self.without.iter().sum::<f64>() / n;
        let moment = |power: i32| self.without.iter().map(|x| (mean - x).powi(power)).sum::<f64>();
        let speed = moment(3) / (6.0 * moment(2).powf(1.5));
        if speed.is_finite() { speed } else { 0.0 }
    }

    /// The replicate at a share of the way, between neighbours in proportion.
    fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.replicates.len().checked_sub(1)?;
        let at = share.clamp(0.0, 1.0) * last as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to last")]
        let below = at.floor() as usize;
        let (low, high) = (self.replicates[below], self.replicates[(below + 1).min(last)]);
        Some(low + (at - at.floor()) * (high - low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    fn mean(values: &[f64], counts: &[f64]) -> f64 {
        let sum: f64 = counts.iter().zip(values).map(|(count, value)| count * value).sum();
        sum / counts.iter().sum::<f64>()
    }

    #[test]
    fn intervals_are_those_of_scipy_on_the_same_resamples() {
        #[derive(Deserialize)]
        struct Case {
            values: Vec<f64>,
            indices: Vec<Vec<usize>>,
            level: f64,
            mean: f64,
            standard_error: f64,
            percentile: [f64; 2],
            bca: [f64; 2],
        }
        let all = include_str!("../../tests/data/statistics.json");
        let all: serde_json::Value = serde_json::from_str(all).unwrap();
        for case in serde_json::from_value::<Vec<Case>>(all["bca"].clone()).unwrap() {
            let n = case.values.len();
            let once = vec![1.0; n];
            let replicate = |indices: &Vec<usize>| {
                let mut counts = vec![0.0; n];
                for index in indices {
                    counts[*index] += 1.0;
                }
                mean(&case.values, &counts)
            };
            let mut replicates: Vec<f64> = case.indices.iter().map(replicate).collect();
            replicates.sort_by(f64::total_cmp);
            let without = (0..n).map(|left_out| {
                let mut counts = once.clone();
                counts[left_out] = 0.0;
                mean(&case.values, &counts)
            });
            let resampled = Resampled {
                value: mean(&case.values, &once),
                replicates,
                lost: 0,
                without: without.collect(),
                clusters: n,
            };
            let close = |found: f64, expected: f64| {
                assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
            };
            close(resampled.value, case.mean);
            close(resampled.standard_error(), case.standard_error);
            let percentile = resampled.percentile(case.level).unwrap();
            close(percentile.low, case.percentile[0]);
            close(percentile.high, case.percentile[1]);
            let bca = resampled.bca(case.level).unwrap();
            close(bca.low, case.bca[0]);
            close(bca.high, case.bca[1]);
        }
    }

    #[test]
    fn a_number_that_no_resample_has_is_not_one_that_does_not_vary() {
        let clusters = Clusters::rows(30);
        let once = |counts: &[f64]| vec![if counts == clusters.once() { 0.5 } else { f64::NAN }];
        let resampled = Bootstrap::default().draw(&clusters, once).remove(0);
        assert_eq!((resampled.lost, resampled.is_constant()), (1000, false));
        assert_eq!(resampled.interval(Method::Bca, 0.95), None);
        let (interval, method) = resampled.share_interval(Method::Bca, 0.95, None);
        assert_eq!((interval, method), (wilson(0.5, 30.0, 0.95), Method::WilsonForLost));
    }

    #[test]
    fn a_resample_depends_on_the_seed_and_its_number_alone() {
        let values: Vec<f64> = (0..40).map(|i| f64::from(i * i % 17)).collect();
        let clusters = Clusters::rows(values.len());
        let drawn = |resamples, seed| {
            let bootstrap = Bootstrap { resamples, seed, level: 0.95 };
            bootstrap.draw(&clusters, |counts| vec![mean(&values, counts)]).remove(0).replicates
        };
        let (few, many) = (drawn(50, 1), drawn(200, 1));
        assert!(few.iter().all(|replicate| many.contains(replicate)));
        assert_ne!(few, drawn(50, 2));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| drawn(200, 1)), many);
    }

    #[test]
    fn labels_are_clusters_in_the_order_of_their_names() {
        let clusters = Clusters::of(["b", "a", "b", "c"]);
        assert_eq!((clusters.of_row(), clusters.count()), (&[1, 0, 1, 2][..], 3));
        let [first, second] = Clusters::together(["c", "a"], ["b", "c"]);
        assert_eq!((first.of_row(), second.of_row()), (&[2, 0][..], &[1, 2][..]));
        assert_eq!((first.count(), second.count()), (3, 3));
    }
}
