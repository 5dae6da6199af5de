//! `meta_judge`: judgements of one response, compared two by two in both orders
//! (Meta-Rewarding, section 2.2).
//!
//! Per prompt, the response whose valid scores vary most is taken. Its players are its judgements
//! with a valid score; equal texts are one player.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::align::{InStep, groups, zip_rows};
use super::draw::{Draft, Drawer, Drawing};
use super::live::Live;
use super::numbers::mean_and_variance;
use super::{BuiltIn, Choices, Rule, Sampling, Template, Thinking};
use crate::model::{Arguments, Engine};
use crate::records::{Drawn, JudgementId, MetaJudgement, MetaJudgementId, PromptId, ResponseId};
use crate::runner::{Figure, Io, Signature, Stage, StageError};
use crate::store::Digest;

/// Draws meta-judgements.
#[derive(Debug, Clone, Serialize)]
pub struct MetaJudge {
    /// The meta-judge's prompt, over `prompt`, `response`, `judgement_a` and `judgement_b`.
    pub template: Template,
    /// Whether judgements are shown without their scores, so that the higher one has no way to win by
    /// being higher.
    pub strip_scores: bool,
    /// How scores are read, where those that are stripped are neither scores nor ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Rule>,
    /// The verdicts that are weighed; `None` where one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// How the winner will be read: what is shown while it is drawn. It decides nothing.
    #[serde(skip)]
    pub rule: Rule,
    /// What draws.
    pub engine: Engine,
    /// What is thinking, not text.
    #[serde(skip_serializing_if = "Thinking::is_default")]
    pub thinking: Thinking,
    /// What the model's chat template is given.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub template_arguments: Arguments,
    /// How to draw. Flat, so that the key says `temperature`, as the experiment does.
    #[serde(flatten)]
    pub sampling: Sampling,
}

impl MetaJudge {
    /// 1: the first. 2: scores may be stripped. 3: the key says which engine drew; a prompt that the
    /// model refuses is a row. 4: rows say what
    /// was thought, and which ids were drawn.
    const VERSION: u32 = 4;
}

/// Variances that differ by less are a tie: scores are means of a few small numbers.
const TIE: f64 = 1e-9;

#[derive(Deserialize)]
struct AskedPrompt {
    prompt_id: PromptId,
    prompt: String,
}

#[derive(Deserialize)]
struct JudgedResponse {
    response_id: ResponseId,
    prompt_id: PromptId,
    text: String,
}

#[derive(Deserialize)]
struct ScoredJudgement {
    judgement_id: JudgementId,
    response_id: ResponseId,
    prompt_id: PromptId,
    text_digest: String,
}

#[derive(Deserialize)]
struct Said {
    judgement_id: JudgementId,
    response_id: ResponseId,
    prompt_id: PromptId,
    text: String,
    text_digest: String,
}

#[derive(Deserialize)]
struct Score {
    judgement_id: Option<JudgementId>,
    value: Option<f64>,
}

/// The responses to compare judgements of, at most one per prompt, and how many comparisons.
#[derive(Default)]
struct Chosen {
    responses: HashSet<ResponseId>,
    comparisons: u64,
}

/// The players of one tournament.
struct Tournament {
    prompt_id: PromptId,
    prompt: String,
    response_id: ResponseId,
    response: String,
    judgements: Vec<(JudgementId, String)>,
}

