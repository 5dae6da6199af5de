//! Two models on the same prompts: what the difference is, whether it is one, and how small a one this
//! many prompts would show.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::bootstrap::{Bootstrap, Clusters, Resampled};
use super::error::Error;
use super::interval::{
    Interval, Method, is_nothing, normal_quantile, student_interval, t_two_sided, wilson,
};
use super::win_rate::Games;

/// The games of two models against one baseline, prompt by prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// By how much the second model is preferred more than the first, on each prompt.
    gaps: Vec<f64>,
    /// Prompts on which only one of the two has a game that could be read; they say nothing here.
    pub unmatched: usize,
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
        if 2 * fewer == all {
            return 1.0;
        }
        Binomial::new(0.5, all as u64).map_or(1.0, |coin| (2.0 * coin.cdf(fewer as u64)).min(1.0))
    }
}

impl Paired {
    /// Pairs the games of two models. Their clusters have to be numbered together, as
    /// [`Clusters::together`] does. A prompt counts once, however many games it has: were games counted,
    /// a model with more of them on hard prompts would seem worse.
    ///
    /// # Errors
    /// Where the clusters differ in number, or there is no prompt on which both have a readable game.
    pub fn new(first: &Games, second: &Games) -> Result<Self, Error> {
        Error::check_lengths(first.clusters().count(), second.clusters().count())?;
        let (first, second) = (first.by_cluster(), second.by_cluster());
        let both = first.iter().zip(&second);
        let gaps: Vec<f64> =
            both.filter_map(|(first, second)| Some((*second)? - (*first)?)).collect();
        let any = first.iter().zip(&second).filter(|(a, b)| a.is_some() || b.is_some()).count();
        match gaps.len() {
            0 => Err(Error::NothingInCommon),
            matched => Ok(Self { gaps, unmatched: any - matched }),
        }
    }

    /// Prompts that both models have a game on.
    #[must_use]
    pub const fn prompts(&self) -> usize {
        self.gaps.len()
    }

    /// By how much the second model is preferred more than the first, on the mean prompt, in `[−1, 1]`.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.gaps.iter().sum::<f64>() / self.gaps.len() as f64
    }

    /// The difference on every resample of the prompts; [`Resampled::share_above`] 0 is P(better).
    #[must_use]
    pub fn resampled(&self, bootstrap: &Bootstrap) -> Resampled {
        let difference = |counts: &[f64]| {
            let sum: f64 = self.gaps.iter().zip(counts).map(|(gap, count)| gap * count).sum();
            vec![sum / counts.iter().sum::<f64>()]
        };
        bootstrap.run(&Clusters::rows(self.gaps.len()), difference).remove(0)
    }

    /// The difference's standard error over prompts; `None` below two prompts, and where all say the
    /// same.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        let (n, mean) = (self.gaps.len() as f64, self.difference());
        let squares: f64 = self.gaps.iter().map(|gap| (gap - mean) * (gap - mean)).sum();
        let error = (squares / (n * (n - 1.0))).sqrt();
        (error.is_finite() && !is_nothing(error, 1.0)).then_some(error)
    }

    /// The difference's interval: Student's t over prompts. Where every prompt says the same, those that
    /// do not are at most as many as Wilson's interval for none of n allows, and say 1 or −1 at worst.
    #[must_use]
    pub fn interval(&self, level: f64) -> (Interval, Method) {
        let (difference, n) = (self.difference(), self.gaps.len() as f64);
        if let Some(error) = self.standard_error() {
            let interval = student_interval(difference, error, n - 1.0, level);
            return (interval.map(|end| end.clamp(-1.0, 1.0)), Method::Student);
        }
        let unseen = wilson(0.0, n, level).high;
        let low = difference - unseen * (difference + 1.0);
        let high = difference + unseen * (1.0 - difference);
        (Interval { low, high }, Method::WilsonForNoSpread)
    }

    /// The two-sided probability of a difference this large if there were none: Student's t-test over
    /// prompts (1908). `None` where all prompts differ by the same, or there is only one.
    #[must_use]
    pub fn p_value(&self) -> Option<f64> {
        let error = self.standard_error()?;
        Some(t_two_sided(self.difference() / error, self.gaps.len() as f64 - 1.0))
    }

    /// Counts the prompts on which the second model does better, worse, or as well.
    #[must_use]
    pub fn signs(&self) -> Signs {
        let mut signs = Signs { better: 0, worse: 0, equal: 0 };
        for gap in &self.gaps {
            match *gap {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Hours of sleep that two drugs gave ten people more (Student 1908), put between 0 and 1.
    const SLEEP: [[f64; 10]; 2] = [
        [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
        [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
    ];

    #[test]
    fn student_finds_what_student_found() {
        let [first, second] = SLEEP.map(|hours| {
            let preferences = hours.iter().map(|hours| Some((hours + 2.0) / 8.0)).collect();
            Games::new(preferences, Clusters::rows(10)).unwrap()
        });
        let paired = Paired::new(&first, &second).unwrap();
        assert!((paired.difference() * 8.0 - 1.58).abs() < 1e-12);
        let t = paired.difference() / paired.standard_error().unwrap();
        assert!((t - 4.062_127_683_382_037).abs() < 1e-9, "{t}");
        assert!((paired.p_value().unwrap() - 0.002_832_890_197_384_27).abs() < 1e-9);
        assert_eq!(paired.signs(), Signs { better: 9, worse: 0, equal: 1 });
    }

    #[test]
    fn more_games_on_hard_prompts_are_no_difference() {
        // Both models lose on the even prompts and win on the odd; one has more games on the even.
        let games = |extra: usize| {
            let prompts =
                (0..20).flat_map(|p| std::iter::repeat_n(p, 1 + usize::from(p % 2 == extra)));
            let prompts: Vec<usize> = prompts.collect();
            let preferences =
                prompts.iter().map(|p| Some(f64::from(u8::from(p % 2 == 1)))).collect();
            Games::new(preferences, Clusters::of(prompts)).unwrap()
        };
        let paired = Paired::new(&games(0), &games(1)).unwrap();
        assert!(paired.difference().abs() < 1e-12);
        assert_eq!(paired.signs().equal, 20);
    }

    #[test]
    fn where_every_prompt_says_the_same_the_unseen_may_say_the_opposite() {
        let games = |preference| Games::new(vec![Some(preference); 5], Clusters::rows(5)).unwrap();
        let paired = Paired::new(&games(0.0), &games(1.0)).unwrap();
        let (interval, method) = paired.interval(0.95);
        assert_eq!((paired.standard_error(), method), (None, Method::WilsonForNoSpread));
        assert!(interval.low < 0.2 && interval.high > 0.999, "{interval:?}");
        let noise = Paired::new(&games(0.2), &games(0.9)).unwrap();
        assert_eq!(noise.p_value(), None, "what rounding leaves is no spread");
    }
}
