//! Requests to texts by a model.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use mrx::model::{
    Arguments, Ask, Continuation, Error, Finish, LanguageModel, Local, Message, Prompt, Reply,
    ScoreRequest, Tokenizer, draw_all, rendered,
};
use serde_json::{Map, Value, json};

use super::answers::Job;
use super::body::{Answer, Choice, Told, logprobs};
use super::options::Quirk;
use super::wire::{Kind, Problem, Request, Written};

/// Larger vocabularies are not scored whole.
const MOST_SCORED: usize = 2048;

/// A model, and what it does otherwise than it should.
pub(super) struct Drawer {
    model: Box<dyn LanguageModel>,
    files: BTreeMap<String, PathBuf>,
    tokenizer: Option<Tokenizer>,
    context: usize,
    quirks: Vec<Quirk>,
    /// Seeds that were made up so far.
    made_up: u64,
}

/// A request that can be drawn.
struct Ready {
    job: Job,
    ask: Ask,
    /// Ids of the prompt; none of a scripted model.
    ids: Vec<u32>,
}

fn bad(error: Error) -> Problem {
    Problem::bad(error.to_string())
}

impl Drawer {
    pub(super) fn new(
        model: Box<dyn LanguageModel>,
        files: BTreeMap<String, PathBuf>,
        context: usize,
        quirks: Vec<Quirk>,
    ) -> Self {
        let open = |path| Tokenizer::open(path, usize::MAX).unwrap();
        let tokenizer = files.get("tokenizer.json").map(|path| open(path));
        Self { model, files, tokenizer, context, quirks, made_up: 0 }
    }

    /// Answers requests together, each as if it were alone.
    pub(super) fn answer(&mut self, jobs: Vec<Job>) {
        let mut ready = Vec::new();
        for job in jobs {
            match self.read(&job) {
                Ok((ask, ids)) => ready.push(Ready { job, ask, ids }),
                // A client that is gone needs no reply.
                Err(problem) => drop(job.reply.send(Err(problem))),
            }
        }
        let asks: Vec<Ask> = ready.iter().map(|one| one.ask.clone()).collect();
        let drawn: Vec<Result<Vec<Reply>, Error>> = match draw_all(&*self.model, &asks) {
            Ok(drawn) => drawn.into_iter().map(Ok).collect(),
            // One that fails must not take the others with it.
            Err(_) => {
                asks.chunks(1).map(|ask| Ok(draw_all(&*self.model, ask)?.remove(0))).collect()
            }
        };
        for (Ready { job, ids, .. }, replies) in ready.into_iter().zip(drawn) {
            let Job { kind, request, reply } = job;
            let answer =
                replies.map_err(bad).and_then(|replies| self.told(kind, &request, &ids, &replies));
            drop(reply.send(answer));
        }
    }

    fn local(&self) -> Option<&Local> {
        self.model.as_any().downcast_ref()
    }

    fn has(&self, quirk: &Quirk) -> bool {
        self.quirks.contains(quirk)
    }

    fn read(&mut self, job: &Job) -> Result<(Ask, Vec<u32>), Problem> {
        let request = &job.request;
        let prompt = self.prompt(job.kind, request)?;
        let ids = match self.local() {
            Some(local) => local.tokens(&prompt).map_err(bad)?,
            None => Vec::new(),
        };
        self.check_length(request, ids.len())?;
        let seeds = request.seeds(self.made_up);
        self.made_up += seeds.len() as u64;
        let ask = Ask {
            prompt,
            decoding: request.decoding(job.kind, self.context - ids.len()),
            stop: request.stop(),
            seeds: self.seeds(seeds),
            names: Vec::new(),
        };
        Ok((ask, ids))
    }

    fn seeds(&self, mut seeds: Vec<u64>) -> Vec<u64> {
        if self.has(&Quirk::IgnoresSeed) {
            seeds = (1..=seeds.len() as u64).map(|nth| self.made_up + nth).collect();
        }
        if self.has(&Quirk::SameSamples) {
            seeds.fill(7);
        }
        seeds
    }

    fn prompt(&self, kind: Kind, request: &Request) -> Result<Prompt, Problem> {
        match (kind, &request.prompt, request.messages()) {
            (Kind::Completion, Some(Written::Tokens(ids)), _) => Ok(Prompt::Tokens(ids.clone())),
            (Kind::Completion, _, _) => Err(Problem::bad("the prompt must be a list of token ids")),
            (Kind::Chat, _, None) => Err(Problem::bad("there are no messages")),
            (Kind::Chat, _, Some(messages)) if self.has(&Quirk::TemplateTwice) => {
                let once = rendered(&self.files, &Arguments::default(), &messages).map_err(bad)?;
                Ok(Prompt::Messages(vec![Message::user(once.text)]))
            }
            (Kind::Chat, _, Some(messages)) => Ok(Prompt::Messages(messages)),
        }
    }

