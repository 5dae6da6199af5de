//! Drawing texts in batches: prompts that begin alike are run once, texts of different lengths share
//! a batch without padding, and a finished text's place is taken by the next at once.
//!
//! Keys and values are kept in blocks that are taken as texts grow. Where none is left, the youngest text is
//! put back: what it drew stays, and its keys and values are computed again when there is room. Within one run of
//! the network all new keys and values are stored before anything attends, so that a prompt may build on one of
//! the same run.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::blocks::{Block, Blocks};
use super::cache::Cache;
use super::network::{Batch, Network};
use super::ops::{BLOCK, Placed, Weighed};
use super::queue::{Queue, Queued};
use super::sample::{Asked, Drawn, draw, draw_on_device};
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
    /// Blocks of keys and values at most.
    pub(super) blocks: usize,
}

/// Tokens of prompts that one run of the network takes on the CPU, about: what one operation makes of them is still
/// near when the next one reads it.
const PROMPT_TOKENS_ON_CPU: usize = 256;

/// The same on a device, which wants to be full.
pub(super) const PROMPT_TOKENS_ON_DEVICE: usize = 1024;

/// Rows whose logits are computed at once.
pub(super) const LOGITS_AT_ONCE: usize = 128;

/// Tokens for the next run of the network.
#[derive(Default)]
pub(super) struct Builder {
    batch: Batch,
    rows: Vec<Placed>,
}

impl Builder {
    /// Adds a row of `tokens` from `position` on, with the blocks of all its positions.
    pub(super) fn add(&mut self, tokens: &[u32], position: usize, blocks: &[Rc<Block>]) {
        let queries = self.batch.push(tokens, position);
        let blocks = blocks.iter().map(|block| block.place).collect();
        self.rows.push(Placed { queries, start: position, blocks });
    }

    /// Tokens added so far.
    pub(super) fn len(&self) -> usize {
        self.batch.len()
    }

    /// Runs what was added, and returns the hidden state of every token.
    pub(super) fn run(&self, network: &Network, cache: &mut Cache) -> Result<Tensor, Error> {
        let blocks = self.rows.iter().flat_map(|row| &row.blocks);
        cache.reach(blocks.max().map_or(0, |last| last + 1));
        Ok(network.hidden_after(&self.batch, &self.rows, cache)?)
    }
}

/// A prompt that was run, and the draws that have not begun.
struct Opened {
    prompt: Rc<Queued>,
    blocks: Vec<Rc<Block>>,
    /// The first token of each draw, the next one's first.
    first: VecDeque<(usize, Drawn)>,
}

/// A text being drawn. Its last token is not run yet.
struct Active {
    prompt: Rc<Queued>,
    /// Its place among the prompt's draws.
    place: usize,
    /// The blocks of all tokens that were run.
    blocks: Vec<Rc<Block>>,
    tokens: Vec<u32>,
    logprob: f64,
}

/// A token that is wanted: after which of the tokens that were run, and of which text.
struct Wanted<'w> {
    after: u32,
    prompt: &'w Queued,
    place: usize,
    tokens: &'w [u32],
}

/// One thread's share of the work.
pub(super) struct Worker<'j> {
    job: &'j Job<'j>,
    /// Called after prompts were taken from the queue.
    taken: &'j dyn Fn(),
    cache: Cache,
    blocks: Rc<Blocks>,
    opened: VecDeque<Opened>,
    active: Vec<Active>,
    /// Texts that wait for blocks, the first to go on first. They hold none.
    put_back: VecDeque<Active>,
    logits: Vec<f32>,
}

/// What a run of prompts was of.
enum Begun {
    Prompt(Queued, Vec<Rc<Block>>),
    Text(Active),
}

impl<'j> Worker<'j> {
    pub(super) fn new(job: &'j Job<'j>, taken: &'j dyn Fn()) -> Result<Self, Error> {
        let network = job.network;
        Ok(Self {
            job,
            taken,
            cache: Cache::new(network.config(), job.blocks, network.numbers_on())?,
            blocks: Blocks::new(job.blocks),
            opened: VecDeque::new(),
            active: Vec::new(),
            put_back: VecDeque::new(),
            logits: Vec::new(),
        })
    }

