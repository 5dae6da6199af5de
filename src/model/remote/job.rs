//! One request on its way: what it asks for, and whose draws it answers.

use std::borrow::Cow;
use std::sync::Arc;

use super::error::Error;
use super::request::{Asked, Request, Wanted};

/// One request: so many draws of an ask.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The ask's place in the order in which asks came.
    pub(super) ask: usize,
    /// Which of its draws.
    pub(super) draws: Vec<usize>,
    /// The seeds of all of them.
    pub(super) seeds: Vec<u64>,
    /// What the first is called.
    pub(super) name: String,
    pub(super) request: Arc<Request>,
    pub(super) temperature: f64,
    /// The texts that end a draw.
    pub(super) stop: Arc<[String]>,
    /// What the next token tells, where it is weighed.
    pub(super) next: Arc<Next>,
    /// What it costs at most.
    pub(super) ceiling: f64,
    /// How often it failed so far.
    pub(super) tries: u32,
}

/// What the next token tells.
#[derive(Debug, Default)]
pub(super) struct Next {
    /// What the token of each text may be called in a reply.
    pub(super) names: Vec<Vec<String>>,
    /// Ids that all texts begin with, which are part of the request.
    pub(super) begun: usize,
}

impl Job {
    /// Texts that its request asks for.
    pub(super) fn texts(&self) -> usize {
        if self.request.wanted == Wanted::Text { self.draws.len() } else { 1 }
    }

    /// How its prompt begins, for what is asked of one server.
    pub(super) fn start(&self) -> Cow<'_, [u32]> {
        const LOOKED_AT: usize = 2048;
        match &self.request.asked {
            Asked::Tokens(ids) => Cow::from(&ids[..ids.len().min(LOOKED_AT)]),
            Asked::Messages(messages) => {
                let text = messages.iter().flat_map(|message| message.content.chars());
                text.map(u32::from).take(LOOKED_AT).collect()
            }
        }
    }
}

/// What is weighed, where no text is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighing<'w> {
    pub(super) among: &'w [String],
    /// Candidates that the server tells.
    pub(super) candidates: u32,
}

impl<'w> Weighing<'w> {
    /// What is weighed of a server that tells so many candidates.
    pub(super) fn of(told: u32, among: Option<&'w [String]>) -> Result<Option<Self>, Error> {
        let Some(among) = among else { return Ok(None) };
        match told {
            0 => Err(Error::Cannot("weigh: its server tells no log-probabilities")),
            candidates => Ok(Some(Self { among, candidates })),
        }
    }
}
