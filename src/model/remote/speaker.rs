//! What is said to a model in another program, and what its replies mean: the same over HTTP and in files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::choose::{normalised, pick};
use super::super::language::Language;
use super::super::{
    Arguments, Config, Engine, Error as ModelError, Finish, Refusal, Reply, is_scripted,
};
use super::error::Error;
use super::how::Calls;
use super::job::{Job, Weighing};
use super::protocol::Protocol;
use super::request::Form;
use super::response::{Answer, Ended, Text, Usage};

/// What a model in another program is called, and what is known of it here.
#[derive(Debug)]
pub struct Whose<'w> {
    /// What it is served as.
    pub name: String,
    /// Its files by name, where it is no stranger: then template and tokens are ours.
    pub files: Option<&'w BTreeMap<String, PathBuf>>,
    /// What its chat template is given.
    pub arguments: &'w Arguments,
    /// Where it is laid out as a folder, and where its engine's words are kept.
    pub folder: PathBuf,
    /// Its adapter's folder and rank, where that is served on the base in `folder`.
    pub adapter: Option<(PathBuf, usize)>,
    /// What was spent on the experiment before.
    pub spent: f64,
}

/// What is said to a model, and what its replies mean.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) name: String,
    pub(super) language: Option<Language>,
    pub(super) protocol: Protocol,
    pub(super) calls: Calls,
    /// Tokens that it takes, as far as is known.
    context: AtomicUsize,
}

impl Speaker {
    pub(super) fn new(engine: &Engine, whose: &Whose<'_>) -> Result<Self, ModelError> {
        let (Some(protocol), Some(calls)) = (engine.protocol.clone(), engine.how.calls().cloned())
        else {
            return Err(Error::Cannot("be asked: nothing says where it is").into());
        };
        let language = language(whose)?;
        let known = language.as_ref().map_or(usize::MAX, |language| language.context);
        let context = AtomicUsize::new(protocol.context.unwrap_or(usize::MAX).min(known));
        Ok(Self { name: whose.name.clone(), language, protocol, calls, context })
    }

    pub(super) fn form(&self) -> Form<'_> {
        Form { dialect: &self.calls.dialect, protocol: &self.protocol, name: &self.name }
    }

    pub(super) fn context(&self) -> usize {
        self.context.load(Ordering::Relaxed)
    }

    /// Learns that a server takes so many tokens.
    pub(super) fn takes(&self, tokens: usize) {
        self.context.fetch_min(tokens, Ordering::Relaxed);
    }

    /// What tokens cost, where they have prices.
    pub(super) fn price(&self, usage: Usage) -> Option<f64> {
        let prices = self.calls.prices.as_ref()?;
        Some(prices.of(usage.prompt_tokens.into(), usage.completion_tokens.into()))
    }

    /// A server may say more exactly which one it is: `gpt-4o` is `gpt-4o-2024-08-06`.
    pub(super) fn is_me(&self, replied: &str) -> bool {
        replied.starts_with(&self.name) || self.calls.dialect.serves_path
    }

    /// What an answer says of each of its draws.
    pub(super) fn replies(
        &self,
        job: &Job,
        answer: Answer,
        weighing: Option<&Weighing<'_>>,
    ) -> Result<Vec<Reply>, ModelError> {
        let money = self.price(answer.usage);
        let mut replies = match weighing {
            None => self.texts(job, answer)?,
            Some(weighing) => weighed(job, answer, weighing.among),
        };
        // One request is paid for once, however many draws it answers.
        for (nth, reply) in replies.iter_mut().enumerate() {
            reply.money = money.map(|money| if nth == 0 { money } else { 0.0 });
        }
        Ok(replies)
    }

    fn texts(
        &self,
        job: &Job,
        Answer { texts, usage, .. }: Answer,
    ) -> Result<Vec<Reply>, ModelError> {
        let each = u32::try_from(texts.len().max(1)).unwrap_or(1);
        let usage = Usage { completion_tokens: usage.completion_tokens / each, ..usage };
        texts.into_iter().map(|text| self.reply(job, text, usage)).collect()
    }

    fn reply(&self, job: &Job, text: Text, usage: Usage) -> Result<Reply, ModelError> {
        let Text { content, reasoning, ids, logprob, ended, .. } = text;
        let finish = match ended {
            Ended::Stop => Finish::Stop,
            Ended::Length => Finish::Length,
            Ended::Filtered => {
                let filtered = Refusal::ByServer("the text was filtered".to_owned());
                return Ok(Reply::refused(filtered));
            }
        };
        // Ids of a tokenizer that is not known here say nothing.
        let ids = ids.filter(|_| self.protocol.token_ids).unwrap_or_default();
        let (mut text, tokens, drawn) = match &self.language {
            Some(language) if !ids.is_empty() => {
                let written = language.without_end(&ids);
                let drawn = u32::try_from(written.len()).unwrap_or(u32::MAX);
                // The ids are what was drawn; the text is what they say.
                (language.tokenizer.decode(written)?, ids, drawn)
            }
            _ => (with_reasoning(content, reasoning), Vec::new(), usage.completion_tokens),
        };
        if let Some(end) = job.stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(end);
        }
        Ok(Reply {
            text,
            tokens,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: drawn,
            finish,
            logprob: logprob.filter(|logprob| self.protocol.logprobs && logprob.is_finite()),
            among: None,
            money: None,
        })
    }
}

