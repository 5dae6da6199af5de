//! Drawing one of a few texts by their probabilities: no other text is ever drawn, so that a small model
//! can give a verdict, too.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::generate::groups;
use super::language::Language;
use super::network::Network;
use super::score::score;
use super::{Ask, Asker, Continuation, Error, Finish, Refusal, Reply};

/// Prompts that are run at once, about.
const AT_ONCE: usize = 64;

/// A prompt as ids, and those of each text that may follow.
struct Weighing {
    place: usize,
    ask: Ask,
    prompt: Vec<u32>,
    texts: Vec<Vec<u32>>,
}

/// Draws one of the texts for each draw of each ask.
pub(super) fn choose(
    network: &Network,
    language: &Language,
    asker: &mut dyn Asker,
    among: &[String],
) -> Result<(), Error> {
    let texts: Vec<Continuation> = among.iter().cloned().map(Continuation::Text).collect();
    let mut asked = 0;
    loop {
        let asks: Vec<Ask> = std::iter::from_fn(|| asker.next()).take(AT_ONCE).collect();
        if asks.is_empty() {
            return Ok(());
        }
        let mut weighings = Vec::with_capacity(asks.len());
        for ask in asks {
            let (place, draws) = (asked, ask.seeds.len());
            asked += 1;
            match prepare(language, place, ask, &texts)? {
                Ok(weighing) => weighings.push(weighing),
                Err(refusal) => {
                    let mut refuse =
                        |draw| asker.take(place, draw, Reply::refused(refusal.clone()));
                    if (0..draws).try_for_each(&mut refuse).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        if reply(network, &weighings, asker, among)? || asker.go_on().is_break() {
            return Ok(());
        }
    }
}

/// Renders and tokenises an ask and what may follow it.
fn prepare(
    language: &Language,
    place: usize,
    ask: Ask,
    texts: &[Continuation],
) -> Result<Result<Weighing, Refusal>, Error> {
    let prompt = match language.asked(place, &ask.prompt)? {
        Ok(prompt) => prompt,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let texts = language.continuations(&ask.prompt, &prompt, texts)?;
    let tokens = prompt.len() + texts.iter().map(Vec::len).max().unwrap_or(0);
    if tokens > language.context {
        return Ok(Err(Refusal::TooLong { tokens, context: language.context }));
    }
    Ok(Ok(Weighing { place, ask, prompt, texts }))
}

/// Replies to what was weighed; tells whether to give up.
fn reply(
    network: &Network,
    weighings: &[Weighing],
    asker: &mut dyn Asker,
    among: &[String],
) -> Result<bool, Error> {
    let prompts: Vec<_> = weighings.iter().map(|weighing| weighing.prompt.clone()).collect();
    let texts: Vec<_> = weighings.iter().map(|weighing| weighing.texts.clone()).collect();
    let scores = score(network, groups(prompts), &texts)?;
    for (Weighing { place, ask, prompt, .. }, scores) in weighings.iter().zip(scores) {
        let among_them = normalised(&scores);
        if among_them.iter().any(|logprob| !logprob.is_finite()) {
            return Err(Error::NotFinite { request: *place });
        }
        for (draw, seed) in ask.seeds.iter().enumerate() {
            let chosen = pick(&among_them, ask.decoding.temperature, *seed);
            let reply = Reply {
                text: among[chosen].clone(),
                tokens: Vec::new(),
                prompt_tokens: u32::try_from(prompt.len()).unwrap_or(u32::MAX),
                completion_tokens: 0,
                finish: Finish::Stop,
                logprob: Some(scores[chosen]),
                among: Some(among_them.clone()),
                money: None,
            };
            if asker.take(*place, draw, reply).is_break() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Log-probabilities as those of all that there is.
pub(super) fn normalised(logprobs: &[f64]) -> Vec<f64> {
    let most = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logprobs.iter().map(|logprob| (logprob - most).exp()).sum();
    logprobs.iter().map(|logprob| logprob - most - sum.ln()).collect()
}

/// Draws a place by its log-probability; at temperature 0 the likeliest, the first of equals.
pub(super) fn pick(logprobs: &[f64], temperature: f64, seed: u64) -> usize {
    let likeliest = (0..logprobs.len())
        .reduce(|best, place| if logprobs[place] > logprobs[best] { place } else { best });
    let likeliest = likeliest.unwrap_or(0);
    if temperature == 0.0 {
        return likeliest;
    }
    let heated = logprobs.iter().map(|logprob| logprob / temperature).collect::<Vec<_>>();
    let mut left: f64 = ChaCha8Rng::seed_from_u64(seed).random();
    for (place, logprob) in normalised(&heated).into_iter().enumerate() {
        left -= logprob.exp();
        if left < 0.0 {
            return place;
        }
    }
    likeliest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_drawn_as_often_as_they_are_likely() {
        let logprobs = normalised(&[0.5_f64.ln(), 0.3_f64.ln(), 0.2_f64.ln()].map(|l| l - 7.0));
        let total: f64 = logprobs.iter().map(|logprob| logprob.exp()).sum();
        assert!((total - 1.0).abs() < 1e-12);
        let mut counts = [0_i32; 3];
        (0..4000).for_each(|seed| counts[pick(&logprobs, 1.0, seed)] += 1);
        for (count, expected) in counts.into_iter().zip([2000, 1200, 800]) {
            assert!(i32::abs(count - expected) < 120, "{counts:?}");
        }
        assert!((0..100).all(|seed| pick(&logprobs, 0.0, seed) == 0));
        assert!(
            (0..100).all(|seed| pick(&logprobs, 0.05, seed) == 0),
            "cold draws are the likeliest"
        );
    }
}
