//! What a model reads and writes: text to ids by its chat template and tokenizer, and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::chat::{Arguments, Chat};
use super::config::{Config, ids};
use super::folder::{file_of, gguf_of, parse};
use super::generate::Ended;
use super::gguf::Gguf;
use super::queue::Queued;
use super::tokenizer::Tokenizer;
use super::{Ask, Continuation, Error, Message, Prompt, Refusal, Reply};

/// A conversation and an answer that was given as a text, as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokenised {
    /// What the model is asked with.
    pub prompt: Vec<u32>,
    /// The answer and the token that ends it.
    pub target: Vec<u32>,
    /// Whether the answer was tokenised by itself: with the prompt before it, the prompt's own ids would
    /// be others.
    pub apart: bool,
}

/// A chat template, a tokenizer, and the ids that end a text.
#[derive(Debug)]
pub struct Language {
    pub(super) tokenizer: Tokenizer,
    pub(super) chat: Chat,
    pub(super) ends: Vec<u32>,
    /// Tokens that the model takes.
    pub(super) context: usize,
    /// Ids that there are.
    pub(super) vocabulary: usize,
}

#[derive(Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<Value>,
}

/// What a GGUF file says of its texts, for a model of so many ids.
fn of_gguf(path: &Path, vocabulary: usize) -> Result<(Tokenizer, Chat), Error> {
    let gguf = Gguf::open(path)?;
    let tokenizer = Tokenizer::new(gguf.tokenizer()?, path, vocabulary)?;
    let (template, tokens) = gguf.chat_template()?;
    Ok((tokenizer, Chat::new(template.to_owned(), None, None)?.with_tokens(tokens)))
}

