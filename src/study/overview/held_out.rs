//! Prompts that every model is asked, with all answers beside each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::excerpt::Excerpt;
use crate::query::Session;
use crate::study::recorded::Error;

/// A held-out prompt, and what each model made of it.
#[derive(Debug, Serialize)]
pub struct HeldOutPrompt {
    /// Its id.
    pub id: String,
    /// What was asked.
    pub prompt: Excerpt,
    /// The right answer, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Excerpt>,
    /// The source's own category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The answers, the baseline's first where it is no model of the experiment.
    pub answers: Vec<HeldOutAnswer>,
}

/// What one model answers, and whether it is preferred.
#[derive(Debug, Serialize)]
pub struct HeldOutAnswer {
    /// As `m1`, or the baseline's name.
    pub model: String,
    /// The answer.
    pub text: Excerpt,
    /// Its length in characters.
    pub chars: i64,
    /// `stop`, `length` or `refused`.
    pub finish: String,
    /// How far it is preferred to the baseline's: above a half it is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<f64>,
    /// The games that decided so, where somebody wrote a verdict or could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub games: Vec<Game>,
}

/// A game, and what was said of it.
#[derive(Debug, Serialize)]
pub struct Game {
    /// `model`, `baseline` or `none`: whose answer was shown first.
    pub first_shown: String,
    /// As in [`HeldOutAnswer`].
    pub preference: Option<f64>,
    /// Whether it could be read.
    pub status: String,
    /// The verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Excerpt>,
}

/// Who was compared with whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opponents {
    /// Whom the models play.
    pub baseline: String,
    /// Who decides.
    pub judge: String,
    /// The latest model that played.
    pub latest: String,
}

/// Longer answers than this are cut.
const ANSWER: usize = 2000;
const VERDICT: usize = 600;

const OPPONENTS: &str = "\
SELECT any_value(baseline) AS baseline, any_value(judge) AS judge,
    'm' || max(try_cast(model[2:] AS INT)) AS latest
FROM verdicts WHERE experiment = '{experiment}' AND part IS NULL HAVING latest IS NOT NULL";

const ASKED: &str = "\
WITH decided AS (
    SELECT prompt_id, avg(preference) AS preference FROM verdicts
    WHERE experiment = '{experiment}' AND part IS NULL AND model = '{latest}' GROUP BY ALL
), asked AS (
    SELECT p.prompt_id AS id, prompt, reference, category, CASE
        WHEN preference < 0.4999 THEN 0 WHEN preference > 0.5001 THEN 1 WHEN preference IS NULL THEN 3
        ELSE 2 END AS became
    FROM prompts p LEFT JOIN decided USING (prompt_id)
    WHERE experiment = '{experiment}' AND node = 'prompts.eval'
)
SELECT id, prompt, reference, category, (SELECT count(*) FROM asked) AS of_all FROM asked
ORDER BY greatest(became, 1), row_number() OVER (PARTITION BY became ORDER BY md5(id), id), became
LIMIT {most}";

const ANSWERS: &str = "\
WITH decided AS (
    SELECT response_id, avg(preference ORDER BY verdict_id) AS preference FROM verdicts
    WHERE experiment = '{experiment}' AND part IS NULL AND prompt_id IN ({ids}) GROUP BY ALL
), given AS (
    SELECT baseline_response_id AS response_id, any_value(baseline) AS baseline FROM verdicts
    WHERE experiment = '{experiment}' AND part IS NULL AND prompt_id IN ({ids})
        AND NOT regexp_full_match(baseline, 'm\\d+') GROUP BY ALL
)
SELECT prompt_id, response_id, coalesce(baseline, model) AS model, text, len(text) AS chars,
    finish_reason AS finish, preference
FROM responses r LEFT JOIN decided USING (response_id) LEFT JOIN given USING (response_id)
WHERE experiment = '{experiment}' AND prompt_id IN ({ids})
    AND (baseline IS NOT NULL OR (part = 'eval' AND regexp_full_match(model, 'm\\d+')))
