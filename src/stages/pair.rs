//! `pair`: preference pairs of actor and judge, each kept or dropped with its reason
//! (Meta-Rewarding, sections 2.1 to 2.3).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Template;
use super::align::{InStep, groups, zip_rows};
use super::caps::{Built, Caps};
use super::numbers::mean_and_variance;
use crate::records::{self, FinishReason, Message, Rating, Reason, Role, RowId};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::store::{self, Digest};

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

/// How pairs of responses are built: the length control of section 2.1.
#[derive(Debug, Clone, Serialize)]
pub struct ActorPairs {
    /// ρ, 0 to 1: how far below the best score a shorter response may still be chosen.
    pub rho: f64,
    /// Pairs whose chosen response has more characters are dropped.
    pub max_chosen_chars: Option<u64>,
    /// Who is taken of those that score the same, where ρ is 0.
    pub ties: Ties,
    /// What becomes of a prompt whose responses all score the same.
    pub equal_scores: EqualScores,
}

/// Which response is taken of several with the best score, and with the worst, where ρ is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// The shortest of the best, the longest of the worst.
    #[default]
    Length,
    /// Those whose scores vary least from draw to draw.
    Variance,
    /// A seeded draw.
    Random,
}

/// What becomes of a prompt whose responses all score the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EqualScores {
    /// There is no pair (Self-Rewarding, section 2.3).
    #[default]
    Discard,
    /// The shortest is preferred to the longest.
    ByLength,
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
    /// judgements without a score do not lack variance.
    const VERSION: u32 = 3;
}

/// Scores are means of a few small numbers: edges and ties hold up to this.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct PromptRow {
    prompt_id: String,
    prompt: String,
    messages: Vec<Message>,
}

#[derive(Debug, Clone, Deserialize)]
struct ResponseRow {
    response_id: String,
    prompt_id: String,
    text: String,
    finish_reason: FinishReason,
}

#[derive(Deserialize)]
struct JudgementRow {
    judgement_id: String,
    prompt_id: String,
    response_id: String,
    text: String,
}

#[derive(Deserialize)]
struct ReadingRow {
    judgement_id: Option<String>,
    value: Option<f64>,
}

/// A response and the mean of its valid scores.
#[derive(Debug, Clone)]
struct ScoredResponse {
    response: ResponseRow,
    score: f64,
    variance: f64,
    chars: usize,
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
                caps.count(&built?, |pair| self.lot(&pair.pair_id));
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

    /// Breaks ties: the same draw for the same row, whatever stands beside it.
    fn lot(&self, id: &str) -> Digest {
        Digest::of(format!("{}\n{id}", self.seed).as_bytes())
    }

    fn actor_pair(&self, of: &Candidates) -> records::Pair {
        let scored = scores_of(of);
        let messages = of.prompt.messages.clone();
        let mut pair = empty_pair(&of.prompt.prompt_id, Role::Actor, messages);
        let picked = match self.pick(&scored, &of.responses) {
            Ok((chosen, rejected)) => {
                pair.chosen_response_id = Some(chosen.response.response_id.clone());
                pair.rejected_response_id = Some(rejected.response.response_id.clone());
                pair.score_chosen = Some(chosen.score);
                pair.score_rejected = Some(rejected.score);
                pair.chosen = Some(chosen.response.text.clone());
                pair.rejected = Some(rejected.response.text.clone());
                too_long(chosen.chars, self.actor.max_chosen_chars)
            }
            Err(reason) => Some(reason),
        };
        finish_pair(pair, picked)
    }

