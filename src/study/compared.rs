//! Numbers of two models beside each other: of their games, of their own nodes, and what they cost.

use serde::{Deserialize, Serialize};

use super::recorded::{Error, RecordedModel};
use crate::query::Session;
use crate::records::Estimate;

/// A number of one model beside that of the other.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Compared {
    /// `games`, `answers`, `judge` or `cost`.
    pub part: String,
    /// As `win_rate`.
    pub name: String,
    /// What it is of; `all`.
    pub group: String,
    /// Of the first model.
    pub first: Option<f64>,
    /// The interval's lower end.
    pub first_low: Option<f64>,
    /// The interval's upper end.
    pub first_high: Option<f64>,
    /// Of the second.
    pub second: Option<f64>,
    /// The interval's lower end.
    pub second_low: Option<f64>,
    /// The interval's upper end.
    pub second_high: Option<f64>,
    /// Independent units, as prompts.
    pub n: Option<i64>,
    /// How it was found, or why it was not.
    pub method: Option<String>,
}

/// The numbers that the models' own nodes hold.
const OF_MODEL: &str = "\
SELECT part, name, e.\"group\" AS \"of\", value, low, high, n, method FROM estimates e
WHERE experiment = '{experiment}' AND model = '{model}' AND part IN ('answers', 'panel', 'judging')
    AND NOT contains(name, '/') AND name != 'gain' ORDER BY ALL";

const COST: &str = "\
WITH drawn AS (
    SELECT prompt_tokens, completion_tokens FROM responses
    WHERE {of} AND part IS DISTINCT FROM 'panel' AND prompt_tokens > 0
    UNION ALL SELECT prompt_tokens, completion_tokens FROM judgements WHERE {of}
    UNION ALL SELECT prompt_tokens, completion_tokens FROM meta_judgements WHERE {of}
    UNION ALL SELECT NULL, NULL FROM verdicts WHERE {of} AND text IS NOT NULL
)
SELECT coalesce((SELECT sum(seconds) FROM nodes WHERE {of} AND finished), 0)::DOUBLE AS seconds,
    count(*)::DOUBLE AS calls, coalesce(sum(prompt_tokens), 0)::DOUBLE AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::DOUBLE AS completion_tokens FROM drawn";

#[derive(Deserialize)]
struct OwnNumber {
    part: String,
    name: String,
    of: String,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    n: i64,
    method: String,
}

#[derive(Deserialize)]
struct Spent {
    seconds: f64,
    calls: f64,
    prompt_tokens: f64,
    completion_tokens: f64,
}

impl Compared {
    /// Sets the number of one of the models.
    const fn set(
        &mut self,
        of_first: bool,
        value: Option<f64>,
        low: Option<f64>,
        high: Option<f64>,
    ) {
        if of_first {
            (self.first, self.first_low, self.first_high) = (value, low, high);
        } else {
            (self.second, self.second_low, self.second_high) = (value, low, high);
        }
    }
}

/// An estimate of the games, where it is one that people read.
pub(super) fn of_game(estimate: Estimate, first: &str) -> Option<Compared> {
    let Estimate { name, group, value, low, high, n, method, .. } = estimate;
    let shown = ["win_rate", "length_controlled_win_rate", "gain_of_second/p_better", "chars"];
    let name = shown.contains(&name.as_str()).then_some(name)?;
    let name = if name.ends_with("p_better") { "p_better".to_owned() } else { name };
    let mut line = Compared {
        part: "games".to_owned(),
        group: "all".to_owned(),
        n: Some(n),
        method: Some(method),
        ..Compared::default()
    };
    line.set(name == "chars" && group == first, value, low, high);
    Some(Compared { name, ..line })
}

/// The numbers of both models' own nodes.
pub(super) fn own_numbers(
    session: &Session,
    models: &[RecordedModel; 2],
) -> Result<Vec<Compared>, Error> {
    let mut lines: Vec<Compared> = Vec::new();
    for (model, of_first) in models.iter().zip([true, false]) {
        let sql =
            OF_MODEL.replace("{experiment}", &model.experiment).replace("{model}", &model.model);
        for number in session.rows::<OwnNumber>(&sql)? {
            let OwnNumber { part, name, of, value, low, high, n, method } = number;
            let part = if part == "answers" { "answers" } else { "judge" };
            let known =
                lines.iter().position(|l| l.part == part && l.name == name && l.group == of);
            let at = known.unwrap_or(lines.len());
            if known.is_none() {
                lines.push(Compared {
                    part: part.to_owned(),
                    name,
                    group: of,
                    n: Some(n),
                    method: Some(method),
                    ..Compared::default()
                });
            }
            lines[at].set(of_first, value, low, high);
        }
    }
    lines.sort_by(|a, b| (&a.part, &a.name, &a.group).cmp(&(&b.part, &b.name, &b.group)));
    Ok(lines)
}

/// What was spent with each.
pub(super) fn costs(
    session: &Session,
    models: &[RecordedModel; 2],
) -> Result<Vec<Compared>, Error> {
    let mut spent = Vec::new();
    for model in models {
        let of = format!("experiment = '{}' AND model = '{}'", model.experiment, model.model);
        spent.extend(session.rows::<Spent>(&COST.replace("{of}", &of))?);
    }
    let [first, second] = spent.as_slice() else { return Ok(Vec::new()) };
    let line = |name: &str, of: fn(&Spent) -> f64| Compared {
        part: "cost".to_owned(),
        name: name.to_owned(),
        group: "all".to_owned(),
        first: Some(of(first)),
        second: Some(of(second)),
        ..Compared::default()
    };
    Ok(vec![
        line("seconds", |spent| spent.seconds),
        line("calls", |spent| spent.calls),
        line("prompt_tokens", |spent| spent.prompt_tokens),
        line("completion_tokens", |spent| spent.completion_tokens),
    ])
}
