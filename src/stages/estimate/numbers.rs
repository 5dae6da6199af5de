//! Rows of `estimates`, as a measure makes them.

use std::fmt::Display;

use crate::records::Estimate;
use crate::runner::StageError;
use crate::stats::{self, Bootstrap, Interval, Method, Resampled};

/// The group of rows that are in none.
const ALL: &str = "all";

/// The estimates of one group, whose names all begin with that of the estimate.
pub(super) struct Numbers<'a> {
    name: &'a str,
    /// `None` where the query makes no groups.
    group: Option<String>,
    pub(super) bootstrap: Bootstrap,
    estimates: Vec<Estimate>,
}

impl<'a> Numbers<'a> {
    pub(super) fn new(name: &'a str, group: Option<String>, bootstrap: Bootstrap) -> Self {
        Self { name, group, bootstrap, estimates: Vec::new() }
    }

    pub(super) fn into_estimates(self) -> Vec<Estimate> {
        self.estimates
    }

    /// Names the rows to come after a part of the group: one of several players.
    pub(super) fn of_part(&self, part: &str) -> Self {
        let group = self.group.as_ref().map(|group| format!("{group}/{part}"));
        Self::new(self.name, group.or_else(|| Some(part.to_owned())), self.bootstrap)
    }

    pub(super) fn append(&mut self, part: Self) {
        self.estimates.extend(part.estimates);
    }

    fn push(&mut self, part: &str, value: Option<f64>, n: usize, method: String) -> &mut Estimate {
        let name = match part {
            "" => self.name.to_owned(),
            part => format!("{}/{part}", self.name),
        };
        let at = self.estimates.len();
        self.estimates.push(Estimate {
            name,
            group: self.group.clone().unwrap_or_else(|| ALL.to_owned()),
            value,
            low: None,
            high: None,
            level: None,
            n: i64::try_from(n).unwrap_or(i64::MAX),
            method,
            seed: None,
        });
        &mut self.estimates[at]
    }

    /// A number without an interval: a count, or a bound.
    pub(super) fn plain(&mut self, part: &str, value: f64, n: usize, method: &str) {
        self.push(part, Some(value), n, method.to_owned());
    }

    /// How many there are of something.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    pub(super) fn count(&mut self, part: &str, count: usize, n: usize, of_what: &str) {
        self.plain(part, count as f64, n, of_what);
    }

    /// A number that does not exist, and why.
    pub(super) fn none(&mut self, part: &str, n: usize, why: impl Display) {
        self.push(part, None, n, format!("none: {why}"));
    }

    /// A number with an interval over prompts.
    pub(super) fn interval(
        &mut self,
        part: &str,
        value: f64,
        (interval, method): (Interval, Method),
        n: usize,
    ) {
        self.ranged(part, value, interval, n, method.to_string());
    }

    /// A number with an interval found in some other way.
    pub(super) fn ranged(
        &mut self,
        part: &str,
        value: f64,
        interval: Interval,
        n: usize,
        method: String,
    ) {
        let level = self.bootstrap.level;
        let estimate = self.push(part, Some(value), n, method);
        (estimate.low, estimate.high) = (Some(interval.low), Some(interval.high));
        estimate.level = Some(level);
    }

    /// A number with one of the bootstrap's intervals; none where the number, or too many of its
    /// resamples, do not exist.
    pub(super) fn bootstrapped(
        &mut self,
        part: &str,
        resampled: &Resampled,
        method: Method,
        n: usize,
    ) {
        let Bootstrap { level, seed, .. } = self.bootstrap;
        if !resampled.value.is_finite() {
            return self.none(part, n, "it does not exist for these rows");
        }
        let drawn = resampled.replicates.len() + resampled.lost;
        let lost = lost(resampled);
        if resampled.is_constant() {
            let why = format!("no interval: all of {drawn} resamples over prompts say the same");
            return self.plain(part, resampled.value, n, &why);
        }
        let interval = match method {
            _ if 20 * resampled.lost > drawn => None,
            Method::Percentile => resampled.percentile(level),
            // Where a share of the resamples says nothing of bias, as when all are alike.
            _ => resampled.bca(level).or_else(|| resampled.percentile(level)),
        };
        let text = format!("{method}, {drawn} resamples{lost}");
        match interval {
            Some(interval) => self.ranged(part, resampled.value, interval, n, text),
            None => self.plain(part, resampled.value, n, &format!("no interval: {text}")),
        }
        if let Some(estimate) = self.estimates.last_mut() {
            estimate.seed = Some(seed);
        }
    }

    /// A share with the bootstrap's interval; Wilson's instead where the resamples are degenerate.
    pub(super) fn share(&mut self, part: &str, resampled: &Resampled, n: usize) {
        if resampled.value.is_finite() {
            self.share_by(part, resampled, Method::Bca, None, n);
        } else {
            self.none(part, n, "it does not exist for these rows");
        }
    }

    /// A share by both of the bootstrap's methods, Wilson's instead where the resamples are
    /// degenerate.
    pub(super) fn share_beside(
        &mut self,
        resampled: &Resampled,
        standard_error: Option<f64>,
        n: usize,
    ) {
        self.share_by("percentile", resampled, Method::Percentile, standard_error, n);
        self.share_by("bca", resampled, Method::Bca, standard_error, n);
    }

    fn share_by(
        &mut self,
        part: &str,
        resampled: &Resampled,
        method: Method,
        standard_error: Option<f64>,
        n: usize,
    ) {
        let Bootstrap { level, seed, resamples } = self.bootstrap;
        let (interval, found) = resampled.share_interval(method, level, standard_error);
        let lost = lost(resampled);
        let text = format!("{found}, {resamples} resamples{lost}");
        self.ranged(part, resampled.value, interval, n, text);
        if let Some(estimate) = self.estimates.last_mut() {
            estimate.seed = Some(seed);
        }
    }

    /// What exists, or else a row that says why not; mistakes in the rows stop the stage.
    pub(super) fn exists<T>(
        &mut self,
        found: Result<T, stats::Error>,
        n: usize,
    ) -> Result<Option<T>, StageError> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_about_what_was_found() => {
                self.none("", n, error);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Says how many resamples have no estimate, where some have none.
fn lost(resampled: &Resampled) -> String {
    match resampled.lost {
        0 => String::new(),
        lost => format!(", {lost} of them without an estimate"),
    }
}
