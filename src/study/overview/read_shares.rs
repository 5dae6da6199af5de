//! Reads the prompts of the iterations, and all that was made of them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::excerpt::Excerpt;
use super::held_out::wanted;
use super::places::{In, Places};
use super::share::{Answer, Comparison, Judgement, Outcome, Share, SharePrompt};
use crate::query::Session;
use crate::study::recorded::Error;

/// Longer texts than this are cut; the judgements that make a pair are shown as answers are.
const ANSWER: usize = 2000;
const JUDGEMENT: usize = 360;
const COMPARISON: usize = 240;

const PROMPTS: &str = "\
WITH outcomes AS (
    SELECT experiment, model, prompt_id,
        any_value(coalesce(reason, 'kept')) FILTER (role = 'actor') AS actor,
        any_value(coalesce(reason, 'kept')) FILTER (role = 'judge') AS judge
    FROM pairs GROUP BY experiment, model, prompt_id
), unread AS (
    SELECT experiment, model, prompt_id, string_agg(DISTINCT status, ' ' ORDER BY status) AS unread FROM (
        SELECT experiment, model, prompt_id, status FROM judgements WHERE part IS NULL AND status != 'ok'
        UNION ALL SELECT experiment, model, prompt_id, status FROM meta_judgements
        WHERE part IS NULL AND status != 'ok'
    ) GROUP BY experiment, model, prompt_id
), asked AS (
    SELECT experiment, model, prompt_id AS id, prompt, reference, category, unread,
        row_number() OVER (
            PARTITION BY experiment, model, actor, judge, unread ORDER BY md5(prompt_id)) AS turn,
        count(*) OVER (PARTITION BY experiment, model) AS of_all
    FROM prompts LEFT JOIN outcomes USING (experiment, model, prompt_id)
        LEFT JOIN unread USING (experiment, model, prompt_id)
    WHERE part IS NULL AND regexp_full_match(model, 'm\\d+')
), ordered AS (
    SELECT *, row_number() OVER (PARTITION BY experiment, model ORDER BY turn, md5(id)) AS place FROM asked
)
SELECT experiment, model, id, prompt, reference, category, unread, of_all FROM ordered
WHERE place <= {most} ORDER BY experiment, model[2:]::INT, place";

const ANSWERS: &str = "\
WITH wanted(experiment, prompt_id) AS (VALUES {wanted})
SELECT experiment, model, prompt_id, list(response_id ORDER BY sample) AS ids,
    list(sample ORDER BY sample) AS samples, any_value(text) AS text, len(any_value(text)) AS chars,
    min(finish_reason) AS finish
FROM responses SEMI JOIN wanted USING (experiment, prompt_id) WHERE part IS NULL
GROUP BY experiment, model, prompt_id, text_digest ORDER BY min(sample)";

const JUDGEMENTS: &str = "\
WITH wanted(experiment, prompt_id) AS (VALUES {wanted}), rated AS (
    SELECT experiment, judgement_id, strength FROM ratings SEMI JOIN wanted USING (experiment, prompt_id)
)
SELECT experiment, response_id, judgement_id, score, status, strength, text
FROM judgements SEMI JOIN wanted USING (experiment, prompt_id)
    LEFT JOIN rated USING (experiment, judgement_id)
WHERE part IS NULL ORDER BY response_id, sample";

const COMPARISONS: &str = "\
WITH wanted(experiment, prompt_id) AS (VALUES {wanted})
SELECT experiment, model, prompt_id, response_id, first_judgement_id, second_judgement_id, winner,
    status, text
FROM meta_judgements SEMI JOIN wanted USING (experiment, prompt_id) WHERE part IS NULL ORDER BY ALL";

const PAIRS: &str = "\
WITH wanted(experiment, prompt_id) AS (VALUES {wanted})
SELECT experiment, model, prompt_id, role, coalesce(reason, 'kept') AS became, chosen_response_id,
    rejected_response_id, chosen_judgement_id, rejected_judgement_id, score_chosen, score_rejected
FROM pairs SEMI JOIN wanted USING (experiment, prompt_id)";