    /// Draws until the queue says that nothing more will come, or is given up.
    pub(super) fn run(&mut self, ended: &mut dyn FnMut(Ended)) -> Result<(), Error> {
        while !self.job.queue.is_given_up() {
            self.begin(ended)?;
            while self.opened.is_empty() && self.active.len() < self.job.rows && self.open()? {
                self.begin(ended)?;
            }
            if !self.active.is_empty() {
                self.step(ended)?;
            } else if !self.job.queue.wait() {
                break;
            }
        }
        Ok(())
    }

    /// Fills the free rows with draws of prompts that were run.
    fn begin(&mut self, ended: &mut dyn FnMut(Ended)) -> Result<(), Error> {
        while self.active.len() < self.job.rows {
            let Some(opened) = self.opened.front_mut() else { return Ok(()) };
            let Some((place, drawn)) = opened.first.front().copied() else {
                self.opened.pop_front();
                continue;
            };
            let mut blocks = opened.blocks.clone();
            let partial = !opened.prompt.tokens.len().is_multiple_of(BLOCK);
            if let Some(last) = blocks.last_mut().filter(|_| partial)
                // Who is first goes on in the prompt's own block: what comes after the prompt in it is
                // nobody else's.
                && Rc::strong_count(last) > 2
            {
                let Some(own) = self.blocks.take() else { return Ok(()) };
                self.cache.reach(own.place + 1);
                self.cache.copy(last.place, own.place)?;
                *last = own;
            }
            opened.first.pop_front();
            let prompt = Rc::clone(&opened.prompt);
            let mut row = Active { prompt, place, blocks, tokens: Vec::new(), logprob: 0.0 };
            match self.job.takes(&mut row, drawn) {
                Some(finish) => ended(row.end(finish)),
                None => self.active.push(row),
            }
        }
        Ok(())
    }

    /// Runs the next prompts, and texts that were put back; tells whether there were any.
    fn open(&mut self) -> Result<bool, Error> {
        let mut batch = Builder::default();
        let mut begun = Vec::new();
        let mut waiting = 0;
        let on_cpu = self.job.network.device().is_cpu();
        let most = if on_cpu { PROMPT_TOKENS_ON_CPU } else { PROMPT_TOKENS_ON_DEVICE };
        while waiting < self.job.rows - self.active.len() && batch.len() < most {
            if let Some(mut row) = self.put_back.pop_front() {
                let Some(blocks) = self.reserve(&row.run(), begun.is_empty(), &mut batch) else {
                    self.put_back.push_front(row);
                    break;
                };
                row.blocks = blocks;
                waiting += 1;
                begun.push(Begun::Text(row));
                continue;
            }
            let Some(prompt) = self.job.queue.take() else { break };
            self.job.check(&prompt)?;
            let Some(blocks) = self.reserve(&prompt.tokens, begun.is_empty(), &mut batch) else {
                self.job.queue.put_back(prompt);
                break;
            };
            waiting += prompt.seeds.len();
            begun.push(Begun::Prompt(prompt, blocks));
        }
        (self.taken)();
        if begun.is_empty() {
            return Ok(false);
        }
        let hidden = batch.run(self.job.network, &mut self.cache)?;
        self.first_tokens(&hidden, &batch, begun)?;
        Ok(true)
    }

    /// Draws the first token of every draw of the prompts that were run.
    fn first_tokens(
        &mut self,
        hidden: &Tensor,
        batch: &Builder,
        begun: Vec<Begun>,
    ) -> Result<(), Error> {
        let mut wanted = Vec::new();
        for (begun, row) in begun.iter().zip(&batch.rows) {
            let Begun::Prompt(prompt, _) = begun else { continue };
            let after = number(row.queries.end - 1);
            let want = |place| Wanted { after, prompt, place, tokens: &[] };
            wanted.extend((0..prompt.seeds.len()).map(want));
        }
        let mut drawn = self.job.draw(hidden, &wanted, &mut self.logits)?.into_iter();
        for begun in begun {
            match begun {
                Begun::Text(row) => self.active.push(row),
                Begun::Prompt(prompt, blocks) => {
                    let first = (0..).zip(drawn.by_ref().take(prompt.seeds.len())).collect();
                    self.opened.push_back(Opened { prompt: Rc::new(prompt), blocks, first });
                }
            }
        }
        Ok(())
    }

