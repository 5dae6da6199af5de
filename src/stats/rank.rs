//! Correlation of ranks.

use super::bootstrap::Clusters;
use super::error::Error;

/// Two numbers a row, sorted once so that their ranks can be had quickly for many resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranks {
    x: Ranked,
    y: Ranked,
    clusters: Clusters,
}

/// One side: the rows in order, and each row's place among the distinct values.
#[derive(Debug, Clone, PartialEq)]
struct Ranked {
    order: Vec<usize>,
    place: Vec<usize>,
    distinct: usize,
}

impl Ranked {
    fn of(numbers: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
        let (mut place, mut distinct) = (vec![0; numbers.len()], 0);
        for equal in order.chunk_by(|a, b| numbers[*a] == numbers[*b]) {
            for row in equal {
                place[*row] = distinct;
            }
            distinct += 1;
        }
        Self { order, place, distinct }
    }

    /// The weight of every distinct value.
    fn weights(&self, weights: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.distinct];
        for (place, weight) in self.place.iter().zip(weights) {
            sums[*place] += weight;
        }
        sums
    }

    /// The mean rank of every distinct value, from 0.
    fn ranks(&self, weights: &[f64]) -> Vec<f64> {
        let mut below = 0.0;
        let sums = self.weights(weights).into_iter();
        let rank = sums.map(|weight| {
            below += weight;
            below - weight / 2.0
        });
        rank.collect()
    }

    /// The weight of pairs of rows that differ.
    fn untied(&self, weights: &[f64]) -> f64 {
        let sums = self.weights(weights);
        let total: f64 = sums.iter().sum();
        (total * total - sums.iter().map(|sum| sum * sum).sum::<f64>()) / 2.0
    }
}

impl Ranks {
    /// Takes pairs of numbers.
    ///
    /// # Errors
    /// Where the sides differ in length, are empty, or hold what is not a number.
    pub fn new(x: &[f64], y: &[f64], clusters: Clusters) -> Result<Self, Error> {
        Error::check_lengths(x.len(), y.len())?;
        Error::check_lengths(x.len(), clusters.of_row().len())?;
        Error::check_finite(x)?;
        Error::check_finite(y)?;
        Ok(Self { x: Ranked::of(x), y: Ranked::of(y), clusters })
    }

    fn weights(&self, counts: &[f64]) -> Vec<f64> {
        self.clusters.of_row().iter().map(|cluster| counts[*cluster]).collect()
    }

    /// Spearman's ρ: Pearson's correlation of the ranks, equal values sharing their mean rank. `None`
    /// where one side has one value only.
    #[must_use]
    pub fn spearman(&self, counts: &[f64]) -> Option<f64> {
        let weights = self.weights(counts);
        let [x, y] = [&self.x, &self.y].map(|side| {
            let ranks = side.ranks(&weights);
            side.place.iter().map(|place| ranks[*place]).collect::<Vec<f64>>()
        });
        Moments::of(&x, &y, &weights).correlation()
    }

    /// Kendall's τ-b (1945), which allows for ties. `None` where one side has one value only.
    #[must_use]
    pub fn kendall(&self, counts: &[f64]) -> Option<f64> {
        let weights = self.weights(counts);
        let mut seen = Tree(vec![0.0; self.y.distinct + 1]);
        let (mut balance, mut total) = (0.0, 0.0);
        for equal in self.x.order.chunk_by(|a, b| self.x.place[*a] == self.x.place[*b]) {
            for row in equal {
                let place = self.y.place[*row];
                let (below, up_to) = (seen.sum(place), seen.sum(place + 1));
                balance += weights[*row] * (below - (total - up_to));
            }
            for row in equal {
                seen.add(self.y.place[*row], weights[*row]);
                total += weights[*row];
            }
        }
        let scale = (self.x.untied(&weights) * self.y.untied(&weights)).sqrt();
        (scale > 0.0).then(|| balance / scale)
    }
}

/// Sums over the first places of a list that changes (Fenwick 1994).
struct Tree(Vec<f64>);

impl Tree {
    fn add(&mut self, place: usize, weight: f64) {
        let mut at = place + 1;
        while at < self.0.len() {
            self.0[at] += weight;
            at += at & at.wrapping_neg();
        }
    }

    /// The sum over places below `end`.
    fn sum(&self, end: usize) -> f64 {
        let (mut at, mut sum) = (end, 0.0);
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        sum
    }
}

/// Weighted second moments of pairs of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Moments {
    pub(super) fn of(x: &[f64], y: &[f64], weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let mean = |of: &[f64]| of.iter().zip(weights).map(|(a, w)| a * w).sum::<f64>() / total;
        let (mean_x, mean_y) = (mean(x), mean(y));
        let mut moments = Self { xx: 0.0, yy: 0.0, xy: 0.0 };
        for ((x, y), weight) in x.iter().zip(y).zip(weights) {
            let (x, y) = (x - mean_x, y - mean_y);
            moments.xx += weight * x * x;
            moments.yy += weight * y * y;
            moments.xy += weight * x * y;
        }
        // What rounding makes of numbers that are all the same is no variance.
        let nothing = |squares: f64, mean: f64| squares <= total * (1e-12 * mean).powi(2);
        if nothing(moments.xx, mean_x) {
            moments.xx = 0.0;
        }
        if nothing(moments.yy, mean_y) {
            moments.yy = 0.0;
        }
        moments
    }

    /// Pearson's correlation; `None` where one side does not vary.
    pub(super) fn correlation(self) -> Option<f64> {
        let Self { xx, yy, xy } = self;
        (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
    }

    /// How much y rises with x, by least squares; `None` where x does not vary.
    pub(super) fn slope(self) -> Option<f64> {
        (self.xx > 0.0).then(|| self.xy / self.xx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_vary_has_no_rank() {
        let ranks = |x: &[f64], y: &[f64]| Ranks::new(x, y, Clusters::rows(x.len()));
        let constant = ranks(&[1.0, 2.0, 2.0, 3.0, 5.0], &[1.0; 5]).unwrap();
        assert_eq!((constant.spearman(&[1.0; 5]), constant.kendall(&[1.0; 5])), (None, None));
        assert_eq!(ranks(&[1.0], &[f64::NAN]), Err(Error::NotFinite { row: 0 }));
        assert_eq!(ranks(&[1.0], &[]), Err(Error::Lengths { x: 1, y: 0 }));
        assert_eq!(ranks(&[], &[]), Err(Error::NoRows));
    }
}
