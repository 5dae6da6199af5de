//! What is known of each model of an experiment.

use serde::{Deserialize, Serialize};

use super::recorded::Error;
use crate::query::Session;
use crate::store::Store;

/// What is known of one model; what is not known of it is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelNumbers {
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
    SELECT model, name, value, low, high FROM estimates e
    WHERE experiment = '{experiment}' AND part IN ('answers', 'panel') AND e.\"group\" = 'all'
), kept AS (
    SELECT model, count(*) FILTER (role = 'actor' AND kept)::DOUBLE AS actor_pairs,
        count(*) FILTER (role = 'judge' AND kept)::DOUBLE AS judge_pairs
    FROM pairs WHERE experiment = '{experiment}' GROUP BY model
), spent AS (
    SELECT model, sum(seconds ORDER BY position) AS seconds FROM nodes
    WHERE experiment = '{experiment}' AND finished GROUP BY model
)
SELECT model, any_value(value) FILTER (name = 'win_rate') AS win_rate,
    any_value(low) FILTER (name = 'win_rate') AS low,
    any_value(high) FILTER (name = 'win_rate') AS high,
    any_value(value) FILTER (name = 'length_controlled_win_rate') AS length_controlled,
    any_value(value) FILTER (name = 'judge_agreement') AS agreement,
    any_value(value) FILTER (name = 'response_chars') AS chars,
    any_value(actor_pairs) AS actor_pairs, any_value(judge_pairs) AS judge_pairs,
    any_value(seconds) AS seconds
FROM spent LEFT JOIN known USING (model) LEFT JOIN kept USING (model)
WHERE regexp_full_match(model, 'm\\d+') GROUP BY model ORDER BY model[2:]::INT";

/// Lists what is known of each model of a recorded experiment, M0 first.
///
/// # Errors
/// Where the store is damaged.
pub fn models(store: &Store, experiment: &str) -> Result<Vec<ModelNumbers>, Error> {
    models_in(&Session::of(store, &[experiment])?, experiment)
}

/// The same, by a session that is open.
pub(super) fn models_in(session: &Session, experiment: &str) -> Result<Vec<ModelNumbers>, Error> {
    Ok(session.rows(&MODELS.replace("{experiment}", experiment))?)
}