impl Language {
    /// Reads what the folder of a model says of its texts.
    ///
    /// # Errors
    /// Where a file is missing, damaged, or does not fit the others.
    pub fn open(files: &BTreeMap<String, PathBuf>, config: &Config) -> Result<Self, Error> {
        let vocabulary = config.vocab_size;
        let (tokenizer, chat) = match gguf_of(files) {
            Some(path) => of_gguf(path, vocabulary)?,
            None => (
                Tokenizer::open(file_of(files, "tokenizer.json")?, vocabulary)?,
                Chat::open(files)?,
            ),
        };
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
            Some(&id) if id as usize >= vocabulary => {
                return Err(Error::EndOutside { id, vocabulary });
            }
            Some(_) => {}
        }
        Ok(Self { tokenizer, chat, ends, context: config.max_position_embeddings, vocabulary })
    }

    /// Gives the chat template arguments.
    ///
    /// # Errors
    /// Where the template never reads one of them.
    pub fn with_arguments(mut self, arguments: &Arguments) -> Result<Self, Error> {
        self.chat = self.chat.with_arguments(arguments)?;
        Ok(self)
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

    /// The ids of a conversation, and of an answer that is known as a text.
    ///
    /// # Errors
    /// Where the template refuses it.
    pub fn tokenised(&self, messages: &[Message], answer: &str) -> Result<Tokenised, Error> {
        let text = self.chat.render(messages, true)?;
        let prompt = self.tokenizer.encode(&text)?;
        let (mut target, apart) = self.after(&text, &prompt, answer)?;
        target.push(self.end_after(messages)?);
        Ok(Tokenised { prompt, target, apart })
    }

    /// The ids of a text after a prompt, of which the text and the ids are given: those that it has in the
    /// whole; and whether it had to be tokenised by itself, for the prompt would have other ids in it.
    fn after(&self, prompt: &str, ids: &[u32], text: &str) -> Result<(Vec<u32>, bool), Error> {
        let whole = self.tokenizer.encode(&format!("{prompt}{text}"))?;
        Ok(match whole.strip_prefix(ids) {
            Some(after) => (after.to_vec(), false),
            None => (self.tokenizer.encode(text)?, true),
        })
    }

    /// The ids of texts that may follow a prompt.
    ///
    /// # Errors
    /// Where the template refuses the prompt, or the tokenizer fails.
    pub(super) fn continuations(
        &self,
        prompt: &Prompt,
        ids: &[u32],
        given: &[Continuation],
    ) -> Result<Vec<Vec<u32>>, Error> {
        let written = match prompt {
            Prompt::Messages(messages) => Some(self.chat.render(messages, true)?),
            Prompt::Tokens(_) => None,
        };
        let tokens = |given: &Continuation| match (given, &written) {
            (Continuation::Tokens(tokens), _) => Ok(tokens.clone()),
            (Continuation::Text(text), Some(prompt)) => Ok(self.after(prompt, ids, text)?.0),
            (Continuation::Text(text), None) => self.tokenizer.encode(text),
        };
        given.iter().map(tokens).collect()
    }

    /// The id that ends an answer: the one that the template writes, or else the folder's own.
    fn end_after(&self, messages: &[Message]) -> Result<u32, Error> {
        let ending = self.tokenizer.encode(&self.chat.ending(messages)?)?;
        let named = || self.chat.eos_token().and_then(|token| self.tokenizer.id_of(token));
        let is_end = |id: &u32| self.ends.contains(id);
        let written = ending.into_iter().find(is_end).or_else(|| named().filter(is_end));
        written.or_else(|| self.ends.first().copied()).ok_or(Error::NoEnd)
    }

    /// Of the ids that were drawn, those of the answer that they end in; `None` where they do not end
    /// in it.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn ids_of_answer<'i>(
        &self,
        drawn: &'i [u32],
        answer: &str,
    ) -> Result<Option<&'i [u32]>, Error> {
        let written = self.without_end(drawn);
        let decode = |from: usize| self.tokenizer.decode(&written[from..]);
        let (mut from, mut past) = (0, written.len() + 1);
        // What is left gets shorter with each id that is left out.
        while from + 1 < past {
            let middle = usize::midpoint(from, past);
            if decode(middle)?.trim_start().len() < answer.len() {
                past = middle;
            } else {
                from = middle;
            }
        }
        let is_it = decode(from)?.trim_start() == answer;
        Ok(is_it.then(|| &drawn[from..]))
    }

    /// The ids of a text without the one that ends it, if one does.
    pub(super) fn without_end<'i>(&self, ids: &'i [u32]) -> &'i [u32] {
        match ids.split_last() {
            Some((last, before)) if self.ends.contains(last) => before,
            _ => ids,
        }
    }

    /// Tokenises prompts; each must leave room for a token.
    pub(super) fn prompts<'p>(
        &self,
        prompts: impl Iterator<Item = &'p Prompt>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let check = |(request, prompt): (usize, &Prompt)| {
            let tokens = self.tokens(prompt)?;
            match self.too_much(&tokens) {
                Some(refusal) => return Err(Error::Refused { request, refusal }),
                None => self.check_ids(request, &tokens)?,
            }
            Ok(tokens)
        };
        prompts.enumerate().map(check).collect()
    }

    /// Why a prompt of these tokens cannot be answered, if it cannot.
    fn too_much(&self, tokens: &[u32]) -> Option<Refusal> {
        match tokens.len() {
            0 => Some(Refusal::Empty),
            tokens if tokens >= self.context => {
                Some(Refusal::TooLong { tokens, context: self.context })
            }
            _ => None,
        }
    }

    /// The ids of a prompt, or why it is refused.
    pub(super) fn asked(
        &self,
        place: usize,
        prompt: &Prompt,
    ) -> Result<Result<Vec<u32>, Refusal>, Error> {
        let tokens = match self.tokens(prompt) {
            Ok(tokens) => tokens,
            Err(error @ (Error::Template { .. } | Error::Encode(_))) => {
                return Ok(Err(Refusal::Unwritten(error.to_string())));
            }
            Err(error) => return Err(error),
        };
        if let Some(refusal) = self.too_much(&tokens) {
            return Ok(Err(refusal));
        }
        self.check_ids(place, &tokens)?;
        Ok(Ok(tokens))
    }

    /// Renders and tokenises an ask, once for all of its draws.
    pub(super) fn queued(&self, place: usize, ask: Ask) -> Result<Result<Queued, Refusal>, Error> {
        let tokens = match self.asked(place, &ask.prompt)? {
            Ok(tokens) => tokens,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let left = self.context - tokens.len();
        let Ask { decoding, seeds, stop, .. } = ask;
        let most = left.min(decoding.max_tokens as usize).max(1);
        Ok(Ok(Queued { ask: place, tokens, decoding, seeds, stop: stop.into(), most }))
    }

    pub(super) fn check_ids(&self, request: usize, tokens: &[u32]) -> Result<(), Error> {
        let vocabulary = self.vocabulary;
        match tokens.iter().find(|id| **id as usize >= vocabulary) {
            Some(&id) => Err(Error::NoSuchToken { request, id, vocabulary }),
            None => Ok(()),
        }
    }

    pub(super) fn reply(&self, ended: &Ended) -> Result<Reply, Error> {
        // The token that ends a text is not part of it, whether or not the tokenizer calls it special.
        let written = self.without_end(&ended.tokens);
        let mut text = self.tokenizer.decode(written)?;
        if let Some(end) = ended.stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(end);
        }
        let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
        Ok(Reply {
            text,
            prompt_tokens: count(ended.prompt_tokens),
            completion_tokens: count(written.len()),
            tokens: ended.tokens.clone(),
            finish: ended.finish.clone(),
            logprob: Some(ended.logprob),
            among: None,
            money: None,
        })
    }

    /// Whether one of the last tokens completed one of the texts that end a request.
    pub(super) fn stops(&self, tokens: &[u32], stop: &[String]) -> bool {
        // A token is a byte at least, and the first few may be half a character.
        let reach = stop.iter().map(String::len).max().unwrap_or(0) + 4;
        let tail = &tokens[tokens.len().saturating_sub(reach)..];
        // What cannot be decoded is told once the text has ended.
        let text = self.tokenizer.decode(tail).unwrap_or_default();
        stop.iter().any(|stop| text.contains(stop.as_str()))
    }
}