    /// Chooses the shortest response of the upper tier and the longest of the lower one.
    fn pick<'s>(
        &self,
        scored: &'s [ScoredResponse],
        all: &[ResponseRow],
    ) -> Result<(&'s ScoredResponse, &'s ScoredResponse), Reason> {
        if scored.len() < 2 {
            let one_text = all.len() > 1 && all.iter().all(|row| row.text == all[0].text);
            let told = one_text && scored.len() == 1;
            return Err(if told { Reason::EqualTexts } else { Reason::NoValidScore });
        }
        let highest = scored.iter().map(|s| s.score).fold(f64::NEG_INFINITY, f64::max);
        let lowest = scored.iter().map(|s| s.score).fold(f64::INFINITY, f64::min);
        let ActorPairs { rho, ties, equal_scores, .. } = self.actor;
        let all_equal = highest - lowest <= TOLERANCE;
        if all_equal && equal_scores == EqualScores::Discard {
            return Err(Reason::EqualScores);
        }
        let ties = if rho == 0.0 && !all_equal { ties } else { Ties::Length };
        let upper = (1.0 - rho).mul_add(highest, rho * lowest) - TOLERANCE;
        let lower = (1.0 - rho).mul_add(lowest, rho * highest) + TOLERANCE;
        let lot = |s: &ScoredResponse| self.lot(&s.response.response_id);
        let by_length = |s: &&ScoredResponse| if ties == Ties::Length { s.chars } else { 0 };
        let by_variance = |a: &&ScoredResponse, b: &&ScoredResponse| match ties {
            Ties::Variance => a.variance.total_cmp(&b.variance),
            Ties::Length | Ties::Random => std::cmp::Ordering::Equal,
        };
        let chosen = scored.iter().filter(|s| s.score >= upper).min_by(|a, b| {
            by_length(a).cmp(&by_length(b)).then(by_variance(a, b)).then(lot(a).cmp(&lot(b)))
        });
        let rejected = scored.iter().filter(|s| s.score <= lower).min_by(|a, b| {
            by_length(b).cmp(&by_length(a)).then(by_variance(a, b)).then(lot(a).cmp(&lot(b)))
        });
        match (chosen, rejected) {
            // ρ of a half and more lets the tiers overlap: the chosen one must still be better.
            (Some(chosen), Some(rejected))
                if chosen.score > rejected.score + TOLERANCE
                    || (all_equal && chosen.chars < rejected.chars) =>
            {
                Ok((chosen, rejected))
            }
            _ if all_equal => Err(Reason::EqualScores),
            _ => Err(Reason::NotBetter),
        }
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
            let lots = || self.lot(&b.judgement_id).cmp(&self.lot(&a.judgement_id));
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
        let texts: HashMap<&str, &str> =
            of.judged.iter().map(|(j, _)| (j.judgement_id.as_str(), j.text.as_str())).collect();
        let text =
            |rating: &Rating| texts.get(rating.judgement_id.as_str()).map(|t| (*t).to_owned());
        pair.chosen_judgement_id = Some(chosen.judgement_id.clone());
        pair.rejected_judgement_id = Some(rejected.judgement_id.clone());
        pair.score_chosen = Some(chosen.strength);
        pair.score_rejected = Some(rejected.strength);
        (pair.chosen, pair.rejected) = (text(chosen), text(rejected));
        let chars = pair.chosen.as_ref().map_or(0, |text| text.chars().count());
        Ok(finish_pair(pair, too_long(chars, judge.max_chosen_chars)))
    }
}

/// The judged responses of a prompt that have a valid score; equal texts were judged once.
fn scores_of(of: &Candidates) -> Vec<ScoredResponse> {
    let mut scores: HashMap<&str, Vec<f64>> = HashMap::new();
    for (judged, score) in &of.judged {
        if let Some(value) = score.value {
            scores.entry(judged.response_id.as_str()).or_default().push(value);
        }
    }
    let scored = of.responses.iter().filter_map(|response| {
        let scores = scores.get(response.response_id.as_str())?;
        let (mean, variance) = mean_and_variance(scores);
        let chars = response.text.chars().count();
        Some(ScoredResponse { response: response.clone(), score: mean, variance, chars })
    });
    scored.collect()
}

fn too_long(chars: usize, most: Option<u64>) -> Option<Reason> {
    most.is_some_and(|most| chars as u64 > most).then_some(Reason::ChosenTooLong)
}

fn empty_pair(prompt_id: &str, role: Role, messages: Vec<Message>) -> records::Pair {
    records::Pair {
        pair_id: String::new(),
        prompt_id: prompt_id.to_owned(),
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
    }
}

