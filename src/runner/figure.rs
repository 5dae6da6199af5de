//! Numbers that a person watches while a node is made. None of them is kept, and none decides anything.

use std::borrow::Cow;
use std::fmt;

use serde::Serializer;

/// A number to watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is, in the stage's words: `loss`, `score`, `unreadable`.
    pub name: Cow<'static, str>,
    /// How it is said.
    pub measure: Measure,
    /// What it has come to.
    pub value: f64,
    /// What it is of late: the next point of its course, where it has one.
    pub of_late: Option<f64>,
}

/// How a number is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// As it is.
    Level,
    /// From 0 to 1: in percent.
    Share,
    /// Something that only grows: how fast it does tells more.
    Total,
    /// In the currency of the prices.
    Money,
}

impl Figure {
    /// A number whose course is the number itself.
    #[must_use]
    pub fn level(name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        Self { name: name.into(), measure: Measure::Level, value, of_late: Some(value) }
    }

    /// A number that has no course.
    #[must_use]
    pub fn of(name: &'static str, measure: Measure, value: f64) -> Self {
        Self { name: name.into(), measure, value, of_late: None }
    }

    /// Says what the number is of late, where it is known.
    #[must_use]
    pub fn lately(self, of_late: Option<f64>) -> Self {
        Self { of_late, ..self }
    }

    /// Says the number, without its name.
    #[must_use]
    pub fn said(&self) -> String {
        let value = self.value;
        match self.measure {
            Measure::Share => format!("{:.1} %", 100.0 * value),
            Measure::Total => format!("{value:.0}"),
            Measure::Money => format!("{value:.2}"),
            Measure::Level => match value.abs() {
                100.0.. => format!("{value:.0}"),
                10.0.. => format!("{value:.1}"),
                1.0.. => format!("{value:.2}"),
                _ => format!("{value:.3}"),
            },
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.said())
    }
}

/// Writes figures as a person reads them: `loss 0.642, accuracies 0.710`.
pub(super) fn in_words<S: Serializer>(
    figures: &[Figure],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let said: Vec<String> = figures.iter().map(ToString::to_string).collect();
    serializer.serialize_str(&said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_said_with_three_digits_that_matter() {
        let said = [0.6421, 3.414, -41.27, 212.4].map(|value| Figure::level("x", value).said());
        assert_eq!(said, ["0.642", "3.41", "-41.3", "212"]);
        let of = |measure, value| Figure::of("x", measure, value).to_string();
        assert_eq!(of(Measure::Share, 0.1234), "x 12.3 %");
        assert_eq!(of(Measure::Total, 41_234.0), "x 41234");
        assert_eq!(of(Measure::Money, 0.5), "x 0.50");
    }
}
