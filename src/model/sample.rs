//! From logits to a token: penalty, temperature, top-k, top-p, min-p, and a draw, in the order in
//! which transformers applies them.
//!
//! No vocabulary is sorted: where nothing is cut, a token is found by the sums of stretches of it; where
//! something is, a threshold leaves the few that may be drawn, and these are ranked.

use std::collections::BTreeMap;

use candle_core::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Decoding;
use super::ops::{OnDevice, STRETCH, Stretches, Weighed, exp_sum};

/// A token drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drawn {
    pub(super) token: u32,
    /// Its log-probability under the model itself, before temperature and cuts, in nats.
    pub(super) logprob: f64,
}

/// A token that is asked for.
pub(super) struct Asked<'a> {
    /// Tokens that were read and drawn before it.
    pub(super) seen: [&'a [u32]; 2],
    pub(super) decoding: &'a Decoding,
    pub(super) seed: u64,
    /// Its place in the text.
    pub(super) step: usize,
}

impl Asked<'_> {
    /// What logits are multiplied by.
    #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
    fn scale(&self) -> f32 {
        if self.is_greedy() { 1.0 } else { self.decoding.temperature.recip() as f32 }
    }

    fn is_greedy(&self) -> bool {
        self.decoding.temperature == 0.0
    }

    /// A number in `[0, 1)`, of the seed and the step alone: nothing is carried from token to token.
    fn share(&self) -> f64 {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_word_pos(2 * self.step as u128);
        generator.random()
    }
}

/// Draws a token, with room to work in.
pub(super) fn draw(logits: &[f32], asked: &Asked<'_>, room: &mut Weighed) -> Drawn {
    let penalised = asked.decoding.repetition_penalty.map(|penalty| {
        let mut logits = logits.to_vec();
        penalise(&mut logits, &asked.seen, penalty);
        logits
    });
    let heard = penalised.as_deref().unwrap_or(logits);
    let token = if asked.is_greedy() {
        likeliest(heard)
    } else {
        room.weigh(heard, asked.scale());
        let Weighed { weights, stretches } = &*room;
        let stretch = |nth| &weights[nth * STRETCH..weights.len().min((nth + 1) * STRETCH)];
        pick(stretches, stretch, asked.decoding, asked.share()).unwrap_or_else(|| likeliest(heard))
    };
    let (most, sum) = exp_sum(logits);
    Drawn { token, logprob: f64::from(logits[token as usize] - most) - sum.ln() }
}

