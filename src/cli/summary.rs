//! What a run came to: a line for each model, and what to ask next.

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::ui::{Label, Ui, seconds};
use crate::query::Session;
use crate::store::Store;

/// What is known of one model.
#[derive(Debug, Deserialize)]
struct Model {
    model: String,
    win_rate: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    length_controlled: Option<f64>,
    agreement: Option<f64>,
    chars: Option<f64>,
    actor_pairs: Option<f64>,
    judge_pairs: Option<f64>,
    seconds: f64,
}

/// Everything that the table says, of one experiment.
const MODELS: &str = "\
WITH known AS (
    SELECT model, name, value, low, high FROM estimates e
    WHERE experiment = '{experiment}' AND part IN ('answers', 'panel') AND e.\"group\" = 'all'
), kept AS (
    SELECT model, count(*) FILTER (role = 'actor' AND kept)::DOUBLE AS actor_pairs,
        count(*) FILTER (role = 'judge' AND kept)::DOUBLE AS judge_pairs
    FROM pairs WHERE experiment = '{experiment}' GROUP BY model
), spent AS (
    SELECT model, sum(seconds) AS seconds FROM nodes
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

/// A line as it is printed.
#[derive(Serialize, Deserialize)]
struct Line {
    model: String,
    #[serde(rename = "win rate")]
    win_rate: Option<String>,
    #[serde(rename = "at equal length")]
    length_controlled: Option<String>,
    #[serde(rename = "judge agrees")]
    agreement: Option<String>,
    chars: Option<String>,
    /// Of actor and judge.
    pairs: Option<String>,
    time: String,
}

impl Model {
    fn line(self) -> Line {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let win_rate = self.win_rate.map(|rate| match (self.low, self.high) {
            (Some(low), Some(high)) => {
                format!("{} [{:.1}, {:.1}]", percent(rate), 100.0 * low, 100.0 * high)
            }
            _ => percent(rate),
        });
        let pairs = self.actor_pairs.zip(self.judge_pairs);
        Line {
            model: self.model,
            win_rate,
            length_controlled: self.length_controlled.map(percent),
            agreement: self.agreement.map(percent),
            chars: self.chars.map(|chars| format!("{chars:.1}")),
            pairs: pairs.map(|(actor, judge)| format!("{actor:.0} + {judge:.0}")),
            time: seconds(self.seconds),
        }
    }
}

/// Prints the table and, where something was made, three commands that go on from it.
pub(super) fn tell(store: &Store, experiment: &str, made: bool, ui: &Ui) -> Result<(), Failure> {
    let session = Session::of(store, &[experiment])?;
    let models: Vec<Model> = session.rows(&MODELS.replace("{experiment}", experiment))?;
    if models.is_empty() {
        return Ok(());
    }
    let last = models.iter().rev().find(|model| model.win_rate.is_some());
    let next = suggestions(experiment, last.map(|model| model.model.as_str()));
    let lines: Vec<Line> = models.into_iter().map(Model::line).collect();
    ui.say("");
    super::tables::print_rows(ui, crate::query::Format::Table, &lines)?;
    if !made {
        return Ok(());
    }
    ui.say("");
    for (command, what) in next {
        ui.say(&format!("{}  {command}", ui.paint(Label::Dim, &format!("{what:>16}"))));
    }
    Ok(())
}

/// Three commands that work as they are printed.
fn suggestions(experiment: &str, last: Option<&str>) -> Vec<(String, &'static str)> {
    let of = format!("WHERE experiment = '{experiment}'");
    let mut next = Vec::new();
    if let Some(last) = last {
        next.push((format!("mrx diff {experiment}/m0 {experiment}/{last}"), "what changed?"));
    }
    next.push((
        format!(
            "mrx sql \"SELECT model, avg(score) AS mean, stddev(score) AS spread, share(status != \
             'ok') AS unread FROM judgements {of} AND part IS NULL GROUP BY model ORDER BY model\""
        ),
        "does it drift?",
    ));
    next.push((
        format!(
            "mrx sql \"SELECT model, role, coalesce(reason, 'kept') AS became, count(*) AS n FROM \
             pairs {of} GROUP BY ALL ORDER BY ALL\""
        ),
        "why so few pairs?",
    ));
    if last.is_none() {
        next.push((format!("mrx show {experiment}/train.m1"), "what was learned?"));
    }
    next
}
