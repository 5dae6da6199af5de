//! Verdicts by a query: it scores answers beside their references, and the better score wins.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::game::{Game, games};
use crate::query::{Inputs, TableFiles, without_end};
use crate::records::{ResponseId, Shown, Status, Verdict};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::stages::columns::find;
use crate::stages::draw::NO_ANSWER;

/// Compares answers by their scores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Oracle {
    /// Who is played against: `m0`, or the name of ready-made answers.
    pub baseline: String,
    /// The query. It reads `answers` (`answer_id`, prompt, reference, category, response) and gives
    /// `answer_id` and `score`, a row for each; see [`Inputs`] for what it may do.
    pub sql: String,
}

impl Oracle {
    /// 1: the first. 2: answers that were refused are not scored, and nobody wins by them; time zones are
    /// UTC's, not the machine's; `read_text` says no place and no time.
    const VERSION: u32 = 2;
}

/// Why a query's rows are no scores.
#[derive(Debug, thiserror::Error)]
enum BadScores {
    #[error("the query gives no column `{column}`; it gives {found}")]
    Missing { column: &'static str, found: String },
    #[error("a row has no `answer_id`: it is NULL")]
    NoAnswer,
    #[error("the answer {0} has two scores; expected a row for each row of `answers`")]
    Twice(ResponseId),
    #[error(
        "the answer {answer} has the score {score}; expected a finite number, or NULL for none"
    )]
    NotFinite { answer: ResponseId, score: f64 },
    #[error("the answer {0} has no row; expected one for each row of `answers`")]
    Lost(ResponseId),
}

#[derive(Deserialize)]
struct ScoredAnswer {
    answer_id: Option<ResponseId>,
    score: Option<f64>,
}

/// Says in SQL what `answers` is, over tables of responses and the prompts that they answer.
fn answers_of(responses: &[&str]) -> String {
    let each = responses.iter().map(|table| {
        format!("FROM {table} SELECT response_id, prompt_id, text WHERE finish_reason != 'refused'")
    });
    format!(
        "SELECT response_id AS answer_id, prompt, reference, category, text AS response \
         FROM ({}) JOIN prompts USING (prompt_id)",
        each.collect::<Vec<_>>().join(" UNION ")
    )
}

/// Says in SQL, as the beginning of a query, what `scored` is: the answers in a table of responses with
/// the scores that an oracle's query gives them.
pub(in crate::stages) fn scored_by(oracle: &str, responses: &str) -> String {
    let oracle = without_end(oracle);
    format!("WITH answers AS ({}),\nscored AS (\n{oracle}\n)\n", answers_of(&[responses]))
}

impl Stage for Oracle {
    fn signature(&self) -> Signature {
        Signature::of("evaluate", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let files = io.files("files")?.unwrap_or_default();
        let table = |table: &'static str, input: &str| -> Result<_, StageError> {
            Ok(TableFiles { table, rows: io.object(io.digest(input)?)?, readings: None })
        };
        let tables = [
            table("prompts", "prompts")?,
            table("responses", "responses")?,
            table("baseline", "baseline")?,
        ];
        let answers = answers_of(&["responses", "baseline"]);
        let inputs = Inputs::open(&self.sql, &files, &tables, &[("answers", &answers)])?;
        let columns = inputs.columns()?;
        for column in ["answer_id", "score"] {
            if find(&columns, column).is_none() {
                let found: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
                return Err(BadScores::Missing { column, found: found.join(", ") }.into());
            }
        }
        let scores =
            by_answer(inputs.rows("answer_id::VARCHAR AS answer_id, score::DOUBLE AS score")?)?;
        io.check_unchanged("files")?;
        let verdicts = games(io)?.map(|game| self.verdict(&game?, &scores));
        io.write(verdicts)
    }
}

fn by_answer(rows: Vec<ScoredAnswer>) -> Result<HashMap<ResponseId, Option<f64>>, BadScores> {
    let mut scores = HashMap::with_capacity(rows.len());
    for ScoredAnswer { answer_id, score } in rows {
        let answer = answer_id.ok_or(BadScores::NoAnswer)?;
        if let Some(score) = score.filter(|score| !score.is_finite()) {
            return Err(BadScores::NotFinite { answer, score });
        }
        if scores.insert(answer.clone(), score).is_some() {
            return Err(BadScores::Twice(answer));
        }
    }
    Ok(scores)
}

impl Oracle {
    fn verdict(
        &self,
        game: &Game,
        scores: &HashMap<ResponseId, Option<f64>>,
    ) -> Result<Verdict, StageError> {
        let score =
            |id: &ResponseId| scores.get(id).copied().ok_or_else(|| BadScores::Lost(id.clone()));
        let (response, baseline) = (&game.response, &game.baseline);
        let refused = game.is_refused();
        let both = if refused {
            (None, None)
        } else {
            (score(&response.response_id)?, score(&baseline.response_id)?)
        };
        let (preference, status) = match both {
            (Some(own), Some(other)) if own > other => (Some(1.0), Status::Ok),
            (Some(own), Some(other)) if own < other => (Some(0.0), Status::Ok),
            (Some(_), Some(_)) => (Some(0.5), Status::Ok),
            _ if refused => (None, Status::Refused),
            _ => (None, Status::Missing),
        };
        Ok(Verdict {
            verdict_id: game.id().and("sql").finish(),
            prompt_id: game.question.prompt_id.clone(),
            response_id: Some(response.response_id.clone()),
            baseline_response_id: Some(baseline.response_id.clone()),
            baseline: self.baseline.clone(),
            judge: "sql".to_owned(),
            first_shown: Shown::None,
            preference,
            status,
            text: None,
            response_chars: response.chars()?,
            baseline_chars: baseline.chars()?,
            refusal: refused.then(|| NO_ANSWER.to_owned()),
            thinking: None,
            weighed: None,
        })
    }
}