#[derive(Deserialize)]
struct PromptRow {
    experiment: String,
    model: String,
    id: String,
    prompt: String,
    reference: Option<String>,
    category: Option<String>,
    unread: Option<String>,
    of_all: i64,
}

#[derive(Deserialize)]
struct AnswerRow {
    experiment: String,
    model: String,
    prompt_id: String,
    ids: Vec<String>,
    samples: Vec<i32>,
    text: String,
    chars: i64,
    finish: String,
}

#[derive(Deserialize)]
struct JudgementRow {
    experiment: String,
    response_id: String,
    judgement_id: String,
    score: Option<f64>,
    status: Option<String>,
    strength: Option<f64>,
    text: String,
}

#[derive(Deserialize)]
struct ComparisonRow {
    experiment: String,
    model: String,
    prompt_id: String,
    response_id: String,
    first_judgement_id: String,
    second_judgement_id: String,
    winner: Option<f64>,
    status: Option<String>,
    text: String,
}

#[derive(Deserialize)]
struct PairRow {
    experiment: String,
    model: String,
    prompt_id: String,
    role: String,
    became: String,
    chosen_response_id: Option<String>,
    rejected_response_id: Option<String>,
    chosen_judgement_id: Option<String>,
    rejected_judgement_id: Option<String>,
    score_chosen: Option<f64>,
    score_rejected: Option<f64>,
}

/// By experiment, model and prompt.
type ByPrompt<T> = BTreeMap<(String, String, String), Vec<T>>;

/// Reads at most so many prompts of every share of every experiment: every way in which pairs were made or not is
/// there, and every reason why judgements were not read; else by the digest of their ids.
pub(super) fn shares(
    session: &Session,
    most: usize,
) -> Result<BTreeMap<String, Vec<Share>>, Error> {
    let asked: Vec<PromptRow> = session.rows(&PROMPTS.replace("{most}", &most.to_string()))?;
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted = wanted(asked.iter().map(|row| (row.experiment.as_str(), row.id.as_str())));
    let mut found = Found::of(session, &wanted)?;
    let mut shares: BTreeMap<String, Vec<Share>> = BTreeMap::new();
    for row in asked {
        let of_experiment = shares.entry(row.experiment.clone()).or_default();
        let (model, of) = (row.model.clone(), row.of_all);
        let prompt = found.prompt(row);
        match of_experiment.last_mut().filter(|share| share.model == model) {
            Some(share) => share.shown.push(prompt),
            None => of_experiment.push(Share { model, of, shown: vec![prompt] }),
        }
    }
    Ok(shares)
}

/// What was made of some prompts.
struct Found {
    answers: ByPrompt<Answer>,
    compared: ByPrompt<Comparison>,
    outcomes: ByPrompt<(String, Outcome)>,
}

impl Found {
    fn of(session: &Session, wanted: &str) -> Result<Self, Error> {
        let asking = |sql: &str| sql.replace("{wanted}", wanted);
        let pairs: Vec<PairRow> = session.rows(&asking(PAIRS))?;
        let mut places = Places::default();
        let sides =
            |pair: &PairRow| [pair.chosen_judgement_id.clone(), pair.rejected_judgement_id.clone()];
        places.paired.extend(pairs.iter().flat_map(sides).flatten());
        let judgements = judgements(session.rows(&asking(JUDGEMENTS))?, &mut places);
        let answers = answers(session.rows(&asking(ANSWERS))?, judgements, &mut places);
        let compared = compared(session.rows(&asking(COMPARISONS))?, &places);
        Ok(Self { answers, compared, outcomes: outcomes(pairs, &places) })
    }