QUALIFY row_number() OVER (PARTITION BY prompt_id, coalesce(baseline, model) ORDER BY sample) = 1
ORDER BY baseline IS NULL, try_cast(model[2:] AS INT), prompt_id";

const GAMES: &str = "\
SELECT response_id, first_shown, preference, status, text FROM verdicts
WHERE experiment = '{experiment}' AND part IS NULL AND prompt_id IN ({ids})
    AND response_id IS NOT NULL AND (text IS NOT NULL OR status != 'ok')
ORDER BY ALL";

#[derive(Deserialize)]
struct AskedRow {
    id: String,
    prompt: String,
    reference: Option<String>,
    category: Option<String>,
    of_all: i64,
}

#[derive(Deserialize)]
struct AnswerRow {
    prompt_id: String,
    response_id: String,
    model: String,
    text: String,
    chars: i64,
    finish: String,
    preference: Option<f64>,
}

#[derive(Deserialize)]
struct GameRow {
    response_id: String,
    first_shown: String,
    preference: Option<f64>,
    status: String,
    text: Option<String>,
}

/// Tells who played whom, where anyone did.
pub(super) fn opponents(session: &Session, experiment: &str) -> Result<Option<Opponents>, Error> {
    Ok(session.rows(&OPPONENTS.replace("{experiment}", experiment))?.pop())
}

/// Reads at most so many held-out prompts, those first on which the latest model is worse or better than the
/// baseline, in turn; and counts all of them.
pub(super) fn held_out(
    session: &Session,
    experiment: &str,
    latest: &str,
    most: usize,
) -> Result<(Vec<HeldOutPrompt>, i64), Error> {
    let sql = ASKED.replace("{experiment}", experiment).replace("{latest}", latest);
    let asked: Vec<AskedRow> = session.rows(&sql.replace("{most}", &most.to_string()))?;
    let Some(all) = asked.first().map(|row| row.of_all) else { return Ok((Vec::new(), 0)) };
    let ids: Vec<&str> = asked.iter().map(|row| row.id.as_str()).collect();
    let mut answers = answers(session, experiment, &ids)?;
    let shown = asked.into_iter().map(|row| HeldOutPrompt {
        prompt: Excerpt::of(row.prompt, ANSWER),
        reference: row.reference.map(|text| Excerpt::of(text, ANSWER)),
        category: row.category,
        answers: answers.remove(&row.id).unwrap_or_default(),
        id: row.id,
    });
    Ok((shown.collect(), all))
}

/// The answers to some prompts, by prompt.
fn answers(
    session: &Session,
    experiment: &str,
    ids: &[&str],
) -> Result<BTreeMap<String, Vec<HeldOutAnswer>>, Error> {
    let asking = |sql: &str| sql.replace("{experiment}", experiment).replace("{ids}", &listed(ids));
    let mut games: BTreeMap<String, Vec<Game>> = BTreeMap::new();
    for row in session.rows::<GameRow>(&asking(GAMES))? {
        let GameRow { response_id, first_shown, preference, status, text } = row;
        let text = text.map(|text| Excerpt::of(text, VERDICT));
        let game = Game { first_shown, preference, status, text };
        games.entry(response_id).or_default().push(game);
    }
    let mut answers: BTreeMap<String, Vec<HeldOutAnswer>> = BTreeMap::new();
    for row in session.rows::<AnswerRow>(&asking(ANSWERS))? {
        answers.entry(row.prompt_id).or_default().push(HeldOutAnswer {
            model: row.model,
            text: Excerpt::of(row.text, ANSWER),
            chars: row.chars,
            finish: row.finish,
            preference: row.preference,
            games: games.remove(&row.response_id).unwrap_or_default(),
        });
    }
    Ok(answers)
}

/// Ids as a list in SQL; they are digits and letters.
pub(super) fn listed(ids: &[&str]) -> String {
    ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ")
}