impl Stage for MetaJudge {
    fn signature(&self) -> Signature {
        Signature::of("meta_judge", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let drawer = Drawer::open(
            io,
            &self.engine,
            self.sampling,
            (&self.template_arguments, &self.thinking),
        )?;
        let chosen = self.choose(io)?;
        let total = chosen.comparisons;
        let tournaments = tournaments(io, chosen.responses)?;
        let comparisons = tournaments.flat_map(|tournament| match tournament {
            Err(error) => vec![Err(error)],
            Ok(tournament) => {
                let (players, tournament) = (tournament.judgements.len(), Arc::new(tournament));
                let both = (0..players).flat_map(|a| (0..players).map(move |b| (a, b)));
                let both = both.filter(|(a, b)| a != b);
                both.map(|(first, second)| {
                    Ok(Comparison { tournament: Arc::clone(&tournament), first, second })
                })
                .collect()
            }
        });
        drawer.draw(io, self, (total, 1), comparisons)
    }
}

/// Two judgements of a tournament, in an order.
pub(super) struct Comparison {
    tournament: Arc<Tournament>,
    first: usize,
    second: usize,
}

impl Drawing for MetaJudge {
    type Unit = Comparison;
    type Row = MetaJudgement;

    fn choices(&self) -> Option<&Choices> {
        self.choices.as_ref()
    }

    fn draft(
        &self,
        drawer: &Drawer,
        compared: &Comparison,
    ) -> Result<Draft<MetaJudgementId>, StageError> {
        let Tournament { prompt, response, judgements, .. } = &*compared.tournament;
        let (first, second) = (&judgements[compared.first], &judgements[compared.second]);
        let texts = [&first.1, &second.1].map(|text| self.shown(text));
        let texts = texts.each_ref().map(|text| &**text);
        let messages = self.template.meta_judge(prompt, response, texts)?;
        let id = drawer.id_of(&first.0).and(second.0.clone()).and(self.template.digest());
        let id = if self.strip_scores { id.and("without scores") } else { id };
        let id = Choices::name(self.choices.as_ref(), id);
        Ok(Draft::Asked(messages, vec![id.finish()]))
    }

    fn row(
        &self,
        Comparison { tournament, first, second }: &Comparison,
        _: usize,
        meta_judgement_id: MetaJudgementId,
        drawn: Drawn,
    ) -> Result<MetaJudgement, StageError> {
        Ok(MetaJudgement {
            meta_judgement_id,
            prompt_id: tournament.prompt_id.clone(),
            response_id: tournament.response_id.clone(),
            first_judgement_id: tournament.judgements[*first].0.clone(),
            second_judgement_id: tournament.judgements[*second].0.clone(),
            weighed: drawn.weighed.clone(),
            ..drawn.into()
        })
    }

    fn watch(&self, live: &mut Live, drawn: &Drawn) -> Vec<Figure> {
        let verdict = self.rule.explain(&drawn.text, drawn.finish_reason, &self.thinking).verdict;
        live.read(drawn, verdict);
        live.winners()
    }
}

impl MetaJudge {
    /// A judgement as the meta-judge sees it.
    fn shown<'t>(&self, judgement: &'t str) -> Cow<'t, str> {
        match &self.scores {
            _ if !self.strip_scores => Cow::Borrowed(judgement),
            Some(rule) => rule.strip(judgement),
            None => Rule::from(BuiltIn::Score).strip(judgement),
        }
    }
}

impl MetaJudge {
    /// Takes, per prompt, the response whose scores vary most; ties by a seeded draw.
    fn choose(&self, io: &Io<'_>) -> Result<Chosen, StageError> {
        let belongs =
            |j: &ScoredJudgement, r: &Score| r.judgement_id.as_ref() == Some(&j.judgement_id);
        let judgements = io.rows::<ScoredJudgement>("judgements")?;
        let scored = zip_rows("readings", judgements, io.rows::<Score>("readings")?, belongs);
        let mut chosen = Chosen::default();
        for prompt in groups(scored, |(judgement, _)| judgement.prompt_id.clone()) {
            let (_, rows) = prompt?;
            let mut scores: Vec<(ResponseId, Vec<f64>, HashSet<String>)> = Vec::new();
            for (judgement, score) in rows {
                let Some(value) = score.value else { continue };
                if scores.last().is_none_or(|last| last.0 != judgement.response_id) {
                    scores.push((judgement.response_id, Vec::new(), HashSet::new()));
                }
                if let Some((_, values, texts)) = scores.last_mut() {
                    values.push(value);
                    texts.insert(judgement.text_digest);
                }
            }
            if let Some((response_id, players)) = self.most_varied(scores) {
                chosen.responses.insert(response_id);
                chosen.comparisons += players * players.saturating_sub(1);
            }
        }
        Ok(chosen)
    }

