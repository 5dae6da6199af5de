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
    ) -> &mut Estimate {
        let level = self.bootstrap.level;
        let estimate = self.push(part, Some(value), n, method);
        (estimate.low, estimate.high) = (Some(interval.low), Some(interval.high));
        estimate.level = Some(level);
        estimate
    }

    /// A number with one of the bootstrap's intervals; none where the number, or too many of its
    /// resamples, do not exist, or all say the same.
    pub(super) fn bootstrapped(
        &mut self,
        part: &str,
        resampled: &Resampled,
        method: Method,
        n: usize,
    ) {
        let Resampled { value, lost, .. } = *resampled;
        if !value.is_finite() {
            return self.none(part, n, "it does not exist for these rows");
        }
        let found = resampled.interval(method, self.bootstrap.level);
        let drawn = self.bootstrap.resamples;
        match found.filter(|_| !resampled.is_degenerate()) {
            Some(found) => self.drawn(part, resampled, found, n),
            None if resampled.is_constant() => {
                let why =
                    format!("no interval: all of {drawn} resamples over prompts say the same");
                self.plain(part, value, n, &why);
            }
            None => {
                let why = format!(
                    "no interval: {lost} of {drawn} resamples over prompts have no estimate"
                );
                self.plain(part, value, n, &why);
            }
        }
    }

    /// A number that is itself counted in resamples.
    pub(super) fn counted(&mut self, part: &str, value: f64, n: usize, what: &str) {
        let Bootstrap { resamples, seed, .. } = self.bootstrap;
        let method = format!("bootstrap over prompts, {what} of {resamples} resamples");
        self.push(part, Some(value), n, method).seed = Some(seed);
    }

    /// A number with an interval from resamples.
    fn drawn(
        &mut self,
        part: &str,
        resampled: &Resampled,
        (interval, method): (Interval, Method),
        n: usize,
    ) {
        let Bootstrap { resamples, seed, .. } = self.bootstrap;
        let lost = match resampled.lost {
            0 => String::new(),
            lost => format!(", {lost} of them without an estimate"),
        };
        let method = format!("{method}, {resamples} resamples{lost}");
        self.ranged(part, resampled.value, interval, n, method).seed = Some(seed);
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
        let found = resampled.share_interval(method, self.bootstrap.level, standard_error);
        self.drawn(part, resampled, found, n);
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
