//! Two models on the same prompts: what the difference is, whether it is one, and how small a one this
//! many prompts would show.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::Error;
use super::bootstrap::{Bootstrap, Clusters, Resampled};
use super::interval::{
    Interval, Method, is_nothing, normal_quantile, student_interval, t_two_sided, wilson,
};
use super::win_rate::Games;

/// The games of two models against one baseline, prompt by prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    prompts: Vec<Prompt>,
    /// Prompts on which only one of the two has a game that could be read; they say nothing here.
    pub unmatched: usize,
}

/// What both models' games on one prompt came to, the first model's first.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Prompt {
    preferred: [f64; 2],
    games: [f64; 2],
}

/// On how many prompts a model is better than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// Prompts on which the second model does better.
    pub better: usize,
    /// Prompts on which it does worse.
    pub worse: usize,
    /// Prompts on which both do equally well.
    pub equal: usize,
}

impl Signs {
    /// The probability of signs at least this uneven if neither model were better: the exact sign
    /// test, which on wins and losses alone is McNemar's (1947). Equal prompts say nothing.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        let (fewer, all) = (self.better.min(self.worse), self.better + self.worse);
        Binomial::new(0.5, all as u64).map_or(1.0, |coin| (2.0 * coin.cdf(fewer as u64)).min(1.0))
    }
}

impl Paired {
    /// Pairs the games of two models. Their clusters have to be numbered together, as
    /// [`Clusters::together`] does.
    ///
    /// # Errors
    /// Where the clusters differ in number, or on no prompt both have a game that could be read.
    pub fn new(first: &Games, second: &Games) -> Result<Self, Error> {
        Error::check_lengths(first.clusters().count(), second.clusters().count())?;
        let mut prompts = vec![Prompt::default(); first.clusters().count()];
        for (model, games) in [first, second].into_iter().enumerate() {
            for (cluster, preference, weight) in games.readable() {
                prompts[cluster].preferred[model] += weight * preference;
                prompts[cluster].games[model] += weight;
            }
        }
        let all = prompts.iter().filter(|prompt| prompt.games != [0.0; 2]).count();
        prompts.retain(|prompt| prompt.games.iter().all(|games| *games > 0.0));
        if prompts.is_empty() {
            Err(Error::NothingInCommon)
        } else {
            let unmatched = all - prompts.len();
            Ok(Self { prompts, unmatched })
        }
    }

    /// Prompts that both models have a game on.
    #[must_use]
    pub const fn prompts(&self) -> usize {
        self.prompts.len()
    }

    /// The second model's win rate minus the first's, over the prompts in common, in `[−1, 1]`.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.difference_of(&vec![1.0; self.prompts.len()])
    }

    fn rates_of(&self, counts: &[f64]) -> [f64; 2] {
        [0, 1].map(|model| {
            let (mut preferred, mut games) = (0.0, 0.0);
            for (prompt, count) in self.prompts.iter().zip(counts) {
                preferred += count * prompt.preferred[model];
                games += count * prompt.games[model];
            }
            preferred / games
        })
    }

    fn difference_of(&self, counts: &[f64]) -> f64 {
        let [first, second] = self.rates_of(counts);
        second - first
    }

    /// The difference on every resample of the prompts; [`Resampled::share_above`] 0 is P(better).
    #[must_use]
    pub fn resampled(&self, bootstrap: &Bootstrap) -> Resampled {
        let clusters = Clusters::rows(self.prompts.len());
        bootstrap.run(&clusters, |counts| vec![self.difference_of(counts)]).remove(0)
    }

    /// The difference's standard error over prompts, from the linearised difference of ratios with
    /// C/(C − 1); `None` below two prompts.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        let n = self.prompts.len() as f64;
        let once = vec![1.0; self.prompts.len()];
        let rates = self.rates_of(&once);
        let games: [f64; 2] =
            [0, 1].map(|model| self.prompts.iter().map(|prompt| prompt.games[model]).sum());
        let residual = |prompt: &Prompt| {
            let of = |m: usize| (prompt.preferred[m] - rates[m] * prompt.games[m]) / games[m];
            of(1) - of(0)
        };
        let squares: f64 = self.prompts.iter().map(|prompt| residual(prompt).powi(2)).sum();
        (n >= 2.0).then(|| (squares * n / (n - 1.0)).sqrt())
    }

    /// The difference's interval: Student's t over prompts. Where every prompt says the same, what the
    /// prompts not seen may say is bounded by Wilson's interval for none of n.
    #[must_use]
    pub fn interval(&self, level: f64) -> (Interval, Method) {
        let (difference, n) = (self.difference(), self.prompts.len() as f64);
        if let Some(error) = self.standard_error().filter(|error| !is_nothing(*error, 1.0)) {
            let interval = student_interval(difference, error, n - 1.0, level);
            return (interval.map(|end| end.clamp(-1.0, 1.0)), Method::Student);
        }
        let unseen = wilson(0.0, n, level).high;
        let interval = Interval { low: difference - unseen, high: difference + unseen };
        (interval.map(|end| end.clamp(-1.0, 1.0)), Method::WilsonInstead)
    }

    /// The two-sided probability of a difference this large if there were none: Student's t over
    /// prompts. `None` where all prompts differ by the same, or there is only one.
    #[must_use]
    pub fn p_value(&self) -> Option<f64> {
        let error = self.standard_error().filter(|error| !is_nothing(*error, 1.0))?;
        Some(t_two_sided(self.difference() / error, self.prompts.len() as f64 - 1.0))
    }

    /// Counts the prompts on which the second model does better, worse, or as well.
    #[must_use]
    pub fn signs(&self) -> Signs {
        let mut signs = Signs { better: 0, worse: 0, equal: 0 };
        for Prompt { preferred, games } in &self.prompts {
            let gap = preferred[1] / games[1] - preferred[0] / games[0];
            match gap {
                gap if is_nothing(gap, 1.0) => signs.equal += 1,
                gap if gap > 0.0 => signs.better += 1,
                _ => signs.worse += 1,
            }
        }
        signs
    }
}

/// The smallest true difference that a test at significance `alpha`, two-sided, would find with
/// probability `power`, at this standard error: `(z_{1−α/2} + z_power) · SE`.
#[must_use]
pub fn minimum_detectable(standard_error: f64, alpha: f64, power: f64) -> f64 {
    (normal_quantile(1.0 - alpha / 2.0) + normal_quantile(power)) * standard_error
}

/// Corrects probabilities for having asked several questions at once (Holm 1979): the chance of any
/// false positive among them stays below the level. The order is kept.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[at]).min(1.0);
        adjusted[at] = largest;
    }
    adjusted
}
