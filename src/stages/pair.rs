//! `pair`: preference pairs of actor and judge, each kept or dropped with its reason
//! (Meta-Rewarding, sections 2.1 to 2.3).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Template;
use super::align::{InStep, groups, zip_rows};
use super::caps::{Built, Caps};
use super::numbers::mean_and_variance;
use super::tiers::{ActorPairs, ResponseRow, ScoredResponse, TOLERANCE, lot};
use crate::records::{
    self, FinishReason, JudgementId, Message, PairId, PromptId, Rating, Reason, ResponseId, Role,
    RowId,
};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::store;

/// Builds pairs: one row per prompt and role.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// How pairs of responses are built.
    pub actor: ActorPairs,
    /// How pairs of judgements are built; `None` where this iteration does not train the judge.
    pub judge: Option<JudgePairs>,
    /// Breaks ties.
    pub seed: u64,
}

/// How pairs of judgements are built.
#[derive(Debug, Clone, Serialize)]
pub struct JudgePairs {
    /// The judge's prompt: what both judgements answer.
    pub template: Template,
    /// Pairs whose chosen judgement has more characters are dropped.
    pub max_chosen_chars: Option<u64>,
    /// The share of all kept pairs that may be of judgements, 0 to 1: a seeded draw drops the rest.
    pub max_share: Option<f64>,
    /// The share of the judge pairs there would be that may prefer one and the same score, 0 to 1; one
    /// pair of each score is always left.
    pub max_share_per_score: Option<f64>,
}

impl Pair {
    /// 1: the first. 2: ties, equal scores and caps may be set. 3: reasons are those that hold: several
    /// texts of which one has a score are not equal texts, tiers that cross are not equal scores, and
    /// judgements without a score do not lack variance. 4: pairs carry the ids that were drawn; an answer
    /// that the token limit cut is not chosen; sides of equal ids are no pair; verdicts that were
    /// weighed count as what they come to.
    const VERSION: u32 = 4;
}

