//! What is drawn: whether a draw follows its seed, and whether the draws of a prompt differ.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::heard::{Heard, text};
use super::patient::{Draw, Patient, seed};

/// Requests that are under way beside the one that is drawn again.
const BESIDE: u64 = 7;
/// Draws of one prompt.
const SAMPLES: u64 = 4;

/// Looks whether the same seed gives the same text, alone and beside others, and another seed another.
/// `first` was drawn under the first seed; replies are added to `heard`.
pub(super) async fn seeds(patient: &Patient<'_>, first: &Heard, heard: &mut Vec<Heard>) -> Finding {
    const CHECK: &str = "seed honoured";
    let again = match patient.ask(&Draw::text(seed(0))).await {
        Ok(again) => again,
        Err(why) => return Finding::unknown(CHECK, format!("the second request: {why}")),
    };
    let draws: Vec<Draw> = (0..=BESIDE).map(|nth| Draw::text(seed(nth))).collect();
    let landed = match patient.ask_at_once(&draws).await {
        Ok(landed) => landed,
        Err(why) => return Finding::unknown(CHECK, why),
    };
    let mut texts = Vec::new();
    for landed in landed {
        match landed {
            Ok(reply) => {
                texts.push(reply.text());
                heard.push(reply);
            }
            Err(fault) => {
                let found = format!("one of {} at once: {}", draws.len(), fault);
                return Finding::unknown(CHECK, found);
            }
        }
    }
    let (first, again) = (first.text(), again.text());
    let Some((beside, others)) = texts.split_first() else {
        return Finding::unknown(CHECK, "nothing was drawn");
    };
    if first == again && texts.iter().all(|text| *text == first) {
        return Finding::unknown(CHECK, "every seed gives the same text");
    }
    let differ = others.iter().filter(|other| **other != first).count();
    judged(patient, first == again, first == *beside, differ)
}

fn judged(patient: &Patient<'_>, alone: bool, beside: bool, differ: usize) -> Finding {
    const CHECK: &str = "seed honoured";
    let found = match (alone, beside) {
        (true, true) => format!(
            "one seed gives one text, alone and beside {BESIDE} others; {differ} of {BESIDE} other seeds \
             give others"
        ),
        (true, false) => {
            format!("one seed gives one text alone, and another beside {BESIDE} others")
        }
        (false, _) => "one seed gives two texts".to_owned(),
    };
    match (patient.speaker.protocol.seeds, alone && beside) {
        (true, true) => Finding::pass(CHECK, found),
        (true, false) => {
            let costs = "a row that is drawn again may be another one: say `seeds = false`, and the key \
                         says so";
            Finding::fail(CHECK, found, costs)
        }
        (false, true) => Finding::pass(CHECK, format!("{found}; the engine says `seeds = false`")),
        (false, false) => {
            Finding::pass(CHECK, format!("{found}, and the engine says `seeds = false`"))
        }
    }
}

/// Looks whether the draws of one prompt differ: each asked for by itself, and together where the engine
/// asks so.
pub(super) async fn samples(patient: &Patient<'_>, heard: &mut Vec<Heard>) -> Finding {
    const CHECK: &str = "samples distinct";
    let draws: Vec<Draw> = (0..SAMPLES).map(|nth| Draw::text(seed(100 + nth))).collect();
    let landed = match patient.ask_at_once(&draws).await {
        Ok(landed) => landed,
        Err(why) => return Finding::unknown(CHECK, why),
    };
    let mut texts = BTreeSet::new();
    for landed in landed {
        match landed {
            Ok(reply) => {
                texts.insert(reply.text());
                heard.push(reply);
            }
            Err(fault) => {
                let found = format!("one of {SAMPLES} at once: {fault}");
                return Finding::unknown(CHECK, found);
            }
        }
    }
    let mut found = format!("{} of {SAMPLES} draws differ", texts.len());
    let mut distinct = texts.len();
    if patient.speaker.protocol.n {
        let texts = usize::try_from(SAMPLES).unwrap_or(usize::MAX);
        let together = Draw { texts, ..Draw::text(seed(200)) };
        match patient.ask(&together).await {
            Ok(reply) => {
                let texts: BTreeSet<String> = reply.choices().iter().map(text).collect();
                found = format!("{found}, and {} of {SAMPLES} by `n`", texts.len());
                distinct = distinct.min(texts.len());
            }
            Err(why) => {
                let costs = "no row can be drawn with `n = true`";
                return Finding::fail(CHECK, format!("`n` of {SAMPLES}: {why}"), costs);
            }
        }
    }
    // One may be drawn twice by chance.
    if distinct * 2 > usize::try_from(SAMPLES).unwrap_or(usize::MAX) {
        return Finding::pass(CHECK, found);
    }
    let found = if distinct == 1 { format!("{found}: all are one text") } else { found };
    let costs = "the draws of a prompt are copies: there is nothing to choose between, and no pair";
    Finding::fail(CHECK, found, costs)
}
