//! The rows that a measure takes, and what it may want to know besides.

use serde::{Deserialize, Serialize};

use crate::stats::Clusters;

/// Settings that only some measures have.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Options {
    /// Who is compared with: a player of a tournament, or the first of two models.
    pub baseline: Option<String>,
    /// λ of a tournament's Gaussian prior, at least 0.
    pub prior: f64,
    /// Whether a tournament has an effect of order.
    pub order_effect: bool,
    /// C of length control's L1 penalty, above 0.
    pub inverse_penalty: Option<f64>,
    /// The category that stands for a tie.
    pub tie: Option<String>,
}

/// A row as the query gives it; each measure has its own columns among these.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Row {
    pub(super) group: Option<String>,
    pub(super) prompt: Option<String>,
    pub(super) model: Option<String>,
    pub(super) item: Option<String>,
    pub(super) order: Option<String>,
    pub(super) first: Option<String>,
    pub(super) second: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) weight: Option<f64>,
    pub(super) x: Option<f64>,
    pub(super) y: Option<f64>,
    pub(super) response_chars: Option<f64>,
    pub(super) baseline_chars: Option<f64>,
    pub(super) difficulty: Option<f64>,
    pub(super) gamed_length: Option<f64>,
}

impl Row {
    /// Text that was checked to be there.
    pub(super) fn text(text: Option<&String>) -> String {
        text.cloned().unwrap_or_default()
    }

    /// Whether the row has a value, and a weight that is not 0.
    pub(super) fn counts(&self) -> bool {
        self.value.is_some() && self.weight != Some(0.0)
    }

    pub(super) fn clusters(rows: &[&Self]) -> Clusters {
        Clusters::of(rows.iter().map(|row| row.prompt.as_deref()))
    }

    pub(super) fn weights(rows: &[&Self]) -> Vec<f64> {
        rows.iter().map(|row| row.weight.unwrap_or(1.0)).collect()
    }
}

/// Every column of [`Row`], with its type; `preference` and `outcome` are other names of `value`.
pub(super) const COLUMNS: [(&str, &str); 15] = [
    ("group", "VARCHAR"),
    ("prompt", "VARCHAR"),
    ("model", "VARCHAR"),
    ("item", "VARCHAR"),
    ("order", "VARCHAR"),
    ("first", "VARCHAR"),
    ("second", "VARCHAR"),
    ("value", "DOUBLE"),
    ("weight", "DOUBLE"),
    ("x", "DOUBLE"),
    ("y", "DOUBLE"),
    ("response_chars", "DOUBLE"),
    ("baseline_chars", "DOUBLE"),
    ("difficulty", "DOUBLE"),
    ("gamed_length", "DOUBLE"),
];
