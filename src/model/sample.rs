//! From logits to a token: penalty, temperature, top-k, top-p, min-p, and a draw, in the order in
//! which transformers applies them.
//!
//! No vocabulary is sorted: where nothing is cut, a token is found by the sums of stretches of it; where
//! something is, a threshold leaves the few that may be drawn, and these are ranked.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Decoding;
use super::ops::{STRETCH, Weighed, exp_sum};

/// A token drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drawn {
    pub(super) token: u32,
    /// Its log-probability under the model itself, before temperature and cuts, in nats.
    pub(super) logprob: f64,
}

/// Draws the token number `step` of a text. The number is drawn from the seed and the step alone:
/// nothing is carried from token to token, but the room to work in.
pub(super) fn draw(
    logits: &[f32],
    seen: &[&[u32]],
    decoding: &Decoding,
    (seed, step): (u64, usize),
    room: &mut Weighed,
) -> Drawn {
    let penalised = decoding.repetition_penalty.map(|penalty| {
        let mut logits = logits.to_vec();
        penalise(&mut logits, seen, penalty);
        logits
    });
    let heard = penalised.as_deref().unwrap_or(logits);
    let token = if decoding.temperature == 0.0 {
        likeliest(heard)
    } else {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_word_pos(2 * step as u128);
        #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
        room.weigh(heard, decoding.temperature.recip() as f32);
        pick(room, decoding, generator.random()).unwrap_or_else(|| likeliest(heard))
    };
    let (most, sum) = exp_sum(logits);
    Drawn { token, logprob: f64::from(logits[token as usize] - most) - sum.ln() }
}

/// The largest logit's id, the lowest of equals.
fn likeliest(logits: &[f32]) -> u32 {
    let (most, _) = exp_sum(logits);
    id_of(logits.iter().position(|logit| *logit >= most).unwrap_or(0))
}

/// Keskar et al. (2019): what was read or drawn before is divided by the penalty, multiplied where
/// it is negative.
fn penalise(logits: &mut [f32], seen: &[&[u32]], penalty: f64) {
    let mut ids: Vec<u32> = seen.iter().flat_map(|tokens| tokens.iter().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
    let penalty = penalty as f32;
    for id in ids {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
        }
    }
}

/// Picks at `share`, in `[0, 1)`, of what the cuts leave; nothing where no weight is a number.
fn pick(weighed: &Weighed, decoding: &Decoding, share: f64) -> Option<u32> {
    if decoding.top_p < 1.0 || decoding.top_k.is_some() || decoding.min_p > 0.0 {
        return pick_of_few(weighed, decoding, share);
    }
    let mut left = share * weighed.total();
    let stretch = weighed.sums.iter().position(|sum| {
        let here = left < *sum;
        left -= if here { 0.0 } else { *sum };
        here
    });
    // Sums of sums round, so that the last may be passed.
    let stretch = stretch.or_else(|| weighed.sums.iter().rposition(|sum| *sum > 0.0))?;
    let first = stretch * STRETCH;
    let weights = &weighed.weights[first..weighed.weights.len().min(first + STRETCH)];
    let within = weights.iter().position(|weight| {
        left -= f64::from(*weight);
        left < 0.0
    });
    within.or_else(|| weights.iter().rposition(|weight| *weight > 0.0)).map(|at| id_of(first + at))
}

/// Picks of those that the cuts leave, counted from the likeliest on.
fn pick_of_few(weighed: &Weighed, decoding: &Decoding, share: f64) -> Option<u32> {
    let mut ranked = above(weighed, floor(weighed, decoding));
    let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    ranked.sort_unstable_by(order);
    if let Some(k) = decoding.top_k {
        ranked.truncate((k as usize).max(1));
    }
    let sum =
        |ranked: &[(f32, u32)]| ranked.iter().map(|(weight, _)| f64::from(*weight)).sum::<f64>();
    // What a threshold left out counts, but where a cut before this one left it out.
    let all = if decoding.top_k.is_some() || decoding.min_p > 0.0 {
        sum(&ranked)
    } else {
        weighed.total()
    };
    let mut reached = 0.0;
    let last = ranked.iter().position(|(weight, _)| {
        reached += f64::from(*weight);
        reached >= decoding.top_p * all
    });
    ranked.truncate(last.map_or(ranked.len(), |last| last + 1));
    let mut left = share * sum(&ranked);
    let drawn = ranked.iter().find(|(weight, _)| {
        left -= f64::from(*weight);
        left < 0.0
    });
    drawn.or(ranked.last()).map(|(_, id)| *id)
}

