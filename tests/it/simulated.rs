//! Simulated games whose true win rate is known, and how often intervals cover it.

use mrx::stats::{Clusters, Games, Interval, LengthControl, Paired};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// How verdicts hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One verdict a prompt, a win or a loss.
    Plain,
    /// Four verdicts a prompt, which tend to agree.
    Clustered,
    /// Two verdicts a prompt, which tend to agree, many of them ties.
    Tied,
    /// One to six verdicts a prompt, which tend to agree.
    Unbalanced,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Plain, Kind::Clustered, Kind::Tied, Kind::Unbalanced];

/// A simulated evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) prompts: usize,
    /// The true win rate; at equal lengths, for [`World::length_control`].
    pub(crate) rate: f64,
}

/// How likely two verdicts on one prompt are drawn by the same luck.
const SHARED: f64 = 0.6;

/// How much longer answers help: φ, on the scale of tanh(z).
const PHI: f64 = -1.0;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl World {
    /// The luck of every verdict, by prompt: uniform numbers, of which those of one prompt are often
    /// the same. A verdict is won where its luck is below its chance, so that chances are exact.
    fn luck(&self, random: &mut ChaCha8Rng) -> (Vec<usize>, Vec<f64>) {
        let (mut prompts, mut luck) = (Vec::new(), Vec::new());
        for prompt in 0..self.prompts {
            let shared: f64 = random.random();
            let verdicts = match self.kind {
                Kind::Plain => 1,
                Kind::Clustered => 4,
                Kind::Tied => 2,
                Kind::Unbalanced => random.random_range(1..=6),
            };
            for _ in 0..verdicts {
                prompts.push(prompt);
                luck.push(if random.random_bool(SHARED) { shared } else { random.random() });
            }
        }
        (prompts, luck)
    }

    /// A verdict whose mean is `chance`.
    fn verdict(&self, chance: f64, luck: f64) -> f64 {
        let ties = if self.kind == Kind::Tied { 0.8 * chance.min(1.0 - chance) } else { 0.0 };
        // Ties take half of their share from the wins and half from the losses.
        match luck {
            luck if luck < chance - ties / 2.0 => 1.0,
            luck if luck < chance + ties / 2.0 => 0.5,
            _ => 0.0,
        }
    }

    pub(crate) fn games(&self, seed: u64) -> Games {
        let (prompts, luck) = self.luck(&mut ChaCha8Rng::seed_from_u64(seed));
        let verdicts = luck.iter().map(|luck| Some(self.verdict(self.rate, *luck)));
        Games::new(verdicts.collect(), Clusters::of(prompts)).unwrap()
    }

    /// Verdicts that follow the model of length control, whose win rate at equal lengths is the rate.
    pub(crate) fn length_control(&self, seed: u64) -> LengthControl {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let (prompts, luck) = self.luck(random);
        let theta = (self.rate / (1.0 - self.rate)).ln();
        // Twelve uniform numbers less six are close to normal, with a standard deviation of 1.
        let length =
            |random: &mut ChaCha8Rng| (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let lengths: Vec<f64> = luck.iter().map(|_| length(random)).collect();
        let chances = lengths.iter().map(|length| sigmoid(PHI * length.tanh() + theta));
        let verdicts = chances.zip(&luck).map(|(chance, luck)| self.verdict(chance, *luck));
        let differences = lengths.iter().map(|length| 400.0 * length).collect();
        LengthControl::new(verdicts.collect(), differences, Clusters::of(prompts))
    }

    /// A model and one that wins more often by `gain`, on the same prompts and partly by the same luck.
    pub(crate) fn paired(&self, gain: f64, seed: u64) -> Paired {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let (prompts, luck) = self.luck(random);
        let clusters = Clusters::of(prompts);
        let side = |rate: f64, luck: Vec<f64>| {
            let verdicts = luck.into_iter().map(|luck| Some(self.verdict(rate, luck)));
            Games::new(verdicts.collect(), clusters.clone()).unwrap()
        };
        let other = |luck: &f64| if random.random_bool(SHARED) { *luck } else { random.random() };
        let others = luck.iter().map(other).collect();
        let (first, second) = (side(self.rate, luck), side(self.rate + gain, others));
        Paired::new(&first, &second).unwrap()
    }
}

/// The share of simulations whose intervals cover the truth, by each of several methods. Where a
/// simulation has no interval, that covers nothing.
pub(crate) fn coverage<const N: usize>(
    simulations: u64,
    truth: f64,
    intervals: impl Fn(u64) -> [Option<Interval>; N] + Sync,
) -> [f64; N] {
    use rayon::prelude::*;
    let covers =
        |interval: Option<Interval>| interval.is_some_and(|interval| interval.covers(truth));
    let covered: Vec<[bool; N]> =
        (0..simulations).into_par_iter().map(|seed| intervals(seed).map(covers)).collect();
    std::array::from_fn(|which| {
        covered.iter().filter(|covered| covered[which]).count() as f64 / simulations as f64
    })
}
