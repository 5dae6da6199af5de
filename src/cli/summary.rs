//! What a run came to: a line for each model, and what to ask next.

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::ui::{Label, Ui, seconds};
use crate::store::Store;
use crate::study::{self, ModelNumbers};

/// A line as it is printed.
#[derive(Serialize, Deserialize)]
struct ModelLine {
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

impl From<ModelNumbers> for ModelLine {
    fn from(known: ModelNumbers) -> Self {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let win_rate = known.win_rate.map(|rate| match (known.low, known.high) {
            (Some(low), Some(high)) => {
                format!("{} [{:.1}, {:.1}]", percent(rate), 100.0 * low, 100.0 * high)
            }
            _ => percent(rate),
        });
        let pairs = known.actor_pairs.zip(known.judge_pairs);
        Self {
            model: known.model,
            win_rate,
            length_controlled: known.length_controlled.map(percent),
            agreement: known.agreement.map(percent),
            chars: known.chars.map(|chars| format!("{chars:.1}")),
            pairs: pairs.map(|(actor, judge)| format!("{actor:.0} + {judge:.0}")),
            time: seconds(known.seconds),
        }
    }
}

/// Prints the table and, where something was made, three commands that go on from it.
pub(super) fn tell(store: &Store, experiment: &str, made: bool, ui: &Ui) -> Result<(), Failure> {
    let models = study::models(store, experiment)?;
    if models.is_empty() {
        return Ok(());
    }
    let last = models.iter().rev().find(|model| model.win_rate.is_some());
    let next = suggestions(experiment, last.map(|model| model.model.as_str()));
    let lines: Vec<ModelLine> = models.into_iter().map(ModelLine::from).collect();
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
