//! Which two of a prompt's responses make its preference pair: the best and the worst, or with length
//! control the shortest of the best tier and the longest of the worst (Meta-Rewarding, section 2.1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::records::{FinishReason, Id, PromptId, Reason, ResponseId};
use crate::store::Digest;

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
    /// What becomes of responses that the token limit cut.
    pub cut: Cut,
}

/// Which response is taken of several with the best score, and with the worst, where ρ is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EqualScores {
    /// There is no pair (Self-Rewarding, section 2.3).
    #[default]
    Discard,
    /// The shortest is preferred to the longest.
    ByLength,
}

/// What becomes of responses that the token limit cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// They are never chosen: that would teach to write until the limit. They may be rejected.
    #[default]
    Reject,
    /// They are neither chosen nor rejected.
    Drop,
    /// They are as good as others.
    Keep,
}

/// Scores are means of a few small numbers: edges and ties hold up to this.
pub(super) const TOLERANCE: f64 = 1e-9;

/// A response that was judged.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ResponseRow {
    pub(super) response_id: ResponseId,
    pub(super) prompt_id: PromptId,
    pub(super) text: String,
    pub(super) completion_ids: Option<Vec<u32>>,
    pub(super) finish_reason: FinishReason,
}

/// A response and the mean of its valid scores.
#[derive(Debug, Clone)]
pub(super) struct ScoredResponse {
    pub(super) response: ResponseRow,
    pub(super) score: f64,
    pub(super) variance: f64,
    pub(super) chars: usize,
}

impl ScoredResponse {
    fn is_cut(&self) -> bool {
        self.response.finish_reason == FinishReason::Length
    }
}

/// Breaks ties: the same draw for the same row, whatever stands beside it.
pub(super) fn lot(seed: u64, id: &impl Id) -> Digest {
    Digest::of(format!("{seed}\n{id}").as_bytes())
}

