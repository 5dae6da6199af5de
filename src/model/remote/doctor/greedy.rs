//! Whether the tokens that are drawn greedily are those that the server itself finds likeliest.

use super::super::request::{Asked, Wanted};
use super::finding::Finding;
use super::heard::First;
use super::patient::{Draw, Patient, seed};

const CHECK: &str = "greedy agrees";
const COSTS: &str = "log-probabilities are not those of what is drawn: weighed verdicts are off";
/// Tokens that are drawn one by one.
const STEPS: usize = 4;
/// Nats. Half precision differs by some hundredths between batches.
const NEAR: f64 = 0.1;

/// What was drawn one by one.
#[derive(Default)]
struct Walk {
    ids: Vec<u32>,
    told: Vec<First>,
}

/// Draws a few tokens greedily one by one, and in one go.
pub(super) async fn greedy(patient: &Patient<'_>) -> Finding {
    let candidates = patient.speaker.calls.dialect.weighs;
    if candidates == 0 && !patient.speaker.protocol.logprobs {
        return Finding::unknown(CHECK, "not asked for: the engine says `logprobs = false`");
    }
    let walk = match walk(patient, candidates.clamp(2, 20)).await {
        Ok(walk) => walk,
        Err(why) => return Finding::unknown(CHECK, why),
    };
    let unlike = |(_, first): &(usize, &First)| first.drawn + NEAR < first.best;
    if let Some((at, First { drawn, best, .. })) = walk.told.iter().enumerate().find(unlike) {
        let found = format!(
            "token {} has the log-probability {drawn:.3}, and the likeliest has {best:.3}",
            at + 1
        );
        return Finding::fail(CHECK, found, COSTS);
    }
    if walk.told.len() < 2 {
        return Finding::pass(CHECK, "the first token is the likeliest");
    }
    in_one_go(patient, &walk).await
}

async fn walk(patient: &Patient<'_>, candidates: u32) -> Result<Walk, String> {
    let mut walk = Walk::default();
    let prompt = patient.prompt()?;
    for _ in 0..STEPS {
        let asked = match &prompt {
            Asked::Tokens(ids) => Asked::Tokens([ids.as_slice(), &walk.ids].concat()),
            messages @ Asked::Messages(_) => messages.clone(),
        };
        let wanted = Wanted::Next(candidates);
        let draw = Draw { most: 1, temperature: 0.0, wanted, ..Draw::text(seed(0)) };
        let written = patient.write(asked, &draw).map_err(|error| error.to_string())?;
        let heard = patient.send(&written).await.map_err(|fault| fault.to_string())?;
        let Some(first) = heard.first() else {
            return Err("it tells no log-probabilities of candidates".to_owned());
        };
        walk.told.push(first);
        // What follows can only be asked for where it is known what was drawn.
        let drawn = heard.ids().filter(|_| matches!(prompt, Asked::Tokens(_)));
        match drawn.as_deref() {
            Some([id]) if !is_end(patient, *id) => walk.ids.push(*id),
            _ => break,
        }
    }
    Ok(walk)
}

fn is_end(patient: &Patient<'_>, id: u32) -> bool {
    patient.speaker.language.as_ref().is_some_and(|language| language.ends.contains(&id))
}

/// The same tokens again in one draw, with the same log-probability.
async fn in_one_go(patient: &Patient<'_>, walk: &Walk) -> Finding {
    let steps = walk.ids.len();
    let most = u32::try_from(steps).unwrap_or(1);
    let draw = Draw { most, temperature: 0.0, ..Draw::text(seed(0)) };
    let heard = match patient.ask(&draw).await {
        Ok(heard) => heard,
        Err(why) => return Finding::unknown(CHECK, why),
    };
    let Some(ids) = heard.ids() else {
        return Finding::pass(CHECK, format!("{steps} tokens are the likeliest ones"));
    };
    let differs = ids.iter().zip(&walk.ids).position(|(one, other)| one != other);
    if let Some(at) = differs {
        let First { best, second, .. } = walk.told[at];
        // Two that are about as likely may change places.
        return if best - second < NEAR {
            Finding::pass(CHECK, format!("{at} tokens, up to two that are about as likely"))
        } else {
            let found = format!("token {} of one draw is not that of single steps", at + 1);
            Finding::fail(CHECK, found, COSTS)
        };
    }
    let stepwise: f64 = walk.told.iter().take(steps).map(|first| first.drawn).sum();
    let logprobs = heard.choices().first().and_then(super::heard::logprobs);
    let Some(whole) = logprobs.map(|all| all.iter().sum::<f64>()) else {
        return Finding::pass(CHECK, format!("{steps} tokens are the likeliest ones"));
    };
    if (whole - stepwise).abs() > NEAR {
        let found = format!(
            "{steps} tokens have {whole:.3} nats in one draw, and {stepwise:.3} step by step"
        );
        return Finding::fail(CHECK, found, COSTS);
    }
    let found = format!("{steps} tokens are the likeliest ones, {whole:.3} nats both ways");
    Finding::pass(CHECK, found)
}
