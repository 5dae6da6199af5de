//! From logits to a token: penalty, temperature, top-k, top-p, min-p, and a draw, in the order in
//! which transformers applies them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Decoding;

/// A token drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drawn {
    pub(super) token: u32,
    /// Its log-probability under the model itself, before temperature and cuts, in nats.
    pub(super) logprob: f64,
}

/// Draws the token number `step` of a text. The number is drawn from the seed and the step alone:
/// nothing is carried from token to token.
pub(super) fn draw(
    logits: &[f32],
    seen: &[&[u32]],
    decoding: &Decoding,
    seed: u64,
    step: usize,
) -> Drawn {
    let token = if decoding.temperature == 0.0 && decoding.repetition_penalty.is_none() {
        likeliest(logits)
    } else {
        let mut logits = logits.to_vec();
        if let Some(penalty) = decoding.repetition_penalty {
            penalise(&mut logits, seen, penalty);
        }
        if decoding.temperature == 0.0 {
            likeliest(&logits)
        } else {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            generator.set_word_pos(2 * step as u128);
            pick(&logits, decoding, generator.random())
        }
    };
    Drawn { token, logprob: logprob(logits, token) }
}

/// The largest logit's id, the lowest of equals.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    id_of(best)
}

fn logprob(logits: &[f32], token: u32) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - most).exp())).sum();
    f64::from(logits[token as usize] - most) - sum.ln()
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

/// Picks at `share`, in `[0, 1)`, of what the cuts leave, counted from the likeliest on.
fn pick(logits: &[f32], decoding: &Decoding, share: f64) -> u32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| (f64::from(logit - most) / decoding.temperature).exp();
    let mut ranked: Vec<(f64, u32)> =
        logits.iter().enumerate().map(|(id, logit)| (weight(*logit), id_of(id))).collect();
    // The likeliest weighs exactly 1.
    ranked.retain(|(weight, _)| *weight > 0.0 && *weight >= decoding.min_p);
    let kept = decoding.top_k.map_or(ranked.len(), |k| ranked.len().min(k as usize));
    let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if kept < ranked.len() {
        ranked.select_nth_unstable_by(kept.saturating_sub(1), order);
        ranked.truncate(kept);
    }
    ranked.sort_unstable_by(order);
    let total: f64 = ranked.iter().map(|(weight, _)| weight).sum();
    let mut sum = 0.0;
    let reaches = ranked.iter().position(|(weight, _)| {
        sum += weight;
        sum >= decoding.top_p * total
    });
    ranked.truncate(reaches.map_or(ranked.len(), |last| last + 1));
    let target = share * ranked.iter().map(|(weight, _)| weight).sum::<f64>();
    let mut sum = 0.0;
    let drawn = ranked.iter().find(|(weight, _)| {
        sum += weight;
        target < sum
    });
    drawn.or(ranked.last()).map_or_else(|| likeliest(logits), |(_, id)| *id)
}

fn id_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