/// Draws as [`draw`] does, from rows of logits `[rows, vocabulary]` that stay on their device: each token with
/// the row that it is drawn from.
pub(super) fn draw_on_device(
    logits: &Tensor,
    asked: &[(usize, Asked<'_>)],
) -> candle_core::Result<Vec<Drawn>> {
    let rows = OnDevice::of(logits)?;
    let mut drawn = vec![Drawn { token: 0, logprob: f64::NAN }; asked.len()];
    let mut scales = BTreeMap::<u32, Vec<usize>>::new();
    for (at, (row, asked)) in asked.iter().enumerate() {
        if asked.decoding.repetition_penalty.is_some() {
            let logits = logits.narrow(0, *row, 1)?.flatten_all()?.to_vec1::<f32>()?;
            drawn[at] = draw(&logits, asked, &mut Weighed::default());
        } else {
            scales.entry(asked.scale().to_bits()).or_default().push(at);
        }
    }
    for (scale, places) in scales {
        let stretches = rows.weigh(f32::from_bits(scale))?;
        let own = || places.iter().map(|at| (*at, &asked[*at].0, &asked[*at].1));
        let mut wanted = Vec::new();
        for (_, row, asked) in own() {
            wanted.extend(needed(&stretches[*row], asked).into_iter().map(|nth| (*row, nth)));
        }
        wanted.sort_unstable();
        wanted.dedup();
        let held = rows.fetch(&wanted)?;
        let weigh = |x: &Vec<f32>| x.iter().map(|x| (x * f32::from_bits(scale)).exp()).collect();
        let weights: Vec<Vec<f32>> = held.iter().map(weigh).collect();
        for (at, row, asked) in own() {
            let find = |nth| wanted.binary_search(&(*row, nth)).ok();
            let stretch = |nth| find(nth).map_or(&[][..], |at| &weights[at]);
            let token = if asked.is_greedy() {
                first_of_likeliest(&stretches[*row], stretch)
            } else {
                pick(&stretches[*row], stretch, asked.decoding, asked.share())
            };
            let Some(token) = token else { continue };
            let (nth, within) = (token as usize / STRETCH, token as usize % STRETCH);
            let logit = find(nth).map_or(f32::NAN, |at| held[at][within]);
            let logprob = f64::from(logit) - f64::from(rows.log_sums()[*row]);
            drawn[at] = Drawn { token, logprob };
        }
    }
    Ok(drawn)
}

/// The stretches that a token may be found in.
fn needed(stretches: &Stretches, asked: &Asked<'_>) -> Vec<usize> {
    if asked.is_greedy() {
        return stretches.most.iter().position(|most| *most >= 1.0).into_iter().collect();
    }
    if !cuts(asked.decoding) {
        return stretch_at(stretches, &mut (asked.share() * stretches.total()))
            .into_iter()
            .collect();
    }
    let floor = floor(stretches, asked.decoding);
    (0..stretches.most.len()).filter(|nth| stretches.most[*nth] >= floor).collect()
}

/// The first token that weighs 1, as the likeliest do.
fn first_of_likeliest<'w>(
    stretches: &Stretches,
    stretch: impl Fn(usize) -> &'w [f32],
) -> Option<u32> {
    let nth = stretches.most.iter().position(|most| *most >= 1.0)?;
    let within = stretch(nth).iter().position(|weight| *weight >= 1.0)?;
    Some(id_of(nth * STRETCH + within))
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

/// Whether some tokens are never drawn.
fn cuts(decoding: &Decoding) -> bool {
    decoding.top_p < 1.0 || decoding.top_k.is_some() || decoding.min_p > 0.0
}

/// Picks at `share`, in `[0, 1)`, of what the cuts leave; nothing where no weight is a number.
fn pick<'w>(
    stretches: &Stretches,
    stretch: impl Fn(usize) -> &'w [f32],
    decoding: &Decoding,
    share: f64,
) -> Option<u32> {
    if cuts(decoding) {
        return pick_of_few(stretches, stretch, decoding, share);
    }
    let mut left = share * stretches.total();
    let nth = stretch_at(stretches, &mut left)?;
    let weights = stretch(nth);
    let within = weights.iter().position(|weight| {
        left -= f64::from(*weight);
        left < 0.0
    });
    let within = within.or_else(|| weights.iter().rposition(|weight| *weight > 0.0))?;
    Some(id_of(nth * STRETCH + within))
}

/// The stretch in which `left` of all weights are passed; `left` becomes what is left of them there.
fn stretch_at(stretches: &Stretches, left: &mut f64) -> Option<usize> {
    let nth = stretches.sums.iter().position(|sum| {
        let here = *left < *sum;
        *left -= if here { 0.0 } else { *sum };
        here
    });
    // Sums of sums round, so that the last may be passed.
    nth.or_else(|| stretches.sums.iter().rposition(|sum| *sum > 0.0))
}

/// Picks of those that the cuts leave, counted from the likeliest on.
fn pick_of_few<'w>(
    stretches: &Stretches,
    stretch: impl Fn(usize) -> &'w [f32],
    decoding: &Decoding,
    share: f64,
) -> Option<u32> {
    let mut ranked = above(stretches, stretch, floor(stretches, decoding));
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
        stretches.total()
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
fn floor(stretches: &Stretches, decoding: &Decoding) -> f32 {
    // The likeliest weighs exactly 1.
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let least = decoding.min_p as f32;
    if let Some(k) = decoding.top_k {
        // Of each stretch one weighs as much as its largest, so k of them weigh at least this.
        let mut most = stretches.most.clone();
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
    let tail = (1.0 - decoding.top_p) * stretches.total() / stretches.tokens.max(1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let tail = (tail * (1.0 - 1e-3)) as f32;
    tail
}

/// Tokens that weigh something, and no less than `floor`.
fn above<'w>(
    stretches: &Stretches,
    stretch: impl Fn(usize) -> &'w [f32],
    floor: f32,
) -> Vec<(f32, u32)> {
    let mut some = Vec::new();
    for nth in (0..stretches.most.len()).filter(|nth| stretches.most[*nth] >= floor) {
        let ids = (nth * STRETCH..).map(id_of);
        let weights = stretch(nth).iter().copied().zip(ids);
        some.extend(weights.filter(|(weight, _)| *weight > 0.0 && *weight >= floor));
    }
    some
}

fn id_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn draw(logits: &[f32], seen: &[u32], decoding: &Decoding, seed: u64, step: usize) -> Drawn {
        let asked = Asked { seen: [seen, &[]], decoding, seed, step };
        super::draw(logits, &asked, &mut Weighed::default())
    }

    const LOGITS: [f32; 5] = [2.0, 1.0, 0.0, -1.0, f32::NEG_INFINITY];

    /// How often each id is drawn over many seeds.
    fn shares(decoding: &Decoding) -> Vec<f64> {
        let mut counts = vec![0.0; LOGITS.len()];
        for seed in 0..20_000 {
            counts[draw(&LOGITS, &[0], decoding, seed, 3).token as usize] += 1.0 / 20_000.0;
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
            let stretch = |nth: usize| room.weights.chunks(STRETCH).nth(nth).unwrap();
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
                        let picked =
                            pick(&room.stretches, stretch, &decoding, passed + share / 2.0);
                        assert_eq!(picked, Some(id), "{size} {decoding:?}");
                    }
                    passed += share;
                }
            }
        }
    }

    /// On a device a token is drawn from the same numbers, added up in another order.
    #[test]
    fn rows_on_a_device_give_the_same_tokens() {
        let mut dice = ChaCha8Rng::seed_from_u64(4);
        let (rows, vocabulary) = (5, 1000);
        let logits: Vec<f32> = (0..rows * vocabulary).map(|_| dice.random::<f32>() * 9.0).collect();
        let tensor = Tensor::from_slice(&logits, (rows, vocabulary), &Device::Cpu).unwrap();
        let base = Decoding { temperature: 0.7, ..Decoding::default() };
        let all = [
            base,
            Decoding { temperature: 0.0, ..base },
            Decoding { temperature: 1.3, ..base },
            Decoding { top_p: 0.9, ..base },
            Decoding { top_k: Some(7), ..base },
            Decoding { min_p: 0.1, ..base },
            Decoding { repetition_penalty: Some(1.5), ..base },
        ];
        let seen: Vec<u32> = (0..40).collect();
        let asked = |at: usize| Asked {
            seen: [&seen, &[]],
            decoding: &all[at % all.len()],
            seed: at as u64,
            step: at % 3,
        };
        let asked: Vec<(usize, Asked<'_>)> =
            (0..350).map(|at| (at * rows / 350, asked(at))).collect();
        let drawn = draw_on_device(&tensor, &asked).unwrap();
        for ((row, asked), drawn) in asked.iter().zip(drawn) {
            let logits = &logits[row * vocabulary..(row + 1) * vocabulary];
            let here = super::draw(logits, asked, &mut Weighed::default());
            assert_eq!(drawn.token, here.token, "{:?}", asked.decoding);
            assert!((drawn.logprob - here.logprob).abs() < 1e-4, "{drawn:?} {here:?}");
        }
    }
}