/// Names the pair by what it is made of, and says whether it is kept.
fn finish_pair(pair: records::Pair, reason: Option<Reason>) -> records::Pair {
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
        .finish('d');
    records::Pair { pair_id, kept: reason.is_none(), reason, ..pair }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(rho: f64) -> Pair {
        let (ties, equal_scores) = (Ties::Length, EqualScores::Discard);
        let actor = ActorPairs { rho, max_chosen_chars: None, ties, equal_scores };
        Pair { actor, judge: None, seed: 0 }
    }

    fn scored(responses: &[(&str, f64)]) -> Vec<ScoredResponse> {
        let one = |&(text, score): &(&str, f64)| ScoredResponse {
            response: ResponseRow {
                response_id: format!("r_{text}"),
                prompt_id: "p".to_owned(),
                text: text.to_owned(),
                finish_reason: FinishReason::Stop,
            },
            score,
            variance: 0.0,
            chars: text.chars().count(),
        };
        responses.iter().map(one).collect()
    }

    fn rows(scored: &[ScoredResponse]) -> Vec<ResponseRow> {
        scored.iter().map(|one| one.response.clone()).collect()
    }

    fn pick(rho: f64, responses: &[(&str, f64)]) -> Result<(String, String), Reason> {
        let scored = scored(responses);
        let picked = stage(rho).pick(&scored, &rows(&scored));
        picked.map(|(c, r)| (c.response.text.clone(), r.response.text.clone()))
    }

    #[test]
    fn the_tiers_are_those_of_the_worked_example() {
        // S_max 5, S_min 2, rho 0.32: chosen tier [4.04, 5], rejected tier [2, 2.96].
        let responses =
            [("best but long", 5.0), ("good", 4.04), ("bad and so long", 2.96), ("bad", 2.0)];
        let (chosen, rejected) = pick(0.32, &responses).unwrap();
        assert_eq!((chosen.as_str(), rejected.as_str()), ("good", "bad and so long"));
        let (chosen, rejected) = pick(0.0, &responses).unwrap();
        assert_eq!((chosen.as_str(), rejected.as_str()), ("best but long", "bad"));
        let outside =
            [("best but long", 5.0), ("good", 4.03), ("bad and so long", 2.97), ("bad", 2.0)];
        let (chosen, rejected) = pick(0.32, &outside).unwrap();
        assert_eq!((chosen.as_str(), rejected.as_str()), ("best but long", "bad"));
    }

    #[test]
    fn what_cannot_be_told_apart_is_no_pair() {
        assert_eq!(pick(0.0, &[]), Err(Reason::NoValidScore));
        assert_eq!(pick(0.0, &[("a", 3.0)]), Err(Reason::NoValidScore));
        assert_eq!(pick(0.0, &[("a", 3.0), ("bb", 3.0)]), Err(Reason::EqualScores));
        assert_eq!(pick(1.0, &[("a", 2.0), ("bb", 3.0)]), Err(Reason::NotBetter), "tiers cross");
    }

    #[test]
    fn one_score_of_several_texts_is_too_few_and_one_text_is_no_choice() {
        let read = scored(&[("a", 3.0)]);
        let of_texts = |texts: &[&str]| {
            let all: Vec<(&str, f64)> = texts.iter().map(|text| (*text, 0.0)).collect();
            stage(0.0).pick(&read, &rows(&scored(&all))).unwrap_err()
        };
        assert_eq!(of_texts(&["a", "b", "c", "d", "e", "f", "g"]), Reason::NoValidScore);
        assert_eq!(of_texts(&["a", "a", "a", "a", "a", "a", "a"]), Reason::EqualTexts);
        let unread = stage(0.0).pick(&[], &rows(&scored(&[("a", 0.0), ("a", 0.0)])));
        assert_eq!(unread.unwrap_err(), Reason::NoValidScore);
    }

    #[test]
    fn ties_and_equal_scores_go_as_the_file_says() {
        let picked = |stage: &Pair, scored: &[ScoredResponse]| {
            let picked = stage.pick(scored, &rows(scored));
            picked.map(|(chosen, rejected)| {
                [&chosen.response.text, &rejected.response.text].map(Clone::clone)
            })
        };
        let mut ties = scored(&[("a", 5.0), ("bbb", 5.0), ("cc", 1.0), ("d", 1.0)]);
        ties[0].variance = 2.0;
        ties[2].variance = 1.0;
        let mut pair = stage(0.0);
        assert_eq!(picked(&pair, &ties).unwrap(), ["a", "cc"], "shortest and longest");
        pair.actor.ties = Ties::Variance;
        assert_eq!(picked(&pair, &ties).unwrap(), ["bbb", "d"], "those that vary least");
        pair.actor.ties = Ties::Random;
        let seeds = (0..50).map(|seed| picked(&Pair { seed, ..pair.clone() }, &ties).unwrap());
        assert_eq!(seeds.collect::<std::collections::HashSet<_>>().len(), 4, "any of them");
        let equal = scored(&[("a", 3.0), ("bbb", 3.0)]);
        assert_eq!(picked(&pair, &equal), Err(Reason::EqualScores));
        pair.actor.equal_scores = EqualScores::ByLength;
        assert_eq!(picked(&pair, &equal).unwrap(), ["a", "bbb"], "the shorter one");
        let same_length = scored(&[("a", 3.0), ("b", 3.0)]);
        assert_eq!(picked(&pair, &same_length), Err(Reason::EqualScores));
    }

    #[test]
    fn equal_lengths_are_broken_by_the_same_lot_whatever_the_order() {
        let one = pick(0.0, &[("aa", 5.0), ("bb", 5.0), ("cc", 1.0), ("dd", 1.0)]);
        let two = pick(0.0, &[("dd", 1.0), ("bb", 5.0), ("cc", 1.0), ("aa", 5.0)]);
        assert_eq!(one, two);
    }
}
