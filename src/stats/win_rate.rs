//! Win rates from verdicts: ties count half, and what could not be read counts as nothing.

use super::bootstrap::{Bootstrap, Clusters, Resampled};
use super::{Error, Interval, Method, Values};

/// The verdicts of a model's games against a baseline, each of one cluster: a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Games {
    preferences: Vec<Option<f64>>,
    weights: Vec<f64>,
    clusters: Clusters,
}

/// What games came to, counted by weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tally {
    /// Games with a preference above ½.
    pub wins: f64,
    /// Games with a preference below ½.
    pub losses: f64,
    /// Games with a preference of ½.
    pub ties: f64,
    /// Games whose verdict could not be read.
    pub unreadable: f64,
    /// The sum of preferences over games that could be read.
    pub preferred: f64,
}

impl Games {
    /// Takes a preference in `[0, 1]` for each game, 1 where the model wins, ½ for a tie and `None`
    /// where the verdict could not be read.
    ///
    /// # Errors
    /// Where there is no game, the lists differ in length, or a preference is outside its range.
    pub fn new(preferences: Vec<Option<f64>>, clusters: Clusters) -> Result<Self, Error> {
        let weights = vec![1.0; preferences.len()];
        Self::weighted(preferences, weights, clusters)
    }

    /// The same, each game counted by a weight of at least 0.
    ///
    /// # Errors
    /// As [`Games::new`], and for a weight outside its range.
    pub fn weighted(
        preferences: Vec<Option<f64>>,
        weights: Vec<f64>,
        clusters: Clusters,
    ) -> Result<Self, Error> {
        Error::check_lengths(preferences.len(), clusters.of_row().len())?;
        Error::check_lengths(preferences.len(), weights.len())?;
        Error::check_weights(&weights)?;
        Error::check_preferences(preferences.iter().copied())?;
        Ok(Self { preferences, weights, clusters })
    }

    /// Rounds each preference to a win, a loss or a tie.
    #[must_use]
    pub fn discrete(&self) -> Self {
        let round = |preference: f64| match preference {
            0.5 => 0.5,
            other => f64::from(u8::from(other > 0.5)),
        };
        let preferences = self.preferences.iter().map(|p| p.map(round)).collect();
        Self { preferences, ..self.clone() }
    }

    /// The same games, put together otherwise.
    ///
    /// # Panics
    /// For clusters of another number of rows.
    #[must_use]
    pub fn over(&self, clusters: Clusters) -> Self {
        assert_eq!(clusters.of_row().len(), self.preferences.len());
        Self { clusters, ..self.clone() }
    }

    /// Which games belong together.
    #[must_use]
    pub const fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Counts the games.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally =
            Tally { wins: 0.0, losses: 0.0, ties: 0.0, unreadable: 0.0, preferred: 0.0 };
        for (preference, weight) in self.preferences.iter().zip(&self.weights) {
            let Some(preference) = preference else {
                tally.unreadable += weight;
                continue;
            };
            tally.preferred += weight * preference;
            match *preference {
                p if p > 0.5 => tally.wins += weight,
                p if p < 0.5 => tally.losses += weight,
                _ => tally.ties += weight,
            }
        }
        tally
    }

    /// Each cluster's mean preference, where it has a game that could be read.
    pub(super) fn by_cluster(&self) -> Vec<Option<f64>> {
        let sums = self.values().sums().into_iter();
        sums.map(|(sum, weight)| (weight > 0.0).then(|| sum / weight)).collect()
    }

    /// The preferences that could be read: their mean is the win rate.
    fn values(&self) -> Values {
        let weights = self.preferences.iter().zip(&self.weights);
        let weights = weights.map(|(preference, weight)| preference.map_or(0.0, |_| *weight));
        let values = self.preferences.iter().map(|preference| preference.unwrap_or(0.5));
        Values {
            values: values.collect(),
            weights: weights.collect(),
            clusters: self.clusters.clone(),
        }
    }

    /// Clusters with a game that could be read: the independent units behind the win rate.
    #[must_use]
    pub fn units(&self) -> usize {
        self.values().units()
    }

    /// The standard error of the win rate over clusters; see [`Values::standard_error`].
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        self.values().standard_error()
    }

    /// The win rate's interval; see [`Values::share_interval`]. `None` where no game could be read.
    #[must_use]
    pub fn interval(&self, level: f64) -> Option<(Interval, Method)> {
        self.values().share_interval(level)
    }

    /// The win rate on every resample of the clusters.
    #[must_use]
    pub fn resampled(&self, bootstrap: &Bootstrap) -> Resampled {
        self.values().resampled(bootstrap)
    }
}

impl Tally {
    /// Games that could be read.
    #[must_use]
    pub fn readable(&self) -> f64 {
        self.wins + self.losses + self.ties
    }

    /// The win rate, ties half; `None` where no game could be read.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (self.readable() > 0.0).then(|| self.preferred / self.readable())
    }

    /// The win rate if every game that could not be read had been lost, and if it had been won.
    #[must_use]
    pub fn bounds(&self) -> Option<Interval> {
        let all = self.readable() + self.unreadable;
        (all > 0.0).then(|| Interval {
            low: self.preferred / all,
            high: (self.preferred + self.unreadable) / all,
        })
    }
}

/// How likely the answer shown first wins, from the log-probabilities of the verdicts for the first
/// and for the second: `P = e^first / (e^first + e^second)`. A verdict that was not among the
/// likeliest tokens has a log-probability of −∞.
///
/// # Errors
/// Where one is NaN or above 0, or both are −∞.
pub fn preference_from_logprobs(first: f64, second: f64) -> Result<f64, Error> {
    let wrong = |found: f64| found.is_nan() || found > 0.0;
    match (wrong(first), wrong(second)) {
        (true, _) => Err(Error::Logprob { found: first }),
        (_, true) => Err(Error::Logprob { found: second }),
        _ if first == f64::NEG_INFINITY && second == f64::NEG_INFINITY => {
            Err(Error::Logprob { found: first })
        }
        _ => Ok(super::interval::sigmoid(first - second)),
    }
}