    /// Finds blocks for `tokens`, and adds what must be run. Unless nothing else is in the way, a block is
    /// left for each text in flight.
    fn reserve(&self, tokens: &[u32], is_first: bool, to: &mut Builder) -> Option<Vec<Rc<Block>>> {
        // At least one token is left to run.
        let mut blocks = self.blocks.find(&tokens[..tokens.len() - 1]);
        let known = blocks.len() * BLOCK;
        let wanted = tokens.len().div_ceil(BLOCK) - blocks.len();
        let alone = is_first && self.active.is_empty() && self.opened.is_empty();
        let spare = if alone { 0 } else { self.active.len() + 1 };
        if self.blocks.left() < wanted + spare {
            return None;
        }
        for _ in 0..wanted {
            blocks.push(self.blocks.take()?);
        }
        self.blocks.learn(tokens, &blocks);
        to.add(&tokens[known..], known, &blocks);
        Some(blocks)
    }

    /// Draws one token for every row.
    fn step(&mut self, ended: &mut dyn FnMut(Ended)) -> Result<(), Error> {
        self.make_room(ended);
        if self.active.is_empty() {
            return Ok(());
        }
        let mut batch = Builder::default();
        for row in &self.active {
            let drawn = row.tokens.len();
            let position = row.prompt.tokens.len() + drawn - 1;
            batch.add(&row.tokens[drawn - 1..], position, &row.blocks);
        }
        let hidden = batch.run(self.job.network, &mut self.cache)?;
        let wanted: Vec<Wanted<'_>> = (0..).zip(&self.active).map(Active::wanted).collect();
        let drawn = self.job.draw(&hidden, &wanted, &mut self.logits)?;
        for (mut row, drawn) in std::mem::take(&mut self.active).into_iter().zip(drawn) {
            match self.job.takes(&mut row, drawn) {
                Some(finish) => ended(row.end(finish)),
                None => self.active.push(row),
            }
        }
        Ok(())
    }

    /// Gives every text a block for its next token, and puts some back where there are too few.
    fn make_room(&mut self, ended: &mut dyn FnMut(Ended)) {
        let mut at = 0;
        while let Some(row) = self.active.get_mut(at) {
            let position = row.prompt.tokens.len() + row.tokens.len() - 1;
            if position / BLOCK < row.blocks.len() {
                at += 1;
            } else if let Some(block) = self.blocks.take() {
                row.blocks.push(block);
            } else {
                self.yield_some(ended);
            }
        }
    }

    /// Puts back the draws that have not begun of the youngest prompt, or else the youngest text.
    fn yield_some(&mut self, ended: &mut dyn FnMut(Ended)) {
        if let Some(Opened { prompt, first, .. }) = self.opened.pop_back() {
            for (place, drawn) in first.into_iter().rev() {
                let (prompt, blocks) = (Rc::clone(&prompt), Vec::new());
                let mut row = Active { prompt, place, blocks, tokens: Vec::new(), logprob: 0.0 };
                match self.job.takes(&mut row, drawn) {
                    Some(finish) => ended(row.end(finish)),
                    None => self.put_back.push_front(row),
                }
            }
        } else if let Some(row) = self.active.pop() {
            self.put_back.push_front(Active { blocks: Vec::new(), ..row });
        }
    }
}