    fn check_length(&self, request: &Request, read: usize) -> Result<(), Problem> {
        let context = self.context;
        if read >= context {
            return Err(Problem::too_long(read, context));
        }
        let wanted = request.most_tokens().unwrap_or(0) as usize;
        if self.has(&Quirk::RefusesLongAnswers) && read + wanted > context {
            return Err(Problem::bad(format!(
                "This model's maximum context length is {context} tokens. However, you requested {} \
                 tokens ({read} in the messages, {wanted} in the completion). Please reduce the length of the messages or completion.",
                read + wanted
            )));
        }
        Ok(())
    }

    fn told(
        &self,
        kind: Kind,
        request: &Request,
        ids: &[u32],
        replies: &[Reply],
    ) -> Result<Answer, Problem> {
        let top = self.likeliest(request, ids).map_err(bad)?;
        let choices = replies.iter().map(|reply| self.choice(kind, request, reply, &top));
        let choices = choices.collect::<Result<Vec<_>, _>>()?;
        let wanted = request.return_token_ids && self.local().is_some();
        let prompt_logprobs = match request.prompt_logprobs {
            Some(_) if self.scores() => Some(self.of_prompt(ids).map_err(bad)?.to_string()),
            _ => None,
        };
        Ok(Answer {
            choices,
            prompt_tokens: replies.first().map_or(0, |reply| reply.prompt_tokens as usize),
            prompt_token_ids: wanted.then(|| Value::from(ids).to_string()),
            prompt_logprobs,
        })
    }

    fn choice(
        &self,
        kind: Kind,
        request: &Request,
        reply: &Reply,
        top: &[(u32, f64)],
    ) -> Result<Arc<Choice>, Problem> {
        let finish = match &reply.finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Refused(reason) => return Err(Problem::bad(reason.to_string())),
        };
        let logprobs = match (request.top_logprobs(), reply.logprob) {
            (Some(most), Some(sum)) => {
                let name = |id| self.spelt(id, request.return_tokens_as_token_ids);
                // The engine sums up, so the first token stands for all.
                let each = std::iter::once(sum).chain(std::iter::repeat(0.0));
                let tokens: Told = reply.tokens.iter().copied().map(name).zip(each).collect();
                let drawn = reply.tokens.first();
                let kept =
                    |&(place, (id, _)): &(usize, &(u32, f64))| place < most || Some(id) == drawn;
                let kept = top.iter().enumerate().filter(kept);
                let top_told: Told = kept.map(|(_, &(id, logp))| (name(id), logp)).collect();
                logprobs(kind, &tokens, Some(&top_told).filter(|told| !told.is_empty()))
            }
            _ => "null".to_owned(),
        };
        let completion_tokens = match reply.tokens.len() {
            0 => reply.completion_tokens as usize,
            tokens => tokens,
        };
        Ok(Arc::new(Choice {
            text: Value::from(reply.text.as_str()).to_string(),
            token_ids: Value::from(reply.tokens.as_slice()).to_string(),
            logprobs,
            finish,
            completion_tokens,
        }))
    }

    /// A token as vLLM spells it.
    fn spelt(&self, id: u32, as_id: bool) -> String {
        if as_id {
            return format!("token_id:{id}");
        }
        let decoded = self.local().and_then(|local| local.text(&[id]).ok());
        let decoded = decoded.filter(|text| !text.is_empty());
        let spelt = || self.tokenizer.as_ref()?.token_of(id);
        decoded.or_else(spelt).unwrap_or_default()
    }

    fn scores(&self) -> bool {
        self.local().is_some_and(|local| local.network().config().vocab_size <= MOST_SCORED)
    }

    /// Every token by how likely it is to come first, where one token is asked for and that can be told.
    fn likeliest(&self, request: &Request, ids: &[u32]) -> Result<Vec<(u32, f64)>, Error> {
        let asked = request.top_logprobs().is_some_and(|top| top > 0);
        let (Some(local), true, Some(1)) = (self.local(), asked, request.most_tokens()) else {
            return Ok(Vec::new());
        };
        if !self.scores() {
            return Ok(Vec::new());
        }
        let vocabulary = 0..u32::try_from(local.network().config().vocab_size).unwrap();
        let continuations = vocabulary.clone().map(|id| Continuation::Tokens(vec![id])).collect();
        let scored = ScoreRequest { prompt: Prompt::Tokens(ids.to_vec()), continuations };
        let scores = local.score(&[scored])?.remove(0);
        let mut told: Vec<(u32, f64)> = vocabulary.zip(scores).collect();
        told.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(told)
    }

    /// Log-probabilities of a prompt's own tokens, each after those before it; the first has none.
    fn of_prompt(&self, ids: &[u32]) -> Result<Value, Error> {
        let after = |at: usize| ScoreRequest {
            prompt: Prompt::Tokens(ids[..at].to_vec()),
            continuations: vec![Continuation::Tokens(vec![ids[at]])],
        };
        let asked: Vec<ScoreRequest> = (1..ids.len()).map(after).collect();
        let scores = self.model.score(&asked)?;
        let one = |(id, scores): (&u32, &Vec<f64>)| {
            let told = json!({
                "logprob": scores[0], "rank": 1, "decoded_token": self.spelt(*id, false),
            });
            Value::Object(Map::from_iter([(id.to_string(), told)]))
        };
        let told = ids[1..].iter().zip(&scores).map(one);
        Ok(std::iter::once(Value::Null).chain(told).collect())
    }
}
