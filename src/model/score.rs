//! Log-probabilities of given continuations. A prompt is run once for all of its continuations, and
//! what prompts of one run begin with alike, once for all of them.

use super::error::Error;
use super::generate::{Builder, Group};
use super::network::Network;
use super::places::{Chain, Places};
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

impl Run<'_> {
    fn score(&self, network: &Network) -> Result<Vec<(usize, usize, f64)>, Error> {
        // The keys are those of the run itself: a place is a token's number in it.
        let places = Places::new(usize::MAX / 2);
        let mut batch = Builder::default();
        let mut chains: Vec<Chain> = Vec::new();
        let mut sources: Vec<u32> = Vec::new();
        let mut targets: Vec<u32> = Vec::new();
        let full = || Error::CacheFull { needed: self.tokens, places: 0 };
        for (prompt, asked) in &self.prompts {
            let mut chain = chains.last().map_or_else(Chain::default, |c| c.shared_with(prompt));
            let known = chain.tokens.len();
            chain.extend(&prompt[known..], places.take(prompt.len() - known).ok_or_else(full)?);
            batch.add(&prompt[known..], known, chain.spans());
            let end = batch.len() - 1;
            for Asked { tokens, .. } in asked {
                let Some((_, run)) = tokens.split_last() else { continue };
                let mut own = chain.spans();
                sources.push(number(end));
                if !run.is_empty() {
                    let mut tail = Chain::default();
                    tail.extend(run, places.take(run.len()).ok_or_else(full)?);
                    own.extend(tail.spans());
                    sources.extend((batch.len()..batch.len() + run.len()).map(number));
                    batch.add(run, prompt.len(), own);
                    // Held, so that its places stay taken.
                    chains.push(tail);
                }
                targets.extend_from_slice(tokens);
            }
            chains.push(chain);
        }
        let logps = if sources.is_empty() {
            Vec::new()
        } else {
            network.logps(&batch.build(), &sources, &targets)?.to_vec1::<f32>()?
        };
        let mut logps = logps.into_iter().map(f64::from);
        let asked = self.prompts.iter().flat_map(|(_, asked)| asked);
        let sum = |asked: &Asked<'_>| {
            let score = logps.by_ref().take(asked.tokens.len()).sum();
            (asked.request, asked.place, score)
        };
        Ok(asked.map(sum).collect())
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
