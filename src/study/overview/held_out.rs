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
    /// The experiment.
    #[serde(skip_serializing)]
    pub experiment: String,
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
SELECT experiment, min(baseline) AS baseline, min(judge) AS judge,
    'm' || max(try_cast(model[2:] AS INT)) AS latest
FROM verdicts WHERE part IS NULL GROUP BY experiment HAVING latest IS NOT NULL";

const ASKED: &str = "\
WITH latest AS (
    SELECT experiment, 'm' || max(try_cast(model[2:] AS INT)) AS model
    FROM verdicts WHERE part IS NULL GROUP BY experiment
), decided AS (
    SELECT experiment, prompt_id, avg(preference) AS preference
    FROM verdicts SEMI JOIN latest USING (experiment, model)
    WHERE part IS NULL GROUP BY experiment, prompt_id
), asked AS (
    SELECT experiment, prompt_id AS id, prompt, reference, category, CASE
        WHEN preference < 0.4999 THEN 0 WHEN preference > 0.5001 THEN 1 WHEN preference IS NULL THEN 3
        ELSE 2 END AS became, count(*) OVER (PARTITION BY experiment) AS of_all
    FROM prompts LEFT JOIN decided USING (experiment, prompt_id) WHERE node = 'prompts.eval'
), turned AS (
    SELECT *, row_number() OVER (PARTITION BY experiment, became ORDER BY md5(id), id) AS turn FROM asked
)
SELECT experiment, id, prompt, reference, category, of_all FROM turned
QUALIFY row_number() OVER (PARTITION BY experiment ORDER BY greatest(became, 1), turn, became) <= {most}
ORDER BY experiment, greatest(became, 1), turn, became";

const ANSWERS: &str = "\
WITH wanted(experiment, prompt_id) AS (VALUES {wanted}), decided AS (
    SELECT experiment, response_id, avg(preference ORDER BY verdict_id) AS preference
    FROM verdicts SEMI JOIN wanted USING (experiment, prompt_id)
    WHERE part IS NULL GROUP BY experiment, response_id
), given AS (
    SELECT experiment, baseline_response_id AS response_id, min(baseline) AS baseline
    FROM verdicts SEMI JOIN wanted USING (experiment, prompt_id)
    WHERE part IS NULL AND NOT regexp_full_match(baseline, 'm\\d+')
    GROUP BY experiment, baseline_response_id
)
SELECT experiment, prompt_id, response_id, coalesce(baseline, model) AS model, text,
    len(text) AS chars, finish_reason AS finish, preference
FROM responses SEMI JOIN wanted USING (experiment, prompt_id)
    LEFT JOIN decided USING (experiment, response_id) LEFT JOIN given USING (experiment, response_id)
WHERE baseline IS NOT NULL OR (part = 'eval' AND regexp_full_match(model, 'm\\d+'))
QUALIFY 1 = row_number() OVER (
    PARTITION BY experiment, prompt_id, coalesce(baseline, model) ORDER BY sample)
ORDER BY experiment, baseline IS NULL, try_cast(model[2:] AS INT), prompt_id";

const GAMES: &str = "\
WITH wanted(experiment, prompt_id) AS (VALUES {wanted})
SELECT experiment, response_id, first_shown, preference, status, text
FROM verdicts SEMI JOIN wanted USING (experiment, prompt_id)
WHERE part IS NULL AND response_id IS NOT NULL AND (text IS NOT NULL OR status != 'ok')
ORDER BY ALL";

#[derive(Deserialize)]
struct AskedRow {
    experiment: String,
    id: String,
    prompt: String,
    reference: Option<String>,
    category: Option<String>,
    of_all: i64,
}

#[derive(Deserialize)]
struct AnswerRow {
    experiment: String,
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
    experiment: String,
    response_id: String,
    first_shown: String,
    preference: Option<f64>,
    status: String,
    text: Option<String>,
}

/// The held-out prompts of one experiment that are shown, and how many there are.
#[derive(Debug, Default)]
pub(super) struct HeldOut {
    pub(super) shown: Vec<HeldOutPrompt>,
    pub(super) of: i64,
}

/// Tells who played whom, where anyone did.
pub(super) fn opponents(session: &Session) -> Result<Vec<Opponents>, Error> {
    Ok(session.rows(OPPONENTS)?)
}

/// Reads at most so many held-out prompts of each experiment, those first on which the latest model is worse or
/// better than the baseline, in turn; and counts all of them.
pub(super) fn held_out(session: &Session, most: usize) -> Result<BTreeMap<String, HeldOut>, Error> {
    let asked: Vec<AskedRow> = session.rows(&ASKED.replace("{most}", &most.to_string()))?;
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted = wanted(asked.iter().map(|row| (row.experiment.as_str(), row.id.as_str())));
    let mut answers = answers(session, &wanted)?;
    let mut found: BTreeMap<String, HeldOut> = BTreeMap::new();
    for row in asked {
        let at = (row.experiment, row.id);
        let answers = answers.remove(&at).unwrap_or_default();
        let (experiment, id) = at;
        let of_experiment = found.entry(experiment).or_default();
        of_experiment.of = row.of_all;
        of_experiment.shown.push(HeldOutPrompt {
            id,
            prompt: Excerpt::of(row.prompt, ANSWER),
            reference: row.reference.map(|text| Excerpt::of(text, ANSWER)),
            category: row.category,
            answers,
        });
    }
    Ok(found)
}

/// The answers to some prompts, by experiment and prompt.
fn answers(
    session: &Session,
    wanted: &str,
) -> Result<BTreeMap<(String, String), Vec<HeldOutAnswer>>, Error> {
    let mut games: BTreeMap<(String, String), Vec<Game>> = BTreeMap::new();
    for row in session.rows::<GameRow>(&GAMES.replace("{wanted}", wanted))? {
        let GameRow { experiment, response_id, first_shown, preference, status, text } = row;
        let text = text.map(|text| Excerpt::of(text, VERDICT));
        let game = Game { first_shown, preference, status, text };
        games.entry((experiment, response_id)).or_default().push(game);
    }
    let mut answers: BTreeMap<(String, String), Vec<HeldOutAnswer>> = BTreeMap::new();
    for row in session.rows::<AnswerRow>(&ANSWERS.replace("{wanted}", wanted))? {
        let games = games.remove(&(row.experiment.clone(), row.response_id)).unwrap_or_default();
        answers.entry((row.experiment, row.prompt_id)).or_default().push(HeldOutAnswer {
            model: row.model,
            text: Excerpt::of(row.text, ANSWER),
            chars: row.chars,
            finish: row.finish,
            preference: row.preference,
            games,
        });
    }
    Ok(answers)
}

/// Experiments and ids of prompts as rows in SQL; they are letters, digits and signs that end no text.
pub(super) fn wanted<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let row = |(experiment, id): (&str, &str)| format!("('{experiment}', '{id}')");
    rows.map(row).collect::<Vec<_>>().join(", ")
}