    /// Takes what was made of one prompt.
    fn prompt(&mut self, row: PromptRow) -> SharePrompt {
        let at = (row.experiment, row.model, row.id);
        let mut of_roles = self.outcomes.remove(&at).unwrap_or_default();
        let mut take = |role: &str| {
            let place = of_roles.iter().position(|(known, _)| known == role);
            place.map(|place| of_roles.swap_remove(place).1)
        };
        SharePrompt {
            prompt: Excerpt::of(row.prompt, ANSWER),
            reference: row.reference.map(|text| Excerpt::of(text, ANSWER)),
            category: row.category,
            actor: take("actor"),
            judge: take("judge"),
            unread: row.unread.iter().flat_map(|all| all.split(' ')).map(str::to_owned).collect(),
            answers: self.answers.remove(&at).unwrap_or_default(),
            compared: self.compared.remove(&at).unwrap_or_default(),
            id: at.2,
        }
    }
}

/// The judgements of each response, and their places.
fn judgements(rows: Vec<JudgementRow>, places: &mut Places) -> BTreeMap<In, Vec<Judgement>> {
    let mut found: BTreeMap<In, Vec<Judgement>> = BTreeMap::new();
    for row in rows {
        let of_response = found.entry((row.experiment, row.response_id)).or_default();
        let most = if places.paired.contains(&row.judgement_id) { ANSWER } else { JUDGEMENT };
        places.judgements.insert(row.judgement_id, of_response.len());
        of_response.push(Judgement {
            score: row.score,
            unread: row.status.filter(|status| status != "ok"),
            strength: row.strength,
            text: Excerpt::of(row.text, most),
        });
    }
    found
}

/// The answers to each prompt, and their places. Of equal answers the first is judged.
fn answers(
    rows: Vec<AnswerRow>,
    mut judgements: BTreeMap<In, Vec<Judgement>>,
    places: &mut Places,
) -> ByPrompt<Answer> {
    let mut found: ByPrompt<Answer> = BTreeMap::new();
    for row in rows {
        let ids: Vec<In> = row.ids.into_iter().map(|id| (row.experiment.clone(), id)).collect();
        let of_prompt = found.entry((row.experiment, row.model, row.prompt_id)).or_default();
        let at = of_prompt.len();
        let judgements = ids.iter().find_map(|id| judgements.remove(id)).unwrap_or_default();
        places.answers.extend(ids.into_iter().map(|id| (id, at)));
        of_prompt.push(Answer {
            samples: row.samples,
            text: Excerpt::of(row.text, ANSWER),
            chars: row.chars,
            finish: row.finish,
            score: mean_score(&judgements),
            judgements,
        });
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "an answer has few judgements")]
fn mean_score(judgements: &[Judgement]) -> Option<f64> {
    let scores: Vec<f64> = judgements.iter().filter_map(|judgement| judgement.score).collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

fn compared(rows: Vec<ComparisonRow>, places: &Places) -> ByPrompt<Comparison> {
    let mut found: ByPrompt<Comparison> = BTreeMap::new();
    for row in rows {
        let (first, second) = (Some(&row.first_judgement_id), Some(&row.second_judgement_id));
        let answer = places.answer(&row.experiment, Some(&row.response_id));
        let judged = places.judgement(first).zip(places.judgement(second));
        let Some((answer, (first, second))) = answer.zip(judged) else { continue };
        found.entry((row.experiment, row.model, row.prompt_id)).or_default().push(Comparison {
            answer,
            first,
            second,
            winner: row.winner,
            unread: row.status.filter(|status| status != "ok"),
            text: Excerpt::of(row.text, COMPARISON),
        });
    }
    found
}

/// What became of the candidates of each prompt, by role.
fn outcomes(rows: Vec<PairRow>, places: &Places) -> ByPrompt<(String, Outcome)> {
    let mut found: ByPrompt<(String, Outcome)> = BTreeMap::new();
    for row in rows {
        let outcome = Outcome {
            became: row.became,
            chosen: places.answer(&row.experiment, row.chosen_response_id.as_ref()),
            rejected: places.answer(&row.experiment, row.rejected_response_id.as_ref()),
            chosen_judgement: places.judgement(row.chosen_judgement_id.as_ref()),
            rejected_judgement: places.judgement(row.rejected_judgement_id.as_ref()),
            score_chosen: row.score_chosen,
            score_rejected: row.score_rejected,
        };
        let at = (row.experiment, row.model, row.prompt_id);
        found.entry(at).or_default().push((row.role, outcome));
    }
    found
}
