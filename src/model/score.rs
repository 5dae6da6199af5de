//! Log-probabilities of given continuations. A prompt is run once for all of its continuations, and
//! what prompts of one run begin with alike, once for all of them.

use candle_core::Tensor;

use super::blocks::Blocks;
use super::cache::Cache;
use super::error::Error;
use super::generate::{Builder, Group};
use super::network::Network;
use super::ops::{BLOCK, token_logps};
use super::threads::spread;

/// Tokens that one run of the network takes, about.
const TOKENS_PER_RUN: usize = 1024;

/// A continuation: which request's, which of its, and its tokens.
struct Asked<'c> {
    request: usize,
    place: usize,
    tokens: &'c [u32],
}

/// Prompts to run together.
#[derive(Default)]
struct Run<'c> {
    prompts: Vec<(Vec<u32>, Vec<Asked<'c>>)>,
    tokens: usize,
}

/// Summed log-probability of each request's continuations after its prompt, in nats.
pub(super) fn score(
    network: &Network,
    groups: impl IntoIterator<Item = Group>,
    continuations: &[Vec<Vec<u32>>],
) -> Result<Vec<Vec<f64>>, Error> {
    let mut runs = vec![Run::default()];
    for Group { tokens, requests } in groups {
        let mut asked = Vec::new();
        let mut count = tokens.len();
        for request in requests {
            for (place, tokens) in continuations[request].iter().enumerate() {
                count += tokens.len();
                asked.push(Asked { request, place, tokens });
            }
        }
        if runs.last().is_some_and(|run| run.tokens > 0 && run.tokens + count > TOKENS_PER_RUN) {
            runs.push(Run::default());
        }
        if let Some(run) = runs.last_mut() {
            run.tokens += count;
            run.prompts.push((tokens, asked));
        }
    }
    let mut scores: Vec<Vec<f64>> = continuations.iter().map(|c| vec![0.0; c.len()]).collect();
    for done in spread(runs, |run| run.score(network))? {
        for (request, place, score) in done? {
            scores[request][place] = score;
        }
    }
    Ok(scores)
}

/// Tokens of which one's log-probability is wanted: after which of the tokens that were run.
#[derive(Default)]
struct Targets {
    after: Vec<u32>,
    tokens: Vec<u32>,
}

impl Targets {
    fn logps(&self, network: &Network, hidden: &Tensor) -> Result<Vec<f32>, Error> {
        if self.tokens.is_empty() {
            return Ok(Vec::new());
        }
        let after = Tensor::from_slice(&self.after, self.after.len(), hidden.device())?;
        let logits = network.logits(&hidden.index_select(&after, 0)?)?;
        Ok(token_logps(&logits, &self.tokens)?.to_vec1::<f32>()?)
    }
}

impl Run<'_> {
    /// Runs the prompts, then what comes after their continuations' first tokens, each in blocks of its own
    /// from the prompt's last one on.
    fn score(&self, network: &Network) -> Result<Vec<(usize, usize, f64)>, Error> {
        let most = self.blocks();
        let blocks = Blocks::new(most);
        let mut cache = Cache::new(network.config(), most, network.numbers_on())?;
        let full = || Error::CacheFull { needed: self.tokens, places: most * BLOCK };
        let (mut batch, mut first, mut held) = (Builder::default(), Targets::default(), Vec::new());
        for (prompt, asked) in &self.prompts {
            let mut own = blocks.find(&prompt[..prompt.len() - 1]);
            let known = own.len() * BLOCK;
            while own.len() < prompt.len().div_ceil(BLOCK) {
                own.push(blocks.take().ok_or_else(full)?);
            }
            blocks.learn(prompt, &own);
            batch.add(&prompt[known..], known, &own);
            for token in asked.iter().filter_map(|asked| asked.tokens.first()) {
                first.after.push(number(batch.len() - 1));
                first.tokens.push(*token);
            }
            held.push(own);
        }
        let first = first.logps(network, &batch.run(network, &mut cache)?)?;
        // Blocks of one continuation stay taken while the others find theirs.
        let (mut batch, mut rest, mut tails) = (Builder::default(), Targets::default(), Vec::new());
        for ((prompt, asked), held) in self.prompts.iter().zip(&held) {
            for tokens in asked.iter().map(|asked| asked.tokens).filter(|tokens| tokens.len() > 1) {
                let mut own = held[..prompt.len() / BLOCK].to_vec();
                while own.len() < (prompt.len() + tokens.len() - 1).div_ceil(BLOCK) {
                    own.push(blocks.take().ok_or_else(full)?);
                }
                if let [.., begun] = &held[prompt.len() / BLOCK..] {
                    let own = own[prompt.len() / BLOCK].place;
                    cache.reach(own + 1);
                    cache.copy(begun.place, own)?;
                }
                rest.after.extend((batch.len()..).take(tokens.len() - 1).map(number));
                rest.tokens.extend_from_slice(&tokens[1..]);
                batch.add(&tokens[..tokens.len() - 1], prompt.len(), &own);
                tails.push(own);
            }
        }
        let rest = match batch.len() {
            0 => Vec::new(),
            _ => rest.logps(network, &batch.run(network, &mut cache)?)?,
        };
        Ok(self.sums(&first, &rest))
    }

    /// Blocks that the run takes at most.
    fn blocks(&self) -> usize {
        let of = |(prompt, asked): &(Vec<u32>, Vec<Asked<'_>>)| {
            let own = |asked: &Asked<'_>| asked.tokens.len().div_ceil(BLOCK) + 1;
            prompt.len().div_ceil(BLOCK) + asked.iter().map(own).sum::<usize>()
        };
        self.prompts.iter().map(of).sum()
    }

    /// Adds up the log-probabilities of each continuation's tokens, given of all the first, then of all the
    /// others.
    fn sums(&self, first: &[f32], rest: &[f32]) -> Vec<(usize, usize, f64)> {
        let [mut first, mut rest] = [first, rest].map(|logps| logps.iter().copied().map(f64::from));
        let sum = |asked: &Asked<'_>| {
            let others = asked.tokens.len().saturating_sub(1);
            let begin = first.by_ref().take(asked.tokens.len().min(1)).sum::<f64>();
            (asked.request, asked.place, begin + rest.by_ref().take(others).sum::<f64>())
        };
        self.prompts.iter().flat_map(|(_, asked)| asked).map(sum).collect()
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
