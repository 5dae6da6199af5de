//! A model on this machine: a Hugging Face folder on candle.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::cache::Cache;
use super::chat::{Arguments, Chat};
use super::choose::choose;
use super::config::Config;
use super::feed::Feed;
use super::generate::{Job, groups};
use super::language::{Language, Tokenised};
use super::network::{Network, Part};
use super::ops::{BLOCK, Packed};
use super::queue::Queue;
use super::refusal::Refusal;
use super::score::score;
use super::tokenizer::Tokenizer;
use super::weights::{Kind, Lying};
use super::{Asker, Error, LanguageModel, Message, Prompt, ScoreRequest, weights};

/// A model that is loaded.
#[derive(Debug)]
pub struct Local {
    network: Network,
    language: Language,
    cache_memory: u64,
}

impl Local {
    /// Loads the model whose folder holds `files`, by name. Its weights stay in the type that they
    /// have; on the CPU all is computed in f32.
    ///
    /// # Errors
    /// Where a file is missing, damaged, or does not fit the others.
    pub fn open(files: &BTreeMap<String, PathBuf>, device: &Device) -> Result<Self, Error> {
        let config = Arc::new(Config::open(files)?);
        let language = Language::open(files, &config)?;
        let network = open_network(files, config, device)?;
        Ok(Self { network, language, cache_memory: CACHE_MEMORY })
    }

    /// Puts a model together from its parts; `ends` are the ids that end a text.
    #[must_use]
    pub fn new(network: Network, tokenizer: Tokenizer, chat: Chat, ends: Vec<u32>) -> Self {
        let config = network.config();
        let (context, vocabulary) = (config.max_position_embeddings, config.vocab_size);
        let language = Language { tokenizer, chat, ends, context, vocabulary };
        Self { network, language, cache_memory: CACHE_MEMORY }
    }

    /// Says how many bytes of keys and values it may keep while it draws. They are taken as they are needed,
    /// and decide no text.
    #[must_use]
    pub const fn with_cache_memory(mut self, bytes: u64) -> Self {
        self.cache_memory = bytes;
        self
    }

    /// Gives the chat template arguments.
    ///
    /// # Errors
    /// Where the template never reads one of them.
    pub fn with_arguments(mut self, arguments: &Arguments) -> Result<Self, Error> {
        self.language = self.language.with_arguments(arguments)?;
        Ok(self)
    }

    /// The decoder.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// What it reads and writes.
    #[must_use]
    pub const fn language(&self) -> &Language {
        &self.language
    }

    /// The chat template.
    #[must_use]
    pub const fn chat(&self) -> &Chat {
        &self.language.chat
    }

    /// The ids that the model reads for a prompt.
    ///
    /// # Errors
    /// Where the template refuses it.
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, Error> {
        self.language.tokens(prompt)
    }

    /// The text of ids, without special tokens.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn text(&self, ids: &[u32]) -> Result<String, Error> {
        self.language.tokenizer.decode(ids)
    }

    /// The ids of a conversation, and of an answer that is known as a text, with the token that ends its
    /// turn: an example to train on.
    ///
    /// # Errors
    /// Where the template refuses it.
    pub fn tokenised(&self, messages: &[Message], answer: &str) -> Result<Tokenised, Error> {
        self.language.tokenised(messages, answer)
    }
}

/// Texts that one worker has in flight.
const ROWS: usize = 64;

/// The same of a large model: every weight that is read from memory serves so many rows.
const ROWS_OF_WIDE: usize = 128;

/// Texts for each worker from which on a large model is worth reading for each of them.
const ROWS_APART: usize = 32;

/// Threads that each read a large model for themselves, at most: what they read comes out of one memory.
const MOST_APART: usize = 4;

/// Bytes of keys and values that are kept, where nobody says.
pub(super) const CACHE_MEMORY: u64 = 1 << 30;

/// From this many weights on, threads share a product rather than the requests, but where they are few and the
/// requests many: then nobody waits for anybody.
const WIDE: usize = 64 << 20;

