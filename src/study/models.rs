//! What is known of each model of an experiment.

use serde::{Deserialize, Serialize};

use super::recorded::Error;
use crate::query::Session;
use crate::store::Store;

/// What is known of one model; what is not known of it is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelNumbers {
    /// The experiment.
    #[serde(skip_serializing)]
    pub experiment: String,
    /// As `m1`.
    pub model: String,
    /// The share of games that it wins.
    pub win_rate: Option<f64>,
    /// The lower end of its interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// The share that it would win with answers as long as the other's.
    pub length_controlled: Option<f64>,
    /// How often its judge agrees with the oracle.
    pub agreement: Option<f64>,
    /// The mean length of its answers, in characters.
    pub chars: Option<f64>,
    /// Kept pairs of answers.
    pub actor_pairs: Option<f64>,
    /// Kept pairs of judgements.
    pub judge_pairs: Option<f64>,
    /// Seconds of all its nodes.
    pub seconds: f64,
}

const MODELS: &str = "\
WITH known AS (
    SELECT experiment, model, name, value, low, high FROM estimates e
    WHERE part IN ('answers', 'panel') AND e.\"group\" = 'all'
), kept AS (
    SELECT experiment, model, count(*) FILTER (role = 'actor' AND kept)::DOUBLE AS actor_pairs,
        count(*) FILTER (role = 'judge' AND kept)::DOUBLE AS judge_pairs
    FROM pairs GROUP BY experiment, model
), spent AS (
    SELECT experiment, model, sum(seconds ORDER BY position) AS seconds FROM nodes
    WHERE finished GROUP BY experiment, model
)
SELECT experiment, model, any_value(value) FILTER (name = 'win_rate') AS win_rate,
    any_value(low) FILTER (name = 'win_rate') AS low,
    any_value(high) FILTER (name = 'win_rate') AS high,
    any_value(value) FILTER (name = 'length_controlled_win_rate') AS length_controlled,
    any_value(value) FILTER (name = 'judge_agreement') AS agreement,
    any_value(value) FILTER (name = 'response_chars') AS chars,
    any_value(actor_pairs) AS actor_pairs, any_value(judge_pairs) AS judge_pairs,
    any_value(seconds) AS seconds
FROM spent LEFT JOIN known USING (experiment, model) LEFT JOIN kept USING (experiment, model)
WHERE regexp_full_match(model, 'm\\d+') GROUP BY experiment, model
ORDER BY experiment, model[2:]::INT";

/// Lists what is known of each model of a recorded experiment, M0 first.
///
/// # Errors
/// Where the store is damaged.
pub fn models(store: &Store, experiment: &str) -> Result<Vec<ModelNumbers>, Error> {
    models_of(&Session::of(store, &[experiment])?)
}

/// The same, of every experiment that a session is about.
pub(super) fn models_of(session: &Session) -> Result<Vec<ModelNumbers>, Error> {
    Ok(session.rows(MODELS)?)
}