    fn most_varied(
        &self,
        scores: Vec<(ResponseId, Vec<f64>, HashSet<String>)>,
    ) -> Option<(ResponseId, u64)> {
        let varied =
            scores.into_iter().map(|(id, values, texts)| (mean_and_variance(&values).1, id, texts));
        let varied: Vec<_> = varied.filter(|(variance, ..)| *variance > TIE).collect();
        let most = varied.iter().map(|(variance, ..)| *variance).fold(0.0, f64::max);
        let tied = varied.into_iter().filter(|(variance, ..)| most - variance <= TIE);
        let lot = |id: &ResponseId| Digest::of(format!("{}\n{id}", self.sampling.seed).as_bytes());
        let (_, id, texts) = tied.min_by_key(|(_, id, _)| lot(id))?;
        Some((id, texts.len() as u64))
    }
}

/// Streams the tournaments of the chosen responses, in the order of the judgements.
fn tournaments(
    io: &Io<'_>,
    chosen: HashSet<ResponseId>,
) -> Result<impl Iterator<Item = Result<Tournament, StageError>> + use<>, StageError> {
    let belongs = |j: &Said, r: &Score| r.judgement_id.as_ref() == Some(&j.judgement_id);
    let judgements = io.rows::<Said>("judgements")?;
    let said = zip_rows("readings", judgements, io.rows::<Score>("readings")?, belongs);
    let said = groups(said, |(judgement, _)| judgement.response_id.clone());
    let prompts = groups(io.rows::<AskedPrompt>("prompts")?, |row| row.prompt_id.clone());
    let mut prompts = InStep::new("prompts", prompts);
    let responses = groups(io.rows::<JudgedResponse>("responses")?, |row| row.prompt_id.clone());
    let mut responses = InStep::new("responses", responses);
    Ok(said.filter_map(move |group| {
        let (response_id, rows) = match group {
            Ok(group) => group,
            Err(error) => return Some(Err(error)),
        };
        if !chosen.contains(&response_id) {
            return None;
        }
        Some(tournament(response_id, rows, &mut prompts, &mut responses))
    }))
}

fn tournament<P, R>(
    response_id: ResponseId,
    rows: Vec<(Said, Score)>,
    prompts: &mut InStep<P, PromptId, AskedPrompt>,
    responses: &mut InStep<R, PromptId, JudgedResponse>,
) -> Result<Tournament, StageError>
where
    P: Iterator<Item = Result<(PromptId, Vec<AskedPrompt>), StageError>>,
    R: Iterator<Item = Result<(PromptId, Vec<JudgedResponse>), StageError>>,
{
    let prompt_id = rows[0].0.prompt_id.clone();
    let prompt = prompts.take(&prompt_id)?.remove(0).prompt;
    let answers: HashMap<ResponseId, String> =
        responses.take(&prompt_id)?.into_iter().map(|a| (a.response_id, a.text)).collect();
    let response = answers.get(&response_id).cloned().ok_or_else(|| super::align::OutOfStep {
        table: "responses",
        at: response_id.to_string(),
    })?;
    let mut seen = HashSet::new();
    let valid = rows.into_iter().filter(|(_, score)| score.value.is_some());
    let judgements = valid
        .filter(|(judgement, _)| seen.insert(judgement.text_digest.clone()))
        .map(|(judgement, _)| (judgement.judgement_id, judgement.text))
        .collect();
    Ok(Tournament { prompt_id, prompt, response_id, response, judgements })
}
