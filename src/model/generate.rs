//! Drawing texts in batches: prompts that begin alike are run once, texts of different lengths share
//! a batch without padding, and a finished text's place is taken by the next at once.
//!
//! Prompts wait in a [`Queue`], some hundred texts at a time and in the order of their tokens, so what
//! the next prompt shares with those before it, it shares with the one just before: that one's keys
//! and values are kept until then. Within one run of the network all new keys and values are stored
//! before anything attends, so that a prompt may build on one of the same run.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use candle_core::Tensor;

use super::network::{Batch, Cache, Network};
use super::ops::Row;
use super::places::{Block, Chain, Places};
use super::queue::{Queue, Queued};
use super::sample::draw;
use super::{Error, Finish};

/// A prompt, and the requests that ask it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) tokens: Vec<u32>,
    pub(super) requests: Vec<usize>,
}

/// Puts equal prompts together, in the order of their tokens.
pub(super) fn groups(prompts: Vec<Vec<u32>>) -> VecDeque<Group> {
    let mut prompts: Vec<(Vec<u32>, usize)> =
        prompts.into_iter().enumerate().map(|(request, tokens)| (tokens, request)).collect();
    prompts.sort_unstable();
    let mut groups: VecDeque<Group> = VecDeque::new();
    for (tokens, request) in prompts {
        match groups.back_mut() {
            Some(group) if group.tokens == tokens => group.requests.push(request),
            _ => groups.push_back(Group { tokens, requests: vec![request] }),
        }
    }
    groups
}

/// A text that ended.
pub(super) struct Ended {
    pub(super) ask: usize,
    pub(super) draw: usize,
    pub(super) prompt_tokens: usize,
    pub(super) tokens: Vec<u32>,
    pub(super) logprob: f64,
    pub(super) finish: Finish,
    /// Texts that end it.
    pub(super) stop: Arc<[String]>,
}

/// What every worker is told.
pub(super) struct Job<'j> {
    pub(super) network: &'j Network,
    pub(super) queue: &'j Queue,
    /// Ids that end a text.
    pub(super) ends: &'j [u32],
    /// Tells whether drawn tokens hold one of the texts that end a draw.
    pub(super) stops: &'j (dyn Fn(&[u32], &[String]) -> bool + Sync),
    /// Texts in flight.
    pub(super) rows: usize,
    /// Tokens that the cache may hold, but for what a single text needs.
    pub(super) most_places: usize,
}

/// Tokens of prompts that one run of the network takes, about.
const PROMPT_TOKENS_PER_RUN: usize = 1024;

/// Tokens for the next run of the network.
#[derive(Default)]
pub(super) struct Builder {
    batch: Batch,
    rows: Vec<Row>,
}

impl Builder {
    /// Adds a row of `tokens` from `position` on; the last of `keys` is where they go.
    pub(super) fn add(&mut self, tokens: &[u32], position: usize, keys: Vec<Range<usize>>) {
        let queries = self.batch.push(tokens, position);
        self.rows.push(Row { queries, keys });
    }

    /// Tokens added so far.
    pub(super) fn len(&self) -> usize {
        self.batch.len()
    }

    pub(super) fn build(self) -> Batch {
        self.batch.with_rows(self.rows)
    }
}

/// A prompt that was run, and the draws that still wait for their first token.
struct Opened {
    chain: Rc<Chain>,
    logits: Vec<f32>,
    prompt: Rc<Queued>,
    /// How many of its draws have begun.
    begun: usize,
}

/// A text being drawn.
struct Active {
    prompt: Rc<Queued>,
    /// Its place among the prompt's draws.
    place: usize,
    chain: Rc<Chain>,
    tail: Option<Block>,
    tokens: Vec<u32>,
    logprob: f64,
}

/// Keys and values, and which of their places are free.
struct Memory {
    cache: Cache,
    places: Rc<Places>,
    size: usize,
}

/// One thread's share of the work.
pub(super) struct Worker<'j> {
    job: &'j Job<'j>,
    /// Called after prompts were taken from the queue.
    taken: &'j dyn Fn(),
    memory: Option<Memory>,
    opened: VecDeque<Opened>,
    active: Vec<Active>,
    last: Rc<Chain>,
}

