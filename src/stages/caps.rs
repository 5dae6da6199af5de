//! Caps on judge pairs: too many of them, or too many that prefer one score, teach a judge to give that
//! score to everything.

use std::collections::{BTreeMap, HashMap};

use crate::records::{self, PairId, Reason, Role};
use crate::store::Digest;

/// A pair, and the score that its chosen judgement gives.
pub(super) struct Built {
    pub(super) pair: records::Pair,
    pub(super) score: Option<f64>,
}

/// The pairs that are dropped for being too many.
#[derive(Default)]
pub(super) struct Caps {
    actor_pairs: usize,
    /// Kept judge pairs by the score of the chosen judgement, each with its lot.
    by_score: BTreeMap<i64, Vec<(Digest, PairId)>>,
    dropped: HashMap<PairId, Reason>,
}

/// The most that a share of `n` may be.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count"
)]
fn share_of(n: usize, share: f64) -> usize {
    (n as f64 * share + 1e-9) as usize
}

impl Caps {
    /// Takes note of a pair that is kept for what it is.
    pub(super) fn count(&mut self, built: &Built, lot: impl Fn(&records::Pair) -> Digest) {
        let Built { pair, score } = built;
        match (pair.kept, pair.role) {
            (false, _) => {}
            (true, Role::Actor) => self.actor_pairs += 1,
            (true, Role::Judge) => {
                let entry = (lot(pair), pair.pair_id.clone());
                self.by_score.entry(class(*score)).or_default().push(entry);
            }
        }
    }

    /// Draws those that are too many: first of a score, then of all.
    pub(super) fn draw(&mut self, max_share: Option<f64>, max_share_per_score: Option<f64>) {
        let pairs: usize = self.by_score.values().map(Vec::len).sum();
        let mut left: Vec<(Digest, PairId)> = Vec::new();
        for mut of_score in std::mem::take(&mut self.by_score).into_values() {
            of_score.sort_unstable();
            let most = max_share_per_score.map_or(pairs, |share| share_of(pairs, share).max(1));
            let too_many = of_score.split_off(most.min(of_score.len()));
            self.drop(too_many, Reason::TooManyOfScore);
            left.append(&mut of_score);
        }
        left.sort_unstable();
        // j of j + a pairs are at most a share s where j is at most a·s / (1 − s).
        let most = match max_share {
            Some(share) if share < 1.0 => share_of(self.actor_pairs, share / (1.0 - share)),
            _ => left.len(),
        };
        let too_many = left.split_off(most.min(left.len()));
        self.drop(too_many, Reason::TooManyJudgePairs);
    }

    fn drop(&mut self, pairs: Vec<(Digest, PairId)>, reason: Reason) {
        self.dropped.extend(pairs.into_iter().map(|(_, pair_id)| (pair_id, reason)));
    }

    /// Says of a pair that it is dropped, where it is.
    pub(super) fn apply(&self, pair: records::Pair) -> records::Pair {
        match self.dropped.get(&pair.pair_id) {
            Some(reason) => records::Pair { kept: false, reason: Some(*reason), ..pair },
            None => pair,
        }
    }
}

/// Scores that round to the same hundredth are the same.
#[expect(clippy::cast_possible_truncation, reason = "scores are small")]
fn class(score: Option<f64>) -> i64 {
    score.map_or(-1, |score| (score * 100.0).round() as i64)
}