#[derive(Deserialize)]
struct PromptRow {
    prompt_id: PromptId,
    prompt: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct JudgementRow {
    judgement_id: JudgementId,
    prompt_id: PromptId,
    response_id: ResponseId,
    text: String,
    completion_ids: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct ReadingRow {
    judgement_id: Option<JudgementId>,
    value: Option<f64>,
    soft_value: Option<f64>,
}

impl Stage for Pair {
    fn signature(&self) -> Signature {
        Signature::of("pair", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let judge = self.judge.as_ref();
        let capped = judge.is_some_and(|j| j.max_share.or(j.max_share_per_score).is_some());
        // Which pairs are too many is known once all are built: then they are built again.
        let mut caps = Caps::default();
        if let Some(judge) = judge.filter(|_| capped) {
            for built in self.built(io)? {
                caps.count(&built?, |pair| lot(self.seed, &pair.pair_id));
            }
            caps.draw(judge.max_share, judge.max_share_per_score);
        }
        let pairs = self.built(io)?;
        io.write(pairs.map(|built| built.map(|Built { pair, .. }| caps.apply(pair))))
    }
}

impl Pair {
    /// Streams the pairs of every prompt, kept or dropped for what they are.
    fn built<'s>(
        &'s self,
        io: &Io<'_>,
    ) -> Result<impl Iterator<Item = Result<Built, StageError>> + use<'s>, StageError> {
        let belongs =
            |j: &JudgementRow, s: &ReadingRow| s.judgement_id.as_ref() == Some(&j.judgement_id);
        let judged = io.rows::<JudgementRow>("judgements")?;
        let judged = zip_rows("readings", judged, io.rows::<ReadingRow>("readings")?, belongs);
        let mut judged = InStep::new("judgements", groups(judged, |(j, _)| j.prompt_id.clone()));
        let responses = groups(io.rows::<ResponseRow>("responses")?, |row| row.prompt_id.clone());
        let mut responses = InStep::new("responses", responses);
        let ratings = match &self.judge {
            Some(_) => Some(io.rows::<Rating>("ratings")?),
            None => None,
        };
        let ratings = groups(ratings.into_iter().flatten(), |row| row.prompt_id.clone());
        let mut ratings = InStep::new("ratings", ratings);
        let prompts = io.rows::<PromptRow>("prompts")?;
        let mut candidates_of = move |prompt: Result<PromptRow, store::Error>| {
            let prompt = prompt?;
            let id = &prompt.prompt_id;
            Ok::<_, StageError>(Candidates {
                judged: judged.take_if(id)?,
                responses: answered(responses.take(id)?),
                ratings: ratings.take_if(id)?,
                prompt,
            })
        };
        Ok(prompts.flat_map(move |prompt| {
            match candidates_of(prompt).and_then(|of| self.pairs_of(&of)) {
                Ok(pairs) => pairs.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        }))
    }
}

/// What was answered at all: a refused prompt has no text that could be chosen.
fn answered(mut responses: Vec<ResponseRow>) -> Vec<ResponseRow> {
    responses.retain(|response| response.finish_reason != FinishReason::Refused);
    responses
}

/// All that is known of one prompt.
struct Candidates {
    prompt: PromptRow,
    responses: Vec<ResponseRow>,
    judged: Vec<(JudgementRow, ReadingRow)>,
    ratings: Vec<Rating>,
}

impl Pair {
    fn pairs_of(&self, of: &Candidates) -> Result<Vec<Built>, StageError> {
        let mut pairs = vec![Built { pair: self.actor_pair(of), score: None }];
        if let Some(judge) = &self.judge {
            let pair = self.judge_pair(judge, of)?;
            let chosen = pair.chosen_judgement_id.as_ref();
            let chosen = of.judged.iter().find(|(j, _)| Some(&j.judgement_id) == chosen);
            pairs.push(Built { pair, score: chosen.and_then(|(_, score)| score.value) });
        }
        Ok(pairs)
    }

    fn actor_pair(&self, of: &Candidates) -> records::Pair {
        let scored = scores_of(of);
        let messages = of.prompt.messages.clone();
        let mut pair = empty_pair(&of.prompt.prompt_id, Role::Actor, messages);
        let picked = match self.actor.pick(&scored, &of.responses, self.seed) {
            Ok((chosen, rejected)) => {
                pair.chosen_response_id = Some(chosen.response.response_id.clone());
                pair.rejected_response_id = Some(rejected.response.response_id.clone());
                pair.score_chosen = Some(chosen.score);
                pair.score_rejected = Some(rejected.score);
                pair.chosen = Some(chosen.response.text.clone());
                pair.rejected = Some(rejected.response.text.clone());
                pair.chosen_ids.clone_from(&chosen.response.completion_ids);
                pair.rejected_ids.clone_from(&rejected.response.completion_ids);
                too_long(chosen.chars, self.actor.max_chosen_chars)
            }
            Err(reason) => Some(reason),
        };
        finish_pair(pair, picked)
    }

    fn judge_pair(&self, judge: &JudgePairs, of: &Candidates) -> Result<records::Pair, StageError> {
        let id = &of.prompt.prompt_id;
        let Some(first) = of.ratings.first() else {
            let messages = of.prompt.messages.clone();
            let pair = empty_pair(id, Role::Judge, messages);
            let read = of.judged.iter().any(|(_, reading)| reading.value.is_some());
            let reason = if read { Reason::NoVariance } else { Reason::NoValidScore };
            return Ok(finish_pair(pair, Some(reason)));
        };
        let judged = of.responses.iter().find(|row| row.response_id == first.response_id);
        let response = judged.map_or("", |row| row.text.as_str());
        let asked = judge.template.judge(&of.prompt.prompt, response)?.into_iter();
        let messages = asked.map(|m| Message { role: m.role, content: m.content }).collect();
        let mut pair = empty_pair(id, Role::Judge, messages);
        pair.chosen_response_id = Some(first.response_id.clone());
        let by_strength = |a: &&Rating, b: &&Rating| {
            let lots = || lot(self.seed, &b.judgement_id).cmp(&lot(self.seed, &a.judgement_id));
            if (a.strength - b.strength).abs() <= TOLERANCE {
                lots()
            } else {
                a.strength.total_cmp(&b.strength)
            }
        };
        let chosen = of.ratings.iter().max_by(by_strength).unwrap_or(first);
        let rejected = of.ratings.iter().min_by(by_strength).unwrap_or(first);
        if chosen.strength - rejected.strength <= TOLERANCE {
            return Ok(finish_pair(pair, Some(Reason::NoInformation)));
        }
        let judgement = |rating: &Rating| {
            let mut all = of.judged.iter().map(|(judgement, _)| judgement);
            all.find(|judgement| judgement.judgement_id == rating.judgement_id)
        };
        let sides = [chosen, rejected].map(judgement);
        pair.chosen_judgement_id = Some(chosen.judgement_id.clone());
        pair.rejected_judgement_id = Some(rejected.judgement_id.clone());
        pair.score_chosen = Some(chosen.strength);
        pair.score_rejected = Some(rejected.strength);
        [pair.chosen, pair.rejected] = sides.map(|side| side.map(|side| side.text.clone()));
        [pair.chosen_ids, pair.rejected_ids] =
            sides.map(|side| side.and_then(|side| side.completion_ids.clone()));
        let chars = pair.chosen.as_ref().map_or(0, |text| text.chars().count());
        Ok(finish_pair(pair, too_long(chars, judge.max_chosen_chars)))
    }
}

/// The judged responses of a prompt that have a valid score; equal texts were judged once.
fn scores_of(of: &Candidates) -> Vec<ScoredResponse> {
    let mut scores: HashMap<&ResponseId, Vec<f64>> = HashMap::new();
    for (judged, score) in &of.judged {
        if let Some(value) = score.soft_value.or(score.value) {
            scores.entry(&judged.response_id).or_default().push(value);
        }
    }
    let scored = of.responses.iter().filter_map(|response| {
        let scores = scores.get(&response.response_id)?;
        let (mean, variance) = mean_and_variance(scores);
        let chars = response.text.chars().count();
        Some(ScoredResponse { response: response.clone(), score: mean, variance, chars })
    });
    scored.collect()
}

fn too_long(chars: usize, most: Option<u64>) -> Option<Reason> {
    most.is_some_and(|most| chars as u64 > most).then_some(Reason::ChosenTooLong)
}

fn empty_pair(prompt_id: &PromptId, role: Role, messages: Vec<Message>) -> records::Pair {
    records::Pair {
        pair_id: PairId::default(),
        prompt_id: prompt_id.clone(),
        role,
        kept: false,
        reason: None,
        chosen_response_id: None,
        rejected_response_id: None,
        chosen_judgement_id: None,
        rejected_judgement_id: None,
        score_chosen: None,
        score_rejected: None,
        messages,
        chosen: None,
        rejected: None,
        chosen_ids: None,
        rejected_ids: None,
    }
}

/// Names the pair by what it is made of, and says whether it is kept.
fn finish_pair(pair: records::Pair, reason: Option<Reason>) -> records::Pair {
    let same = pair.chosen_ids.is_some() && pair.chosen_ids == pair.rejected_ids;
    let reason = reason.or(same.then_some(Reason::EqualIds));
    let messages: Vec<_> = pair.messages.iter().map(|m| [&m.role, &m.content]).collect();
    let role = if pair.role == Role::Actor { "actor" } else { "judge" };
    let pair_id = RowId::of(role)
        .and(serde_json::json!(messages))
        .and(serde_json::json!([
            pair.chosen_response_id,
            pair.rejected_response_id,
            pair.chosen_judgement_id,
            pair.rejected_judgement_id,
        ]))
        .and(pair.prompt_id.clone())
        .finish();
    records::Pair { pair_id, kept: reason.is_none(), reason, ..pair }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_of_the_same_tokens_are_no_pair() {
        let of = |chosen: &[u32], rejected: &[u32], reason| {
            let pair = empty_pair(&PromptId::default(), Role::Actor, Vec::new());
            let (chosen_ids, rejected_ids) = (Some(chosen.to_vec()), Some(rejected.to_vec()));
            let pair = finish_pair(records::Pair { chosen_ids, rejected_ids, ..pair }, reason);
            (pair.kept, pair.reason)
        };
        assert_eq!(of(&[5, 6, 2], &[5, 2], None), (true, None));
        assert_eq!(of(&[5, 6, 2], &[5, 6, 2], None), (false, Some(Reason::EqualIds)));
        let longer = Some(Reason::ChosenTooLong);
        assert_eq!(of(&[5, 2], &[5, 2], longer), (false, longer), "the first reason counts");
        let unknown = finish_pair(empty_pair(&PromptId::default(), Role::Actor, Vec::new()), None);
        assert!(unknown.kept, "what is not known is not equal");
    }
}