/// A weight below which no token is drawn.
fn floor(weighed: &Weighed, decoding: &Decoding) -> f32 {
    // The likeliest weighs exactly 1.
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let least = decoding.min_p as f32;
    if let Some(k) = decoding.top_k {
        // Of each stretch one weighs as much as its largest, so k of them weigh at least this.
        let mut most = weighed.most.clone();
        let Some(place) = (k as usize).max(1).checked_sub(1).filter(|k| *k < most.len()) else {
            return least;
        };
        let (_, kth, _) = most.select_nth_unstable_by(place, |a, b| b.total_cmp(a));
        return least.max(*kth);
    }
    if least > 0.0 {
        return least;
    }
    // All below it together weigh less than what top-p leaves out.
    let tail = (1.0 - decoding.top_p) * weighed.total() / weighed.weights.len().max(1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let tail = (tail * (1.0 - 1e-3)) as f32;
    tail
}

/// Tokens that weigh something, and no less than `floor`.
fn above(weighed: &Weighed, floor: f32) -> Vec<(f32, u32)> {
    let mut some = Vec::new();
    let stretches = weighed.weights.chunks(STRETCH).zip(&weighed.most);
    for (nth, (stretch, _)) in stretches.enumerate().filter(|(_, (_, most))| **most >= floor) {
        let ids = (nth * STRETCH..).map(id_of);
        some.extend(stretch.iter().copied().zip(ids).filter(|(w, _)| *w > 0.0 && *w >= floor));
    }
    some
}

fn id_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(logits: &[f32], seen: &[&[u32]], decoding: &Decoding, seed: u64, step: usize) -> Drawn {
        super::draw(logits, seen, decoding, (seed, step), &mut Weighed::default())
    }

    const LOGITS: [f32; 5] = [2.0, 1.0, 0.0, -1.0, f32::NEG_INFINITY];

    /// How often each id is drawn over many seeds.
    fn shares(decoding: &Decoding) -> Vec<f64> {
        let mut counts = vec![0.0; LOGITS.len()];
        for seed in 0..20_000 {
            counts[draw(&LOGITS, &[&[0]], decoding, seed, 3).token as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    fn softmax(logits: &[f64]) -> Vec<f64> {
        let sum: f64 = logits.iter().map(|x| x.exp()).sum();
        logits.iter().map(|x| x.exp() / sum).collect()
    }

    fn close(found: &[f64], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 0.015, "{found} for {expected}");
        }
    }

    #[test]
    fn draws_follow_the_softmax_that_the_options_leave() {
        let all = Decoding::default();
        close(&shares(&all), &softmax(&[2.0, 1.0, 0.0, -1.0]));
        let hot = Decoding { temperature: 2.0, ..all };
        close(&shares(&hot), &softmax(&[1.0, 0.5, 0.0, -0.5]));
        let two = Decoding { top_k: Some(2), ..all };
        close(&shares(&two), &softmax(&[2.0, 1.0]));
        // 0.644 alone does not reach 0.7; with 0.237 it does.
        let nucleus = Decoding { top_p: 0.7, ..all };
        close(&shares(&nucleus), &softmax(&[2.0, 1.0]));
        let tail = Decoding { min_p: 0.1, ..all };
        close(&shares(&tail), &softmax(&[2.0, 1.0, 0.0]));
        let tired = Decoding { repetition_penalty: Some(2.0), ..all };
        close(&shares(&tired), &softmax(&[1.0, 1.0, 0.0, -1.0]));
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest_and_no_seed() {
        let greedy = Decoding { temperature: 0.0, ..Decoding::default() };
        let drawn = draw(&[1.0, 3.0, 3.0], &[], &greedy, 7, 0);
        assert_eq!(drawn.token, 1);
        let exact = 3.0 - (1f64.exp() + 2.0 * 3f64.exp()).ln();
        assert!((drawn.logprob - exact).abs() < 1e-6);
    }

    #[test]
    fn logits_that_are_no_numbers_still_give_a_token() {
        let drawn = draw(&[f32::NAN; 3], &[], &Decoding::default(), 7, 0);
        assert!(drawn.token < 3);
    }

    /// What the cuts leave, by sorting everything: the ids, and the share of each.
    fn sorted(weights: &[f32], decoding: &Decoding) -> Vec<(u32, f64)> {
        let weights = weights.iter().map(|weight| f64::from(*weight));
        let mut ranked: Vec<(u32, f64)> = (0..).zip(weights).collect();
        ranked.retain(|(_, weight)| *weight >= decoding.min_p);
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.truncate(decoding.top_k.map_or(usize::MAX, |k| k as usize));
        let all: f64 = ranked.iter().map(|(_, weight)| weight).sum();
        let mut sum = 0.0;
        let last = ranked.iter().position(|(_, weight)| {
            sum += weight;
            sum >= decoding.top_p * all
        });
        ranked.truncate(last.map_or(ranked.len(), |last| last + 1));
        let all: f64 = ranked.iter().map(|(_, weight)| weight).sum();
        ranked.into_iter().map(|(id, weight)| (id, weight / all)).collect()
    }

    #[test]
    fn thresholds_leave_what_sorting_leaves() {
        let mut dice = ChaCha8Rng::seed_from_u64(3);
        for (size, sharpness) in [(3, 1.0), (1000, 4.0), (5000, 9.0), (5000, 0.01)] {
            let logits: Vec<f32> = (0..size)
                .map(|_| (dice.random::<f32>() + dice.random::<f32>()).powi(2) * sharpness)
                .collect();
            let mut room = Weighed::default();
            room.weigh(&logits, 1.0 / 0.8);
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (weight, logit) in room.weights.iter().zip(&logits) {
                let exact = (f64::from(logit - most) / 0.8).exp();
                assert!((f64::from(*weight) - exact).abs() < 1e-6, "{weight} for {exact}");
            }
            let base = Decoding { temperature: 0.8, ..Decoding::default() };
            let all = [
                base,
                Decoding { top_p: 0.9, ..base },
                Decoding { top_k: Some(2), ..base },
                Decoding { top_k: Some(40), top_p: 0.5, ..base },
                Decoding { min_p: 0.2, ..base },
                Decoding { min_p: 0.05, top_p: 0.7, top_k: Some(300), ..base },
            ];
            for decoding in all {
                // Counted from the likeliest on, or through the ids: as the draw counts.
                let mut left = sorted(&room.weights, &decoding);
                if decoding == base {
                    left.sort_unstable_by_key(|(id, _)| *id);
                }
                let mut passed = 0.0;
                for (id, share) in left {
                    if share > 1e-5 {
                        let picked = pick(&room, &decoding, passed + share / 2.0);
                        assert_eq!(picked, Some(id), "{size} {decoding:?}");
                    }
                    passed += share;
                }
            }
        }
    }
}
