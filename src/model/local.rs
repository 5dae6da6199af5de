//! A model on this machine: a Hugging Face folder on candle.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use candle_core::{DType, Device};
use serde::Deserialize;
use serde_json::Value;

use super::chat::Chat;
use super::config::{Config, ids};
use super::folder::{file_of, parse};
use super::generate::{Draw, Ended, Job, Worker, groups};
use super::network::Network;
use super::score::score;
use super::threads::{alone, join};
use super::tokenizer::Tokenizer;
use super::{Continuation, Error, LanguageModel, Message, Prompt, Reply, Request, Scored};
use super::{Weights, weights};

/// A model that is loaded.
#[derive(Debug)]
pub struct Local {
    network: Network,
    tokenizer: Tokenizer,
    chat: Chat,
    ends: Vec<u32>,
}

#[derive(Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<Value>,
}

impl Local {
    /// Loads the model whose folder holds `files`, by name, in f32.
    ///
    /// # Errors
    /// Where a file is missing, damaged, or does not fit the others.
    pub fn open(files: &BTreeMap<String, PathBuf>, device: &Device) -> Result<Self, Error> {
        let config = Arc::new(Config::open(files)?);
        let weights = weights::load(files, &config, DType::F32, device)?;
        Self::with_weights(files, config, &weights)
    }

    /// Puts the model of a folder together with weights that are not, or not yet, in it.
    ///
    /// # Errors
    /// Where a file is missing, damaged, or does not fit the others.
    pub fn with_weights(
        files: &BTreeMap<String, PathBuf>,
        config: Arc<Config>,
        weights: &Weights,
    ) -> Result<Self, Error> {
        let tokenizer = Tokenizer::open(file_of(files, "tokenizer.json")?, config.vocab_size)?;
        let chat = Chat::open(files)?;
        let mut ends = config.eos_token_ids.clone();
        if let Some(path) = files.get("generation_config.json") {
            let published: GenerationConfig = parse(path)?;
            let more = ids(published.eos_token_id);
            let fail = |reason| Error::Config { path: path.clone(), reason };
            ends.extend(more.map_err(fail)?);
        }
        ends.sort_unstable();
        ends.dedup();
        match ends.last() {
            None => return Err(Error::NoEnd),
            Some(&id) if id as usize >= config.vocab_size => {
                return Err(Error::EndOutside { id, vocabulary: config.vocab_size });
            }
            Some(_) => {}
        }
        let network = Network::new(config, weights)?;
        Ok(Self { network, tokenizer, chat, ends })
    }

    /// Puts a model together from its parts; `ends` are the ids that end a text.
    #[must_use]
    pub const fn new(network: Network, tokenizer: Tokenizer, chat: Chat, ends: Vec<u32>) -> Self {
        Self { network, tokenizer, chat, ends }
    }

    /// The decoder.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The chat template.
    #[must_use]
    pub const fn chat(&self) -> &Chat {
        &self.chat
    }

    /// The ids that the model reads for a prompt.
    ///
    /// # Errors
    /// Where the template refuses it.
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, Error> {
        match prompt {
            Prompt::Messages(messages) => self.tokenizer.encode(&self.chat.render(messages, true)?),
            Prompt::Tokens(tokens) => Ok(tokens.clone()),
        }
    }

    /// The ids of a conversation and of its answer, up to the token that ends the turn: an example
    /// to train on.
    ///
    /// # Errors
    /// Where the template refuses it.
    pub fn example(
        &self,
        messages: &[Message],
        answer: &str,
    ) -> Result<(Vec<u32>, Vec<u32>), Error> {
        let (prompt, target) = self.chat.split(messages, answer)?;
        let prompt = self.tokenizer.encode(&prompt)?;
        let mut target = self.tokenizer.encode(&target)?;
        if let Some(end) = target.iter().rposition(|id| self.ends.contains(id)) {
            target.truncate(end + 1);
        }
        Ok((prompt, target))
    }

    /// Tokenises prompts; each must leave room for a token.
    fn prompts<'p>(
        &self,
        prompts: impl Iterator<Item = &'p Prompt>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let context = self.network.config().max_position_embeddings;
        let check = |(request, prompt): (usize, &Prompt)| {
            let tokens = self.tokens(prompt)?;
            if tokens.is_empty() {
                return Err(Error::EmptyPrompt { request });
            }
            if tokens.len() >= context {
                return Err(Error::TooLong { request, tokens: tokens.len(), context });
            }
            self.check_ids(request, &tokens)?;
            Ok(tokens)
        };
        prompts.enumerate().map(check).collect()
    }

    fn check_ids(&self, request: usize, tokens: &[u32]) -> Result<(), Error> {
        let vocabulary = self.network.config().vocab_size;
        match tokens.iter().find(|id| **id as usize >= vocabulary) {
            Some(&id) => Err(Error::NoSuchToken { request, id, vocabulary }),
            None => Ok(()),
        }
    }

    fn reply(&self, ended: &Ended, stop: &[String]) -> Result<Reply, Error> {
        // The token that ends a text is not part of it, whether or not the tokenizer calls it special.
        let written = match ended.tokens.split_last() {
            Some((last, before)) if self.ends.contains(last) => before,
            _ => &ended.tokens,
        };
        let mut text = self.tokenizer.decode(written)?;
        if let Some(end) = stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(end);
        }
        let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
        Ok(Reply {
            text,
            prompt_tokens: count(ended.prompt_tokens),
            completion_tokens: count(written.len()),
            tokens: ended.tokens.clone(),
            finish: ended.finish,
            logprob: Some(ended.logprob),
        })
    }

    /// Whether one of the last tokens completed one of the texts that end a request.
    fn stops(&self, tokens: &[u32], stop: &[String]) -> bool {
        // A token is a byte at least, and the first few may be half a character.
        let reach = stop.iter().map(String::len).max().unwrap_or(0) + 4;
        let tail = &tokens[tokens.len().saturating_sub(reach)..];
        // What cannot be decoded is told once the text has ended.
        let text = self.tokenizer.decode(tail).unwrap_or_default();
        stop.iter().any(|stop| text.contains(stop.as_str()))
    }
}