/// What the folder of a model says of its texts, where it has one.
fn language(whose: &Whose<'_>) -> Result<Option<Language>, ModelError> {
    let Some(files) = whose.files else { return Ok(None) };
    if is_scripted(files)? {
        return Ok(None);
    }
    let mut language = Language::open(files, &Config::open(files)?)?;
    language.chat = language.chat.with_arguments(whose.arguments)?;
    Ok(Some(language))
}

/// What was thought, told apart by the server, is put back where models write it.
fn with_reasoning(content: String, reasoning: Option<String>) -> String {
    match reasoning.filter(|reasoning| !reasoning.is_empty()) {
        Some(reasoning) => format!("<think>{reasoning}</think>{content}"),
        None => content,
    }
}

/// Weighs the texts by how likely their first tokens are, and draws one of them for each draw.
fn weighed(job: &Job, answer: Answer, among: &[String]) -> Vec<Reply> {
    let Answer { texts, usage, .. } = answer;
    let told = texts.into_iter().next().map(|text| text.next).unwrap_or_default();
    let least = told.iter().map(|(_, logprob)| *logprob).fold(f64::INFINITY, f64::min);
    let find = |names: &Vec<String>| {
        let named = |(token, _): &&(String, f64)| names.iter().any(|name| name == token.trim());
        told.iter().filter(named).map(|(_, logprob)| *logprob).reduce(f64::max)
    };
    let found: Vec<Option<f64>> = job.next.names.iter().map(find).collect();
    if found.iter().all(Option::is_none) {
        let why =
            format!("none of {} is among the {} likeliest tokens", among.join(", "), told.len());
        return vec![Reply::refused(Refusal::ByServer(why)); job.draws.len()];
    }
    // What is not among those that are told is at most as likely as the least likely of them.
    let scores: Vec<f64> = found.into_iter().map(|logprob| logprob.unwrap_or(least)).collect();
    let among_them = normalised(&scores);
    let begun = u32::try_from(job.next.begun).unwrap_or(u32::MAX);
    let reply = |seed: &u64| {
        let chosen = pick(&among_them, job.temperature, *seed);
        Reply {
            text: among[chosen].clone(),
            tokens: Vec::new(),
            prompt_tokens: usage.prompt_tokens.saturating_sub(begun),
            completion_tokens: 0,
            finish: Finish::Stop,
            // How likely the beginning that all share is, nobody said.
            logprob: Some(scores[chosen]).filter(|_| begun == 0),
            among: Some(among_them.clone()),
            money: None,
        }
    };
    job.seeds.iter().map(reply).collect()
}
