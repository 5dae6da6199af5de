//! What `estimate` computes, and from which columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::games::{difference, length_control, position_bias, tournament, win_rate};
use super::numbers::Numbers;
use super::raters::{agreement, consistency, correlation, mean, share, variance};
use super::rows::{Options, Row};
use crate::records::Estimate;
use crate::runner::StageError;
use crate::stats::holm;

/// What is computed from rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The win rate over verdicts: ties half, unreadable ones apart.
    WinRate,
    /// The win rate at equal lengths.
    LengthControlledWinRate,
    /// How much better one of two models does on the same prompts.
    Difference,
    /// The mean of any number.
    Mean,
    /// The mean of what is so (1) and what is not (0).
    Share,
    /// How often two raters agree, and how far beyond chance.
    Agreement,
    /// How one number follows another: in rank, and by how much.
    Correlation,
    /// Whether the order in which answers are shown decides.
    PositionBias,
    /// Whether the same thing is scored the same again.
    Consistency,
    /// Strengths of models in a tournament, or their scores against a baseline.
    BradleyTerry,
    /// Which part of the variance comes from prompts, samples, order and judge.
    Variance,
}

impl Measure {
    /// Returns the columns that the query has to give.
    pub(super) const fn needed(self) -> &'static [&'static str] {
        match self {
            Self::WinRate => &["prompt", "preference"],
            Self::LengthControlledWinRate => {
                &["prompt", "preference", "response_chars", "baseline_chars"]
            }
            Self::Difference => &["prompt", "model", "preference"],
            Self::Mean | Self::Share => &["prompt", "value"],
            Self::Agreement => &["prompt", "first", "second"],
            Self::Correlation => &["prompt", "x", "y"],
            Self::PositionBias => &["prompt", "order", "preference"],
            Self::Consistency => &["prompt", "item", "value"],
            Self::BradleyTerry => &["prompt", "first", "second", "outcome"],
            Self::Variance => &["prompt", "item", "order", "value"],
        }
    }

    /// Returns the columns that the query may give besides.
    pub(super) const fn optional(self) -> &'static [&'static str] {
        match self {
            Self::LengthControlledWinRate => &["difficulty", "gamed_length", "weight", "group"],
            Self::Difference => &["response_chars", "baseline_chars", "weight", "group"],
            Self::WinRate | Self::Mean | Self::Share | Self::BradleyTerry => &["weight", "group"],
            Self::PositionBias => &["item", "group"],
            Self::Agreement | Self::Correlation | Self::Consistency | Self::Variance => &["group"],
        }
    }

    /// Returns the name by which the query gives the number that the measure is about.
    pub(super) fn value_column(self) -> &'static str {
        let names = ["preference", "outcome"];
        self.needed().iter().copied().find(|name| names.contains(name)).unwrap_or("value")
    }

    /// Whether that number lies in `[0, 1]`.
    pub(super) fn is_of_shares(self) -> bool {
        self == Self::Share || self.value_column() != "value"
    }

    /// Returns its name, as an experiment gives it.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::json!(self).as_str().unwrap_or_default().to_owned()
    }

    /// Returns what the rows are called.
    pub(super) const fn rows_are(self) -> &'static str {
        match self {
            Self::WinRate => "verdicts of a win rate",
            Self::LengthControlledWinRate => "verdicts of length control",
            Self::Difference => "verdicts of two models",
            Self::Mean => "rows of a mean",
            Self::Share => "rows of a share",
            Self::Agreement => "rows of an agreement",
            Self::Correlation => "rows of a correlation",
            Self::PositionBias => "verdicts in two orders",
            Self::Consistency => "repeated scores",
            Self::BradleyTerry => "battles",
            Self::Variance => "rows of a variance split",
        }
    }

    /// Returns a column that may not be NULL and is, in one row. A verdict that could not be read is
    /// NULL, and so is a score; a prompt never is.
    pub(super) fn missing_in(self, row: &Row) -> Option<&'static str> {
        let given = |name: &str| match name {
            "prompt" => row.prompt.is_some(),
            "model" => row.model.is_some(),
            "item" => row.item.is_some(),
            "order" => row.order.is_some(),
            "response_chars" => row.response_chars.is_some(),
            "baseline_chars" => row.baseline_chars.is_some(),
            "first" => row.first.is_some() || self == Self::Agreement,
            "second" => row.second.is_some() || self == Self::Agreement,
            _ => true,
        };
        // A gamed row is of no prompt and has its length ready.
        let mut needed = self.needed().iter().copied().filter(|_| row.gamed_length.is_none());
        needed.find(|name| !given(name))
    }

    /// Computes the estimates of one group.
    pub(super) fn of(
        self,
        rows: &[&Row],
        options: &Options,
        numbers: &mut Numbers<'_>,
    ) -> Result<(), StageError> {
        match self {
            Self::WinRate => win_rate(rows, numbers),
            Self::LengthControlledWinRate => length_control(rows, options, numbers),
            Self::Difference => difference(rows, options, numbers),
            Self::Mean => mean(rows, numbers),
            Self::Share => share(rows, numbers),
            Self::Agreement => agreement(rows, options, numbers),
            Self::Correlation => correlation(rows, numbers),
            Self::PositionBias => position_bias(rows, numbers),
            Self::Consistency => consistency(rows, numbers),
            Self::BradleyTerry => tournament(rows, options, numbers),
            Self::Variance => variance(rows, numbers),
        }
    }

    /// Adds what can only be said of all groups together: probabilities, corrected for how many
    /// questions were asked.
    pub(super) fn correct(self, estimates: &mut Vec<Estimate>) {
        if self != Self::Difference {
            return;
        }
        let asked =
            |estimate: &&Estimate| estimate.name.ends_with("/p") && estimate.value.is_some();
        let asked: Vec<Estimate> = estimates.iter().filter(asked).cloned().collect();
        let p_values: Vec<f64> = asked.iter().filter_map(|estimate| estimate.value).collect();
        let questions = p_values.len();
        for (estimate, adjusted) in asked.into_iter().zip(holm(&p_values)) {
            let (name, value) = (format!("{}_holm", estimate.name), Some(adjusted));
            let method = format!("holm over {questions} groups");
            estimates.push(Estimate { name, value, method, ..estimate });
        }
    }
}
