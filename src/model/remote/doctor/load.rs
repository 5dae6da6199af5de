//! Whether the server bears the load that a run puts on it.

use std::time::Duration;

use tokio::time::Instant;

use super::super::http::Fault;
use super::finding::Finding;
use super::heard::Heard;
use super::patient::{Draw, Patient, seed};

/// Tokens of each text.
const TOKENS: u32 = 16;

/// What became of the requests.
#[derive(Default)]
struct Landed {
    replied: usize,
    tokens: u64,
    slowest: Duration,
    busy: usize,
    away: (usize, String),
    broken: (usize, String),
}

impl Landed {
    fn add(&mut self, heard: Result<Heard, Fault>) {
        match heard {
            Ok(heard) => {
                self.replied += 1;
                let counted = || heard.ids().map_or(0, |ids| ids.len() as u64);
                self.tokens += heard.usage("completion_tokens").unwrap_or_else(counted);
                self.slowest = self.slowest.max(heard.took);
            }
            Err(Fault::Busy(..)) => self.busy += 1,
            Err(Fault::Away(what) | Fault::Slow(what)) => self.away = (self.away.0 + 1, what),
            Err(Fault::Broken(what) | Fault::Refused(what)) => {
                self.broken = (self.broken.0 + 1, what);
            }
            Err(Fault::Stop(error)) => self.broken = (self.broken.0 + 1, error.to_string()),
        }
    }

    /// What was measured, in words.
    fn words(&self, at_once: usize, took: Duration) -> String {
        let seconds = took.as_secs_f64().max(0.001);
        let mut words = format!("{} of {at_once} at once are replied to", self.replied);
        if self.replied > 0 {
            let (requests, tokens) = (self.replied as f64 / seconds, self.tokens as f64 / seconds);
            let slowest = self.slowest.as_secs_f64();
            words = format!(
                "{words}, {requests:.1} requests and {tokens:.0} tokens a second, the slowest after \
                 {slowest:.2} s"
            );
        }
        if self.busy > 0 {
            words = format!("{words}; {} are told that it is busy", self.busy);
        }
        for (count, what) in [&self.away, &self.broken].into_iter().filter(|(count, _)| *count > 0)
        {
            words = format!("{words}; {count} times {what}");
        }
        words
    }
}

/// Sends so many short requests at once. None is sent twice.
pub(super) async fn load(patient: &Patient<'_>, at_once: usize) -> Finding {
    const CHECK: &str = "load";
    let draw = |nth| Draw { most: TOKENS, ..Draw::text(seed(1000 + nth)) };
    let draws: Vec<Draw> = (0..at_once as u64).map(draw).collect();
    let began = Instant::now();
    let landed = match patient.ask_at_once(&draws).await {
        Ok(landed) => landed,
        Err(why) => return Finding::unknown(CHECK, why),
    };
    let took = began.elapsed();
    let mut all = Landed::default();
    for heard in landed {
        all.add(heard);
    }
    let found = all.words(at_once, took);
    match () {
        () if all.away.0 + all.broken.0 > 0 => {
            let costs = "requests fail and are sent again, which takes time: a lower `max_concurrency`, or a \
                         longer `timeout`, does without";
            Finding::fail(CHECK, found, costs)
        }
        // Fewer are sent once it says so.
        () if all.busy * 2 > at_once => {
            let costs = "most requests are sent again, which takes time: a lower `max_concurrency` does \
                         without";
            Finding::fail(CHECK, found, costs)
        }
        () => Finding::pass(CHECK, found),
    }
}