impl<'j> Worker<'j> {
    pub(super) fn new(job: &'j Job<'j>, taken: &'j dyn Fn()) -> Self {
        Self {
            job,
            taken,
            memory: None,
            opened: VecDeque::new(),
            active: Vec::new(),
            last: Rc::default(),
        }
    }

    /// Draws until the queue says that nothing more will come, or is given up.
    pub(super) fn run(&mut self, ended: &mut dyn FnMut(Ended)) -> Result<(), Error> {
        while !self.job.queue.is_given_up() {
            self.admit(ended)?;
            if !self.active.is_empty() {
                self.step(ended)?;
            } else if !self.job.queue.wait() {
                break;
            }
        }
        Ok(())
    }

    /// Fills the free rows.
    fn admit(&mut self, ended: &mut dyn FnMut(Ended)) -> Result<(), Error> {
        while self.active.len() < self.job.rows {
            if self.opened.is_empty() && !self.open()? {
                return Ok(());
            }
            let Some(opened) = self.opened.front_mut() else { return Ok(()) };
            if opened.begun == opened.prompt.seeds.len() {
                self.opened.pop_front();
                continue;
            }
            let Some(memory) = &self.memory else { return Ok(()) };
            // The last token is never run, so it needs no place.
            let needed = opened.prompt.most - 1;
            let tail = match needed {
                0 => None,
                _ => match memory.places.take(needed) {
                    Some(tail) => Some(tail),
                    None if !self.active.is_empty() => return Ok(()),
                    None => return Err(Error::CacheFull { needed, places: memory.size }),
                },
            };
            let (prompt, chain) = (Rc::clone(&opened.prompt), Rc::clone(&opened.chain));
            let place = opened.begun;
            opened.begun += 1;
            let mut row = Active { prompt, place, chain, tail, tokens: Vec::new(), logprob: 0.0 };
            let logits = std::mem::take(&mut opened.logits);
            let finish = self.draw(&mut row, &logits)?;
            if let Some(opened) = self.opened.front_mut() {
                opened.logits = logits;
            }
            match finish {
                Some(finish) => ended(row.end(finish)),
                None => self.active.push(row),
            }
        }
        Ok(())
    }

    /// Runs the next prompts; tells whether there were any.
    fn open(&mut self) -> Result<bool, Error> {
        if !self.grow()? {
            return Ok(false);
        }
        let mut batch = Builder::default();
        let mut opened = Vec::new();
        let mut waiting = 0;
        while waiting < self.job.rows - self.active.len() && batch.len() < PROMPT_TOKENS_PER_RUN {
            let Some(prompt) = self.job.queue.take() else { break };
            let Some(chain) = self.reserve(&prompt.tokens, &mut batch) else {
                if opened.is_empty() && self.active.is_empty() {
                    let places = self.memory.as_ref().map_or(0, |memory| memory.size);
                    return Err(Error::CacheFull { needed: prompt.tokens.len(), places });
                }
                self.job.queue.put_back(prompt);
                break;
            };
            waiting += prompt.seeds.len();
            self.last = Rc::new(chain);
            opened.push((Rc::clone(&self.last), Rc::new(prompt)));
        }
        (self.taken)();
        if opened.is_empty() {
            return Ok(false);
        }
        let batch = batch.build();
        let ends = batch.row_ends();
        let hidden = self.hidden(&batch)?;
        let logits = self.logits(&hidden, &ends)?;
        for ((chain, prompt), logits) in opened.into_iter().zip(logits) {
            self.opened.push_back(Opened { chain, logits, prompt, begun: 0 });
        }
        Ok(true)
    }

    /// Makes the memory as large as the longest prompt and text so far ask for; tells whether it is.
    /// It can be replaced only while nothing is in it, so texts in flight end first: it at least
    /// doubles, so that this is rare.
    fn grow(&mut self) -> Result<bool, Error> {
        let (prompt, text) = self.job.queue.longest();
        let all = (self.job.rows + 1) * (prompt + text);
        let wanted = all.min(self.job.most_places).max(2 * prompt + text);
        let size = self.memory.as_ref().map_or(0, |memory| memory.size);
        if size >= wanted {
            return Ok(true);
        }
        if !self.active.is_empty() || !self.opened.is_empty() {
            return Ok(false);
        }
        self.last = Rc::default();
        self.memory = None;
        let size = wanted.max((2 * size).min(self.job.most_places));
        let cache = Cache::new(self.job.network, size)?;
        self.memory = Some(Memory { cache, places: Places::new(size), size });
        Ok(true)
    }