/// Texts that one worker has in flight.
const ROWS: usize = 64;

/// Bytes of keys and values that one worker may keep, but for what a single text needs.
const CACHE_BYTES: usize = 1 << 30;

/// From this many weights on, threads share a product rather than the requests.
const WIDE: usize = 64 << 20;

impl LanguageModel for Local {
    fn generate(
        &self,
        requests: &[Request],
        reply: &mut dyn FnMut(usize, Reply),
    ) -> Result<(), Error> {
        let prompts = self.prompts(requests.iter().map(|request| &request.prompt))?;
        let config = self.network.config();
        let draws: Vec<Draw<'_>> = requests
            .iter()
            .zip(&prompts)
            .map(|(Request { decoding, stop, seed, .. }, prompt)| {
                let left = config.max_position_embeddings - prompt.len();
                let most = left.min(decoding.max_tokens as usize).max(1);
                Draw { decoding: *decoding, stop, seed: *seed, most }
            })
            .collect();
        let longest = draws.iter().map(|draw| draw.most).max().unwrap_or(1);
        let prompt = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let groups = groups(prompts);
        let workers = if weight_count(config) < WIDE {
            rayon::current_num_threads().min(groups.len()).max(1)
        } else {
            1
        };
        let rows = ROWS.min(requests.len().div_ceil(workers)).max(1);
        let budget = CACHE_BYTES / config.cache_bytes_per_token();
        let job = Job {
            network: &self.network,
            draws: &draws,
            queue: &Mutex::new(groups),
            ends: &self.ends,
            stops: &|tokens, stop| self.stops(tokens, stop),
            rows,
            places: ((rows + 1) * (prompt + longest)).min(budget).max(2 * prompt + longest),
            longest,
        };
        let mut first_error = Ok(());
        let mut hand_over = |ended: Ended| match self.reply(&ended, draws[ended.request].stop) {
            Ok(text) => reply(ended.request, text),
            Err(error) if first_error.is_ok() => first_error = Err(error),
            Err(_) => {}
        };
        run_workers(&job, workers, &mut hand_over)?;
        first_error
    }

    fn score(&self, requests: &[Scored]) -> Result<Vec<Vec<f64>>, Error> {
        let prompts = self.prompts(requests.iter().map(|request| &request.prompt))?;
        let context = self.network.config().max_position_embeddings;
        let mut continuations = Vec::new();
        for (request, (Scored { continuations: given, .. }, prompt)) in
            requests.iter().zip(&prompts).enumerate()
        {
            let tokens = |continuation: &Continuation| match continuation {
                Continuation::Text(text) => self.tokenizer.encode(text),
                Continuation::Tokens(tokens) => Ok(tokens.clone()),
            };
            let given: Vec<Vec<u32>> = given.iter().map(tokens).collect::<Result<_, _>>()?;
            let tokens = prompt.len() + given.iter().map(Vec::len).max().unwrap_or(0);
            if tokens > context {
                return Err(Error::TooLong { request, tokens, context });
            }
            given.iter().try_for_each(|tokens| self.check_ids(request, tokens))?;
            continuations.push(given);
        }
        score(&self.network, groups(prompts), &continuations)
    }
}

/// Lets workers draw, and hands each text over on this thread as it ends.
fn run_workers(
    job: &Job<'_>,
    workers: usize,
    hand_over: &mut dyn FnMut(Ended),
) -> Result<(), Error> {
    if workers == 1 {
        return Worker::new(job)?.run(hand_over);
    }
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let start = |sender: mpsc::Sender<Ended>| {
            let mut send = move |ended| drop(sender.send(ended));
            scope.spawn(move || alone(|| Worker::new(job)?.run(&mut send))?)
        };
        let workers: Vec<_> = (0..workers).map(|_| start(sender.clone())).collect();
        drop(sender);
        receiver.into_iter().for_each(hand_over);
        workers.into_iter().try_for_each(join)
    })
}

fn weight_count(config: &Config) -> usize {
    let count = |parameter: weights::Parameter| parameter.shape.iter().product::<usize>();
    weights::parameters(config).into_iter().map(count).sum()
}