impl Job<'_> {
    /// Checks that a prompt and the longest text after it fit the cache with nothing else in it.
    fn check(&self, prompt: &Queued) -> Result<(), Error> {
        // The last token is never run, so it needs no place.
        let needed = prompt.tokens.len() + prompt.most - 1;
        let places = self.blocks * BLOCK;
        if needed > places { Err(Error::CacheFull { needed, places }) } else { Ok(()) }
    }

    /// Draws the tokens that are wanted, which are in the order of the tokens that they come after.
    fn draw(
        &self,
        hidden: &Tensor,
        wanted: &[Wanted<'_>],
        logits: &mut Vec<f32>,
    ) -> Result<Vec<Drawn>, Error> {
        let mut after: Vec<u32> = wanted.iter().map(|wanted| wanted.after).collect();
        after.dedup();
        let vocabulary = self.network.config().vocab_size;
        let mut drawn = Vec::with_capacity(wanted.len());
        for after in after.chunks(LOGITS_AT_ONCE) {
            let rows = Tensor::from_slice(after, after.len(), hidden.device())?;
            let hidden = hidden.index_select(&rows, 0)?;
            let last = after[after.len() - 1];
            let count = wanted[drawn.len()..].partition_point(|wanted| wanted.after <= last);
            let wanted = &wanted[drawn.len()..drawn.len() + count];
            let row = |wanted: &Wanted<'_>| after.partition_point(|after| *after < wanted.after);
            if !hidden.device().is_cpu() {
                let asked: Vec<_> =
                    wanted.iter().map(|wanted| (row(wanted), wanted.asked())).collect();
                drawn.extend(draw_on_device(&self.network.logits(&hidden)?, &asked)?);
                continue;
            }
            self.network.logits_to(&hidden, logits)?;
            let logits = &*logits;
            let one = |room: &mut Weighed, wanted: &Wanted<'_>| {
                draw(&logits[row(wanted) * vocabulary..][..vocabulary], &wanted.asked(), room)
            };
            if rayon::current_num_threads() == 1 {
                let mut room = Weighed::default();
                drawn.extend(wanted.iter().map(|wanted| one(&mut room, wanted)));
            } else {
                drawn.par_extend(wanted.par_iter().map_init(Weighed::default, one));
            }
        }
        match wanted.iter().zip(&drawn).find(|(_, drawn)| !drawn.logprob.is_finite()) {
            Some((Wanted { prompt, .. }, _)) => Err(Error::NotFinite { request: prompt.ask }),
            None => Ok(drawn),
        }
    }

    /// Gives a text its next token; tells whether that ended it.
    fn takes(&self, row: &mut Active, drawn: Drawn) -> Option<Finish> {
        row.tokens.push(drawn.token);
        row.logprob += drawn.logprob;
        let stop = &row.prompt.stop;
        let stopped = || !stop.is_empty() && (self.stops)(&row.tokens, stop);
        if self.ends.contains(&drawn.token) || stopped() {
            Some(Finish::Stop)
        } else if row.tokens.len() == row.prompt.most {
            Some(Finish::Length)
        } else {
            None
        }
    }
}

impl Wanted<'_> {
    fn asked(&self) -> Asked<'_> {
        let Queued { decoding, seeds, tokens, .. } = self.prompt;
        let (seed, step) = (seeds[self.place], self.tokens.len());
        Asked { seen: [tokens, self.tokens], decoding, seed, step }
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Active {
    /// What is wanted after its last token, which is the token number `after` of a run.
    fn wanted((after, row): (u32, &Self)) -> Wanted<'_> {
        Wanted { after, prompt: &row.prompt, place: row.place, tokens: &row.tokens }
    }

    /// The tokens that have to have been run for the last to be.
    fn run(&self) -> Vec<u32> {
        [&self.prompt.tokens, &self.tokens[..self.tokens.len() - 1]].concat()
    }

    fn end(self, finish: Finish) -> Ended {
        Ended {
            ask: self.prompt.ask,
            draw: self.place,
            prompt_tokens: self.prompt.tokens.len(),
            tokens: self.tokens,
            logprob: self.logprob,
            finish,
            stop: Arc::clone(&self.prompt.stop),
        }
    }
}
