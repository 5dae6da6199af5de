//! Intervals in closed form, and the quantiles they stand on.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// A range that covers the truth with a nominal probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// The interval, each end moved by a monotone function.
    #[must_use]
    pub fn map(self, function: impl Fn(f64) -> f64) -> Self {
        let (a, b) = (function(self.low), function(self.high));
        Self { low: a.min(b), high: a.max(b) }
    }

    /// Whether a number lies in it, ends included.
    #[must_use]
    pub fn covers(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// How an interval was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Wilson's, over as many independent games as the spread over clusters is worth.
    Wilson,
    /// Wilson's, over clusters, because nothing varies from cluster to cluster.
    WilsonForNoSpread,
    /// Wilson's, because the number does not exist on more than one in twenty resamples.
    WilsonForLost,
    /// Student's t over clusters, on the scale of log-odds.
    Logit,
    /// Student's t over clusters.
    Student,
    /// Percentiles of the bootstrap over clusters.
    Percentile,
    /// The bias-corrected and accelerated bootstrap over clusters.
    Bca,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Wilson => "wilson over prompts",
            Self::WilsonForNoSpread => "wilson over prompts, as nothing varies between them",
            Self::WilsonForLost => "wilson over prompts, as too many resamples are degenerate",
            Self::Logit => "logit-t over prompts",
            Self::Student => "t over prompts",
            Self::Percentile => "bootstrap-percentile over prompts",
            Self::Bca => "bootstrap-bca over prompts",
        })
    }
}

/// The standard normal distribution function.
pub(super) fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The standard normal quantile of `probability`, in `(0, 1)`.
pub(super) fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// The quantile of Student's t with `freedom` degrees of freedom; the normal one for none.
pub(super) fn t_quantile(probability: f64, freedom: f64) -> f64 {
    let t = StudentsT::new(0.0, 1.0, freedom);
    t.map_or_else(|_| normal_quantile(probability), |t| t.inverse_cdf(probability))
}

/// The two-sided probability of a |t| at least this large.
pub(super) fn t_two_sided(t: f64, freedom: f64) -> f64 {
    let tail = StudentsT::new(0.0, 1.0, freedom)
        .map_or_else(|_| normal_cdf(-t.abs()), |d| d.cdf(-t.abs()));
    (2.0 * tail).min(1.0)
}

/// Wilson's score interval (1927) of a share that was found among `n` independent units, `n` above
/// 0 and not always whole: an effective number is as good. It is never empty: 0 of 10 is 0 to 0.28.
#[must_use]
pub fn wilson(share: f64, n: f64, level: f64) -> Interval {
    score_interval(share, n, normal_quantile(f64::midpoint(1.0, level)))
}

fn score_interval(share: f64, n: f64, quantile: f64) -> Interval {
    let square = quantile * quantile;
    let centre = (share + square / (2.0 * n)) / (1.0 + square / n);
    let spread = share * (1.0 - share) / n + square / (4.0 * n * n);
    let half = quantile / (1.0 + square / n) * spread.sqrt();
    Interval { low: (centre - half).clamp(0.0, share), high: (centre + half).clamp(share, 1.0) }
}

/// The interval of a share whose standard error over clusters is known: Wilson's, with the number of
/// independent games that would have that error, and Student's quantile (Korn & Graubard 1998 do so
/// for Clopper and Pearson's). Where nothing varies, each cluster counts as one game.
pub(super) fn effective_wilson(
    share: f64,
    standard_error: Option<f64>,
    clusters: f64,
    freedom: f64,
    level: f64,
) -> (Interval, Method) {
    let spread = share * (1.0 - share);
    match standard_error {
        Some(error) if !is_nothing(error, share) && spread > 0.0 => {
            let quantile = t_quantile(f64::midpoint(1.0, level), freedom);
            (score_interval(share, spread / (error * error), quantile), Method::Wilson)
        }
        _ => (wilson(share, clusters, level), Method::WilsonForNoSpread),
    }
}

/// `value ± t·SE`.
pub(super) fn student_interval(
    value: f64,
    standard_error: f64,
    freedom: f64,
    level: f64,
) -> Interval {
    let half = t_quantile(f64::midpoint(1.0, level), freedom) * standard_error;
    Interval { low: value - half, high: value + half }
}

/// Whether a difference is what rounding makes of none, next to a number of this size.
pub(super) fn is_nothing(difference: f64, beside: f64) -> bool {
    difference.abs() <= 1e-15 + 1e-12 * beside.abs()
}

/// The logistic function, `1 / (1 + e^−x)`.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
