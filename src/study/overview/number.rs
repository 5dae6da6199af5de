//! The numbers that a report tells: what was estimated of each model, with its interval.

use serde::{Deserialize, Serialize};

use crate::query::Session;
use crate::study::recorded::Error;

/// A number of one model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Number {
    /// The experiment.
    #[serde(skip_serializing)]
    pub experiment: String,
    /// As `m1`; `all` where it is of no iteration.
    pub model: String,
    /// `answers`, `judging`, `panel`, or the name of an estimate of the experiment's own.
    pub part: String,
    /// As `win_rate`.
    pub name: String,
    /// What it is of; `all`.
    pub group: String,
    /// The estimate; of several seeds their mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The interval's lower end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The interval's upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Independent units, as prompts.
    pub n: i64,
    /// How it was found, or why it was not.
    pub method: String,
    /// The single seeds, where the estimate is their mean: each is drawn as a point of its own.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<SeedPoint>,
}

/// What one seed of several came to.
#[derive(Debug, Clone, Serialize)]
pub struct SeedPoint {
    /// The seed.
    pub seed: u64,
    /// Its value.
    pub value: f64,
}

/// Of what stands beside an estimate, only what is told, too.
const NUMBERS: &str = "\
SELECT experiment, model, coalesce(part, '') AS part, name, e.\"group\" AS \"group\", value, low, high, n, method
FROM estimates e
WHERE part IS NOT NULL AND NOT regexp_full_match(part, 'epoch\\d+')
    AND (NOT contains(name, '/') OR name IN ('win_rate/unreadable', 'position_bias/disagree',
        'position_bias/first_wins', 'judge_agreement/kappa_quadratic', 'judge_correlation/spearman'))
ORDER BY experiment, try_cast(model[2:] AS INT), model, part, name, e.\"group\"";

/// Reads the numbers of every experiment, those of its M0 first.
pub(super) fn numbers(session: &Session) -> Result<Vec<Number>, Error> {
    Ok(session.rows(NUMBERS)?)
}
