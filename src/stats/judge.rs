//! How a judge behaves: which side it favours, whether it says the same again, what its scores follow.

use std::collections::BTreeMap;

use super::bootstrap::Clusters;
use super::error::Error;
use super::rank::Moments;

/// How one number follows another: a score the length of what is scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Slope {
    x: Vec<f64>,
    y: Vec<f64>,
    clusters: Clusters,
}

impl Slope {
    /// Takes pairs of numbers.
    ///
    /// # Errors
    /// Where there is none, the lists differ in length, or one is not finite.
    pub fn new(x: Vec<f64>, y: Vec<f64>, clusters: Clusters) -> Result<Self, Error> {
        Error::check_lengths(x.len(), y.len())?;
        Error::check_lengths(x.len(), clusters.of_row().len())?;
        Error::check_finite(&x)?;
        Error::check_finite(&y)?;
        Ok(Self { x, y, clusters })
    }

    /// How much y rises when x rises by 1, by least squares; `None` where x does not vary.
    #[must_use]
    pub fn per_unit(&self, counts: &[f64]) -> Option<f64> {
        let weights: Vec<f64> =
            self.clusters.of_row().iter().map(|cluster| counts[*cluster]).collect();
        Moments::of(&self.x, &self.y, &weights).slope()
    }
}

/// Verdicts on the same comparisons in both orders.
#[derive(Debug, Clone, PartialEq)]
pub struct Orders {
    comparisons: Vec<Comparison>,
    clusters: Clusters,
}

/// How often one comparison was lost, tied and won by the model, where it was shown first and second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Comparison {
    cluster: usize,
    verdicts: [[f64; 3]; 2],
}

/// One verdict on a comparison, in one order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderedVerdict {
    /// What names the comparison: the same in both orders.
    pub comparison: String,
    /// Whether the model's answer was the one shown first.
    pub model_first: bool,
    /// How far the model is preferred, in `[0, 1]`; `None` where that could not be read.
    pub preference: Option<f64>,
}

impl Orders {
    /// Takes verdicts in any number and order.
    ///
    /// # Errors
    /// Where there is none, or a preference is outside its range.
    pub fn new(verdicts: &[OrderedVerdict], clusters: Clusters) -> Result<Self, Error> {
        Error::check_lengths(verdicts.len(), clusters.of_row().len())?;
        Error::check_preferences(verdicts.iter().map(|verdict| verdict.preference))?;
        let mut comparisons = BTreeMap::<(usize, &str), Comparison>::new();
        for (verdict, cluster) in verdicts.iter().zip(clusters.of_row()) {
            let Some(preference) = verdict.preference else { continue };
            let comparison = comparisons.entry((*cluster, &verdict.comparison)).or_default();
            let outcome = usize::from(preference >= 0.5) + usize::from(preference > 0.5);
            comparison.cluster = *cluster;
            comparison.verdicts[usize::from(!verdict.model_first)][outcome] += 1.0;
        }
        Ok(Self { comparisons: comparisons.into_values().collect(), clusters })
    }

    /// Which verdicts belong together.
    #[must_use]
    pub const fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// How likely a verdict changes when the order does, over comparisons with both orders: the share
    /// that disagree, a tie and a win among them. `None` without any.
    #[must_use]
    pub fn disagree(&self, counts: &[f64]) -> Option<f64> {
        let (mut disagree, mut total) = (0.0, 0.0);
        for Comparison { cluster, verdicts: [first, second] } in &self.comparisons {
            let draws = first.iter().sum::<f64>() * second.iter().sum::<f64>();
            if draws > 0.0 {
                let same: f64 = first.iter().zip(second).map(|(a, b)| a * b).sum();
                disagree += counts[*cluster] * (1.0 - same / draws);
                total += counts[*cluster];
            }
        }
        (total > 0.0).then(|| disagree / total)
    }

    /// How often the answer shown first wins, over verdicts that are no tie; ½ for a judge that does
    /// not care, where each comparison comes in both orders, or in one that a coin decided: then the coin
    /// is in the interval. `None` without any.
    #[must_use]
    pub fn first_wins(&self, counts: &[f64]) -> Option<f64> {
        let (mut first_wins, mut total) = (0.0, 0.0);
        for Comparison { cluster, verdicts: [first, second] } in &self.comparisons {
            first_wins += counts[*cluster] * (first[2] + second[0]);
            total += counts[*cluster] * (first[0] + first[2] + second[0] + second[2]);
        }
        (total > 0.0).then(|| first_wins / total)
    }
}

/// Scores of the same things, drawn more than once.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    things: Vec<Thing>,
    clusters: Clusters,
}

/// What the draws of one thing come to: resamples take things whole, so it is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Thing {
    cluster: usize,
    draws: usize,
    /// The share of pairs of draws that are the same.
    same: f64,
    variance: f64,
}

impl Thing {
    fn new(cluster: usize, mut scores: Vec<f64>) -> Self {
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (n - 1.0);
        scores.sort_by(f64::total_cmp);
        let runs = scores.chunk_by(|a, b| a == b).map(|run| run.len() as f64);
        let same = runs.map(|run| run * (run - 1.0)).sum::<f64>() / (n * (n - 1.0));
        Self { cluster, draws: scores.len(), same, variance }
    }
}

