//! Means over rows that belong to clusters: a ratio of sums, whose uncertainty is that of the clusters.

use super::bootstrap::{Bootstrap, Clusters, Resampled};
use super::interval::{effective_wilson, is_nothing, student_interval, t_two_sided};
use super::{Error, Interval, Method};

/// Numbers, each of one cluster, whose mean is asked for: scores, or 1 and 0 for what is so and what
/// is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    pub(super) values: Vec<f64>,
    pub(super) weights: Vec<f64>,
    pub(super) clusters: Clusters,
}

impl Values {
    /// Takes numbers, each counted by a weight of at least 0.
    ///
    /// # Errors
    /// Where there is none, the lists differ in length, or one is not finite.
    pub fn new(values: Vec<f64>, weights: Vec<f64>, clusters: Clusters) -> Result<Self, Error> {
        Error::check_lengths(values.len(), clusters.of_row().len())?;
        Error::check_lengths(values.len(), weights.len())?;
        Error::check_finite(&values)?;
        Error::check_weights(&weights)?;
        Ok(Self { values, weights, clusters })
    }

    /// How many clusters have a number that counts: the independent units behind the mean.
    #[must_use]
    pub fn units(&self) -> usize {
        self.residuals().map_or(0, |residuals| residuals.len())
    }

    /// The mean; `None` where nothing counts.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let sums = self.sums().into_iter();
        let (sum, total) = sums.fold((0.0, 0.0), |(s, t), (sum, weight)| (s + sum, t + weight));
        (total > 0.0).then(|| sum / total)
    }

    /// The mean on every resample of the clusters.
    #[must_use]
    pub fn resampled(&self, bootstrap: &Bootstrap) -> Resampled {
        let sums = self.sums();
        let mean = |counts: &[f64]| {
            let add = |(sum, total), (count, (value, weight)): (&f64, &(f64, f64))| {
                (sum + count * value, total + count * weight)
            };
            let (sum, total) = counts.iter().zip(&sums).fold((0.0, 0.0), add);
            vec![sum / total]
        };
        bootstrap.run(&self.clusters, mean).remove(0)
    }

    /// Each cluster's sum of weighted numbers, and of weights.
    pub(super) fn sums(&self) -> Vec<(f64, f64)> {
        let mut sums = vec![(0.0, 0.0); self.clusters.count()];
        for ((value, weight), cluster) in
            self.values.iter().zip(&self.weights).zip(self.clusters.of_row())
        {
            sums[*cluster].0 += weight * value;
            sums[*cluster].1 += weight;
        }
        sums
    }

    /// The mean's standard error over clusters: how far the clusters' sums lie from what the mean says
    /// of them (the linearised ratio, with C/(C − 1); Cochran 1977, section 9A.4). With one row a cluster
    /// this is the textbook's s/√n. `None` below two clusters.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        self.error_over_clusters(|clusters, rows, _| (clusters / (clusters - 1.0)).sqrt() / rows)
    }

    /// The same by leaving each cluster out (the jackknife), which allows for large clusters: they pull
    /// the mean towards themselves and seem to vary less.
    fn jackknife_error(&self) -> Option<f64> {
        self.error_over_clusters(|clusters, rows, own| {
            ((clusters - 1.0) / clusters).sqrt() / (rows - own)
        })
    }

    /// The mean's interval: Student's t over clusters. `None` below two clusters, and where they all
    /// say the same.
    #[must_use]
    pub fn interval(&self, level: f64) -> Option<(Interval, Method)> {
        let mean = self.mean()?;
        let error = self.jackknife_error().filter(|error| !is_nothing(*error, mean))?;
        let interval = student_interval(mean, error, self.freedom(), level);
        Some((interval, Method::Student))
    }

    /// The probability of a mean at least this far from 0 where the truth is 0: Student's t over clusters, two-sided.
    /// `None` as for the interval.
    #[must_use]
    pub fn p_value(&self) -> Option<f64> {
        let mean = self.mean()?;
        let error = self.jackknife_error().filter(|error| !is_nothing(*error, mean))?;
        Some(t_two_sided(mean / error, self.freedom()))
    }

    /// The interval of a mean of numbers in `[0, 1]`: Wilson's over the number of independent rows that
    /// the spread over clusters is worth. `None` where nothing counts.
    #[must_use]
    pub fn share_interval(&self, level: f64) -> Option<(Interval, Method)> {
        let share = self.mean()?;
        let (error, clusters) = (self.jackknife_error(), self.units() as f64);
        Some(effective_wilson(share, error, clusters, self.freedom(), level))
    }

    /// Degrees of freedom: clusters of one size that would be worth as much, less 1 (Kish 1965), and at
    /// least 1.
    fn freedom(&self) -> f64 {
        let sizes: Vec<f64> = self.residuals().into_iter().flatten().map(|(_, own)| own).collect();
        let (sum, squares) =
            sizes.iter().fold((0.0, 0.0), |(s, q), size| (s + size, q + size * size));
        (sum * sum / squares - 1.0).max(1.0)
    }

    /// The root of the sum of squares of each cluster's residual, times a factor of the number of
    /// clusters, all rows and the cluster's own.
    fn error_over_clusters(&self, factor: impl Fn(f64, f64, f64) -> f64) -> Option<f64> {
        let residuals = self.residuals()?;
        let clusters = residuals.len() as f64;
        let rows: f64 = residuals.iter().map(|(_, own)| own).sum();
        let scaled =
            residuals.iter().map(|(residual, own)| residual * factor(clusters, rows, *own));
        let squares: f64 = scaled.map(|residual| residual * residual).sum();
        (clusters >= 2.0).then(|| squares.sqrt())
    }

    /// Of each cluster that counts, how far its sum lies from what the mean says, and its rows.
    fn residuals(&self) -> Option<Vec<(f64, f64)>> {
        let mean = self.mean()?;
        let sums = self.sums().into_iter();
        let mut residuals: Vec<(f64, f64)> =
            sums.map(|(sum, weight)| (sum - mean * weight, weight)).collect();
        residuals.retain(|(_, rows)| *rows > 0.0);
        Some(residuals)
    }
}