impl Local {
    /// Whether each of so many threads may have requests of its own, though the model is large.
    fn apart(&self, threads: usize, draws: usize) -> bool {
        let config = self.network.config();
        let longest =
            config.max_position_embeddings.div_ceil(BLOCK) * Cache::bytes_per_block(config);
        self.network.device().is_cpu()
            && threads <= MOST_APART
            && draws >= threads * ROWS_APART
            && self.cache_memory / threads as u64 >= longest as u64
    }
}

impl LanguageModel for Local {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn generate(&self, asker: &mut dyn Asker) -> Result<(), Error> {
        let config = self.network.config();
        let queue = Queue::default();
        let mut feed = Feed::new(&self.language, asker, &queue);
        if feed.fill()?.is_break() {
            return Ok(());
        }
        let wide = self.network.numbers() >= WIDE;
        let threads = rayon::current_num_threads();
        let threads = if wide && !self.apart(threads, queue.draws()) { 1 } else { threads };
        let workers = threads.min(queue.prompts()).max(1);
        let rows = if wide { ROWS_OF_WIDE } else { ROWS };
        let job = Job {
            network: &self.network,
            queue: &queue,
            ends: &self.language.ends,
            stops: &|tokens, stop| self.language.stops(tokens, stop),
            rows: rows.min(queue.draws().div_ceil(workers)).max(1),
            blocks: usize::try_from(self.cache_memory).unwrap_or(usize::MAX)
                / workers
                / Cache::bytes_per_block(config),
        };
        feed.run(&job, workers)
    }

    fn choose(&self, asker: &mut dyn Asker, among: &[String]) -> Result<(), Error> {
        choose(&self.network, &self.language, asker, among)
    }

    fn score(&self, requests: &[ScoreRequest]) -> Result<Vec<Vec<f64>>, Error> {
        let prompts = self.language.prompts(requests.iter().map(|request| &request.prompt))?;
        let context = self.network.config().max_position_embeddings;
        let mut continuations = Vec::new();
        for (request, (ScoreRequest { continuations: given, .. }, prompt)) in
            requests.iter().zip(&prompts).enumerate()
        {
            let given = self.language.continuations(&requests[request].prompt, prompt, given)?;
            let tokens = prompt.len() + given.iter().map(Vec::len).max().unwrap_or(0);
            if tokens > context {
                let refusal = Refusal::TooLong { tokens, context };
                return Err(Error::Refused { request, refusal });
            }
            given.iter().try_for_each(|tokens| self.language.check_ids(request, tokens))?;
            continuations.push(given);
        }
        score(&self.network, groups(prompts), &continuations)
    }
}

/// Opens the network of a folder for drawing: on the CPU, packed for it.
///
/// # Errors
/// Where a weight is missing, damaged, or does not fit the configuration.
pub fn open_network(
    files: &BTreeMap<String, PathBuf>,
    config: Arc<Config>,
    device: &Device,
) -> Result<Network, Error> {
    if device.is_cpu() {
        let parts = packed(files, &config)?;
        return Network::of(config, &parts, None);
    }
    let dtype = weights::dtype_of(files, &config)?;
    let weights = weights::load(files, &config, dtype, device)?;
    Network::new(config, &weights)
}

/// The parts of a network that draws and is not trained.
fn packed(
    files: &BTreeMap<String, PathBuf>,
    config: &Config,
) -> Result<BTreeMap<String, Part>, Error> {
    weights::made_of(files, config, |parameter, lying| {
        let is_head = parameter.kind == Kind::Projection || config.tie_word_embeddings;
        let dims = || (parameter.shape[0], parameter.shape[1]);
        let packed = match lying {
            Lying::Blocks(kind, bytes) => Packed::of_blocks(kind, &bytes, dims())?,
            Lying::Rows(dtype, bytes) if is_head => Packed::of_bytes(dtype, &bytes, dims())?,
            Lying::Rows(dtype, bytes) => {
                let shape = parameter.shape.as_slice();
                let tensor = Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?;
                return Ok(Part::Tensor(tensor));
            }
            Lying::Numbers(tensor) if tensor.rank() == 2 && is_head => Packed::of(&tensor)?,
            Lying::Numbers(tensor) if tensor.rank() == 2 => return Ok(Part::Tensor(tensor)),
            Lying::Numbers(tensor) => return Ok(Part::Tensor(tensor.to_dtype(DType::F32)?)),
        };
        Ok(Part::Packed(Arc::new(packed)))
    })
}