impl ActorPairs {
    /// Chooses the shortest response of the upper tier and the longest of the lower one; `all` are the
    /// responses that were judged, with a score or without.
    pub(super) fn pick<'s>(
        &self,
        scored: &'s [ScoredResponse],
        all: &[ResponseRow],
        seed: u64,
    ) -> Result<(&'s ScoredResponse, &'s ScoredResponse), Reason> {
        if scored.len() < 2 {
            let one_text = all.len() > 1 && all.iter().all(|row| row.text == all[0].text);
            let told = one_text && scored.len() == 1;
            return Err(if told { Reason::EqualTexts } else { Reason::NoValidScore });
        }
        let every: Vec<&ScoredResponse> = scored.iter().collect();
        let uncut: Vec<_> = every.iter().copied().filter(|one| !one.is_cut()).collect();
        let picked = match self.cut {
            Cut::Keep => return self.pick_of(&every, &every, seed),
            Cut::Reject => self.pick_of(&uncut, &every, seed),
            Cut::Drop => self.pick_of(&uncut, &uncut, seed),
        };
        picked.map_err(|reason| match self.pick_of(&every, &every, seed) {
            Ok(_) => Reason::Cut,
            Err(_) => reason,
        })
    }

    fn pick_of<'s>(
        &self,
        choosable: &[&'s ScoredResponse],
        rejectable: &[&'s ScoredResponse],
        seed: u64,
    ) -> Result<(&'s ScoredResponse, &'s ScoredResponse), Reason> {
        let highest = choosable.iter().map(|s| s.score).fold(f64::NEG_INFINITY, f64::max);
        let lowest = rejectable.iter().map(|s| s.score).fold(f64::INFINITY, f64::min);
        let Self { rho, ties, equal_scores, .. } = *self;
        let all_equal = highest - lowest <= TOLERANCE;
        if all_equal && equal_scores == EqualScores::Discard {
            return Err(Reason::EqualScores);
        }
        let ties = if rho == 0.0 && !all_equal { ties } else { Ties::Length };
        let upper = (1.0 - rho).mul_add(highest, rho * lowest) - TOLERANCE;
        let lower = (1.0 - rho).mul_add(lowest, rho * highest) + TOLERANCE;
        let lot_of = |s: &ScoredResponse| lot(seed, &s.response.response_id);
        let by_length = |s: &&ScoredResponse| if ties == Ties::Length { s.chars } else { 0 };
        let by_variance = |a: &&ScoredResponse, b: &&ScoredResponse| match ties {
            Ties::Variance => a.variance.total_cmp(&b.variance),
            Ties::Length | Ties::Random => std::cmp::Ordering::Equal,
        };
        let chosen = choosable.iter().copied().filter(|s| s.score >= upper).min_by(|a, b| {
            by_length(a).cmp(&by_length(b)).then(by_variance(a, b)).then(lot_of(a).cmp(&lot_of(b)))
        });
        let rejected = rejectable.iter().copied().filter(|s| s.score <= lower).min_by(|a, b| {
            by_length(b).cmp(&by_length(a)).then(by_variance(a, b)).then(lot_of(a).cmp(&lot_of(b)))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(rho: f64) -> ActorPairs {
        let (ties, equal_scores, cut) = (Ties::Length, EqualScores::Discard, Cut::Reject);
        ActorPairs { rho, max_chosen_chars: None, ties, equal_scores, cut }
    }

    fn scored(responses: &[(&str, f64)]) -> Vec<ScoredResponse> {
        let one = |&(text, score): &(&str, f64)| ScoredResponse {
            response: ResponseRow {
                response_id: ResponseId::from_text(format!("r_{text}")),
                prompt_id: PromptId::default(),
                text: text.to_owned(),
                completion_ids: None,
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
        let picked = pairs(rho).pick(&scored, &rows(&scored), 0);
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
            pairs(0.0).pick(&read, &rows(&scored(&all)), 0).unwrap_err()
        };
        assert_eq!(of_texts(&["a", "b", "c", "d", "e", "f", "g"]), Reason::NoValidScore);
        assert_eq!(of_texts(&["a", "a", "a", "a", "a", "a", "a"]), Reason::EqualTexts);
        let unread = pairs(0.0).pick(&[], &rows(&scored(&[("a", 0.0), ("a", 0.0)])), 0);
        assert_eq!(unread.unwrap_err(), Reason::NoValidScore);
    }

    #[test]
    fn ties_and_equal_scores_go_as_the_file_says() {
        let seeded = |pair: &ActorPairs, scored: &[ScoredResponse], seed| {
            let picked = pair.pick(scored, &rows(scored), seed);
            picked.map(|(chosen, rejected)| {
                [&chosen.response.text, &rejected.response.text].map(Clone::clone)
            })
        };
        let picked = |pair: &ActorPairs, scored: &[ScoredResponse]| seeded(pair, scored, 0);
        let mut ties = scored(&[("a", 5.0), ("bbb", 5.0), ("cc", 1.0), ("d", 1.0)]);
        ties[0].variance = 2.0;
        ties[2].variance = 1.0;
        let mut pair = pairs(0.0);
        assert_eq!(picked(&pair, &ties).unwrap(), ["a", "cc"], "shortest and longest");
        pair.ties = Ties::Variance;
        assert_eq!(picked(&pair, &ties).unwrap(), ["bbb", "d"], "those that vary least");
        pair.ties = Ties::Random;
        let seeds = (0..50).map(|seed| seeded(&pair, &ties, seed).unwrap());
        assert_eq!(seeds.collect::<std::collections::HashSet<_>>().len(), 4, "any of them");
        let equal = scored(&[("a", 3.0), ("bbb", 3.0)]);
        assert_eq!(picked(&pair, &equal), Err(Reason::EqualScores));
        pair.equal_scores = EqualScores::ByLength;
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

    #[test]
    fn what_the_token_limit_cut_is_not_chosen() {
        let mut all = scored(&[("the best, but cu", 5.0), ("good", 4.0), ("bad", 2.0)]);
        all[0].response.finish_reason = FinishReason::Length;
        let texts = |cut: Cut, all: &[ScoredResponse]| {
            let picked = ActorPairs { cut, ..pairs(0.0) }.pick(all, &rows(all), 0);
            picked.map(|(c, r)| (c.response.text.clone(), r.response.text.clone()))
        };
        let pair = |chosen: &str, rejected: &str| Ok((chosen.to_owned(), rejected.to_owned()));
        assert_eq!(texts(Cut::Keep, &all), pair("the best, but cu", "bad"));
        assert_eq!(texts(Cut::Reject, &all), pair("good", "bad"));
        all[2].response.finish_reason = FinishReason::Length;
        assert_eq!(texts(Cut::Reject, &all), pair("good", "bad"), "it may be rejected");
        assert_eq!(texts(Cut::Drop, &all), Err(Reason::Cut));
        all[1].response.finish_reason = FinishReason::Length;
        assert_eq!(texts(Cut::Reject, &all), Err(Reason::Cut));
        assert_eq!(texts(Cut::Keep, &all), pair("the best, but cu", "bad"));
        let equal = scored(&[("a", 3.0), ("bb", 3.0)]);
        assert_eq!(texts(Cut::Reject, &equal), Err(Reason::EqualScores), "nothing was cut");
    }
}