    /// Finds places for a prompt, with room left for a text after it, and adds what must be run.
    fn reserve(&mut self, tokens: &[u32], to: &mut Builder) -> Option<Chain> {
        let mut chain = self.last.shared_with(tokens);
        let mut block = self.place(tokens.len() - chain.tokens.len());
        if block.is_none() && self.active.is_empty() && self.opened.is_empty() && to.len() == 0 {
            // Only what was kept for sharing is in the way.
            (self.last, chain) = (Rc::default(), Chain::default());
            block = self.place(tokens.len());
        }
        let known = chain.tokens.len();
        chain.extend(&tokens[known..], block?);
        to.add(&tokens[known..], known, chain.spans());
        Some(chain)
    }

    /// Takes places for `count` tokens where a text still fits beside them.
    fn place(&self, count: usize) -> Option<Block> {
        let places = &self.memory.as_ref()?.places;
        let block = places.take(count)?;
        places.take(self.job.queue.longest().1).map(|_| block)
    }

    /// Draws one token for every row.
    fn step(&mut self, ended: &mut dyn FnMut(Ended)) -> Result<(), Error> {
        let mut batch = Builder::default();
        for row in &self.active {
            let drawn = row.tokens.len();
            let mut keys = row.chain.spans();
            let start = row.tail.as_ref().map_or(0, |tail| tail.range.start);
            keys.push(start..start + drawn);
            let position = row.chain.tokens.len() + drawn - 1;
            batch.add(&row.tokens[drawn - 1..], position, keys);
        }
        let hidden = self.hidden(&batch.build())?;
        let logits = self.job.network.logits(&hidden)?.to_vec2::<f32>()?;
        let rows = std::mem::take(&mut self.active);
        for (mut row, logits) in rows.into_iter().zip(logits) {
            match self.draw(&mut row, &logits)? {
                Some(finish) => ended(row.end(finish)),
                None => self.active.push(row),
            }
        }
        Ok(())
    }

    fn hidden(&self, batch: &Batch) -> Result<Tensor, Error> {
        match &self.memory {
            Some(memory) => Ok(self.job.network.hidden_after(batch, &memory.cache)?),
            None => Err(Error::CacheFull { needed: batch.len(), places: 0 }),
        }
    }

    /// Logits after the tokens at `ends`.
    fn logits(&self, hidden: &Tensor, ends: &[u32]) -> Result<Vec<Vec<f32>>, Error> {
        let ends = Tensor::from_slice(ends, ends.len(), hidden.device())?;
        let last = hidden.index_select(&ends, 0)?;
        Ok(self.job.network.logits(&last)?.to_vec2::<f32>()?)
    }

    /// Draws a row's next token; tells whether that ended it.
    fn draw(&self, row: &mut Active, logits: &[f32]) -> Result<Option<Finish>, Error> {
        let Queued { ask, decoding, seeds, stop, most, .. } = &*row.prompt;
        let seen = [row.chain.tokens.as_slice(), row.tokens.as_slice()];
        let drawn = draw(logits, &seen, decoding, seeds[row.place], row.tokens.len());
        if !drawn.logprob.is_finite() {
            return Err(Error::NotFinite { request: *ask });
        }
        row.tokens.push(drawn.token);
        row.logprob += drawn.logprob;
        let stopped = || !stop.is_empty() && (self.job.stops)(&row.tokens, stop);
        Ok(if self.job.ends.contains(&drawn.token) || stopped() {
            Some(Finish::Stop)
        } else if row.tokens.len() == *most {
            Some(Finish::Length)
        } else {
            None
        })
    }
}

impl Active {
    fn end(self, finish: Finish) -> Ended {
        Ended {
            ask: self.prompt.ask,
            draw: self.place,
            prompt_tokens: self.chain.tokens.len(),
            tokens: self.tokens,
            logprob: self.logprob,
            finish,
            stop: Arc::clone(&self.prompt.stop),
        }
    }
}
