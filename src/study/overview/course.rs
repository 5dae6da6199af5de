//! How an experiment went: curves of its trainings, what became of its pairs, and what its nodes cost.

use serde::{Deserialize, Serialize};

use crate::query::Session;
use crate::study::recorded::Error;

/// A metric of one training.
#[derive(Debug, Serialize, Deserialize)]
pub struct Curve {
    /// The experiment.
    #[serde(skip_serializing)]
    pub experiment: String,
    /// As `train.m1`.
    pub node: String,
    /// As `loss`.
    pub metric: String,
    /// Steps that each point is the mean of.
    pub steps_a_point: i64,
    /// The last step of each point.
    pub steps: Vec<i32>,
    /// The mean over its steps; `None` where it is no number.
    pub values: Vec<Option<f64>>,
    /// Its seed, where those of several stand beside each other.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What became of some candidate pairs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Became {
    /// The experiment.
    #[serde(skip_serializing)]
    pub experiment: String,
    /// The model that made them.
    pub model: String,
    /// `actor` or `judge`.
    pub role: String,
    /// `kept`, or the reason why not.
    pub became: String,
    /// How many.
    pub n: i64,
}

/// A node, and what it took.
#[derive(Debug, Serialize, Deserialize)]
pub struct NodeCost {
    /// The experiment.
    #[serde(skip_serializing)]
    pub experiment: String,
    /// As `judge.m1`.
    pub node: String,
    /// As `judge`.
    pub stage: String,
    /// As `m1`.
    pub model: String,
    /// Whether it is made.
    pub finished: bool,
    /// Rows that it wrote.
    pub rows: i64,
    /// Seconds that it took, in whichever experiment it was made.
    pub seconds: f64,
    /// The day on which it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The run that it stands on.
    #[serde(skip_serializing)]
    pub run: Option<String>,
    /// Of several seeds, how many have it made: rows and seconds are the sums of these.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<usize>,
}

/// A training of many steps is told in about so many points.
const POINTS: usize = 120;

/// Of many seeds, so many points of all curves of a training, and no fewer of one.
const POINTS_OF_SEEDS: usize = 320;
const FEWEST_POINTS: usize = 40;

const CURVES: &str = "\
WITH told AS (
    SELECT experiment, node, metric, step, CASE WHEN isfinite(value) THEN value END AS value,
        (max(step) OVER (PARTITION BY experiment, node) + {points} - 1) // {points} AS steps_a_point
    FROM metrics WHERE (part IS NULL OR part = 'all')
        AND metric IN ('loss', 'rewards/margins', 'rewards/accuracies')
), points AS (
    SELECT experiment, node, metric, any_value(steps_a_point)::BIGINT AS steps_a_point,
        max(step)::INT AS step, avg(value ORDER BY step) AS value
    FROM told GROUP BY experiment, node, metric, (step - 1) // steps_a_point
)
SELECT experiment, node, metric, any_value(steps_a_point) AS steps_a_point,
    list(step ORDER BY step) AS steps, list(value ORDER BY step) AS \"values\"
FROM points GROUP BY experiment, node, metric
ORDER BY experiment, try_cast(regexp_extract(node, '\\d+') AS INT), node, metric";

const PAIRS: &str = "\
SELECT experiment, model, role, coalesce(reason, 'kept') AS became, count(*) AS n FROM pairs
GROUP BY experiment, model, role, coalesce(reason, 'kept')
ORDER BY experiment, model[2:]::INT, role, became";

const NODES: &str = "\
SELECT experiment, node, stage, model, finished, run, coalesce(rows, 0)::BIGINT AS rows,
    coalesce(seconds, 0)::DOUBLE AS seconds, strftime(started, '%Y-%m-%d') AS day
FROM nodes ORDER BY experiment, position";

/// Reads the curves of every training, of each in fewer points the more seeds stand beside each other.
pub(super) fn curves(session: &Session, seeds: usize) -> Result<Vec<Curve>, Error> {
    let points = (POINTS_OF_SEEDS / seeds.max(1)).clamp(FEWEST_POINTS, POINTS);
    Ok(session.rows(&CURVES.replace("{points}", &points.to_string()))?)
}

/// Counts what became of every candidate pair.
pub(super) fn pairs(session: &Session) -> Result<Vec<Became>, Error> {
    Ok(session.rows(PAIRS)?)
}

/// Lists the nodes in the order in which they run.
pub(super) fn nodes(session: &Session) -> Result<Vec<NodeCost>, Error> {
    Ok(session.rows(NODES)?)
}