impl Draws {
    /// Takes scores, each of a thing by its label, each thing in one cluster.
    ///
    /// # Errors
    /// Where there is none, or one is not finite.
    pub fn new<L: Ord>(
        scores: &[f64],
        things: impl IntoIterator<Item = L>,
        clusters: Clusters,
    ) -> Result<Self, Error> {
        let labels = Clusters::of(things);
        Error::check_lengths(scores.len(), clusters.of_row().len())?;
        Error::check_lengths(scores.len(), labels.of_row().len())?;
        Error::check_finite(scores)?;
        let mut things = vec![(0, Vec::new()); labels.count()];
        for ((score, thing), cluster) in scores.iter().zip(labels.of_row()).zip(clusters.of_row()) {
            things[*thing].0 = *cluster;
            things[*thing].1.push(*score);
        }
        let thing = |(cluster, scores)| Thing::new(cluster, scores);
        Ok(Self { things: things.into_iter().map(thing).collect(), clusters })
    }

    /// Which scores belong together.
    #[must_use]
    pub const fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// How likely two draws give one thing the same score, over things drawn at least twice, each
    /// counted once. `None` without any.
    #[must_use]
    pub fn consistency(&self, counts: &[f64]) -> Option<f64> {
        self.mean_over_things(counts, |thing| thing.same)
    }

    /// How far draws of one thing lie apart: the root of the mean variance within things. `None` where
    /// nothing was drawn twice.
    #[must_use]
    pub fn spread(&self, counts: &[f64]) -> Option<f64> {
        self.mean_over_things(counts, |thing| thing.variance).map(f64::sqrt)
    }

    fn mean_over_things(&self, counts: &[f64], of: fn(&Thing) -> f64) -> Option<f64> {
        let (mut sum, mut total) = (0.0, 0.0);
        for thing in &self.things {
            let count = counts[thing.cluster];
            if thing.draws > 1 && count > 0.0 {
                sum += count * of(thing);
                total += count;
            }
        }
        (total > 0.0).then(|| sum / total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} for {expected}");
    }

    fn verdict(comparison: &str, model_first: bool, preference: Option<f64>) -> OrderedVerdict {
        OrderedVerdict { comparison: comparison.to_owned(), model_first, preference }
    }

    #[test]
    fn both_definitions_of_position_bias_are_counted() {
        let verdicts = [
            // The first shown wins, whichever it is: the orders disagree.
            verdict("a", true, Some(1.0)),
            verdict("a", false, Some(0.0)),
            // The model wins in both orders: they agree.
            verdict("b", true, Some(0.8)),
            verdict("b", false, Some(1.0)),
            // A win and a tie disagree, and only the win has a winner.
            verdict("c", true, Some(0.5)),
            verdict("c", false, Some(1.0)),
            // One order could not be read: nothing to compare, yet the first shown lost.
            verdict("d", true, Some(0.0)),
            verdict("d", false, None),
        ];
        let clusters = Clusters::of(verdicts.iter().map(|verdict| verdict.comparison.clone()));
        let orders = Orders::new(&verdicts, clusters).unwrap();
        let once = orders.clusters().once();
        close(orders.disagree(&once), 2.0 / 3.0);
        close(orders.first_wins(&once), 3.0 / 6.0);
        // Only b, drawn twice.
        close(orders.disagree(&[0.0, 2.0, 0.0, 0.0]), 0.0);
        assert_eq!(orders.disagree(&[0.0, 0.0, 0.0, 1.0]), None);
    }

    #[test]
    fn draws_agree_as_often_as_two_of_them_are_the_same() {
        // a: 3, 3, 4: one pair of three. b: 1, 1: the only pair. c was drawn once and says nothing.
        let scores = [3.0, 3.0, 4.0, 1.0, 1.0, 5.0];
        let things = ["a", "a", "a", "b", "b", "c"];
        let draws = Draws::new(&scores, things, Clusters::of(things)).unwrap();
        let once = draws.clusters().once();
        close(draws.consistency(&once), f64::midpoint(1.0 / 3.0, 1.0));
        close(draws.spread(&once), f64::midpoint(1.0 / 3.0, 0.0).sqrt());
        close(draws.consistency(&[2.0, 1.0, 5.0]), (2.0 / 3.0 + 1.0) / 3.0);
        assert_eq!(draws.spread(&[0.0, 0.0, 1.0]), None);
    }

    #[test]
    fn a_slope_is_that_of_least_squares() {
        let clusters = Clusters::rows(4);
        let once = clusters.once();
        let slope =
            Slope::new(vec![1.0, 2.0, 3.0, 4.0], vec![2.0, 1.0, 4.0, 3.0], clusters).unwrap();
        close(slope.per_unit(&once), 0.6);
        assert_eq!(slope.per_unit(&[0.0, 3.0, 0.0, 0.0]), None);
    }
}
