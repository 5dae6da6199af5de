//! Who answers: a model in a thread of its own, which draws for all requests that wait at once, or a
//! text that is always the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mrx::model::{Local, open};
use serde_json::Value;
use tokio::sync::oneshot;

use super::body::{Answer, Choice, logprobs};
use super::draw::Drawer;
use super::options::{Answers, Options};
use super::wire::{Kind, Problem, Request, Written};

/// Requests that are drawn at once at most.
const AT_ONCE: usize = 64;

/// A request, and where its answer goes.
pub(super) struct Job {
    pub(super) kind: Kind,
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Result<Answer, Problem>>,
}

/// Who answers.
pub(super) enum Answerer {
    Model(Sender<Job>),
    Instant { completion: Arc<Choice>, chat: Arc<Choice> },
}

/// Opens who answers, and tells how many tokens it takes.
pub(super) fn start(options: &Options) -> (Answerer, usize) {
    match &options.answers {
        Answers::Model(files) => model(files, options),
        Answers::Instant(text) => {
            let choice = |kind| Arc::new(fixed(kind, text));
            let (completion, chat) = (choice(Kind::Completion), choice(Kind::Chat));
            (Answerer::Instant { completion, chat }, options.max_model_len.unwrap_or(4096))
        }
    }
}

fn model(files: &BTreeMap<String, PathBuf>, options: &Options) -> (Answerer, usize) {
    let model = open(files, &mrx::model::Device::Cpu).unwrap();
    let local = model.as_any().downcast_ref::<Local>();
    let own = local.map_or(4096, |local| local.network().config().max_position_embeddings);
    let context = options.max_model_len.unwrap_or(own);
    let mut drawer = Drawer::new(model, files.clone(), context, options.quirks.clone());
    let (sender, jobs) = channel();
    thread::spawn(move || {
        while let Some(waiting) = wait(&jobs) {
            drawer.answer(waiting);
        }
    });
    (Answerer::Model(sender), context)
}

/// Waits for a request, and takes all that wait with it; `None` when there will be no more.
fn wait(jobs: &Receiver<Job>) -> Option<Vec<Job>> {
    let mut waiting = vec![jobs.recv().ok()?];
    waiting.extend(jobs.try_iter().take(AT_ONCE - 1));
    Some(waiting)
}

/// A text that is always the same: its words are its tokens, and each is as likely as not.
fn fixed(kind: Kind, text: &str) -> Choice {
    let tokens: Vec<(String, f64)> =
        text.split_inclusive(' ').map(|word| (word.to_owned(), 0.5_f64.ln())).collect();
    Choice {
        text: Value::from(text).to_string(),
        token_ids: Value::from((0..tokens.len()).collect::<Vec<_>>()).to_string(),
        logprobs: logprobs(kind, &tokens, None),
        finish: "stop",
        completion_tokens: tokens.len(),
    }
}

impl Answerer {
    /// Answers one request.
    pub(super) async fn answer(&self, kind: Kind, request: Request) -> Result<Answer, Problem> {
        let choice = match (self, kind) {
            (Self::Model(jobs), _) => {
                let (reply, answered) = oneshot::channel();
                let gone = || Problem::bad("the model is gone");
                jobs.send(Job { kind, request, reply }).map_err(|_| gone())?;
                return answered.await.map_err(|_| gone())?;
            }
            (Self::Instant { completion, .. }, Kind::Completion) => completion,
            (Self::Instant { chat, .. }, Kind::Chat) => chat,
        };
        let words = |text: &str| text.split_whitespace().count();
        let (prompt_tokens, ids) = match (&request.prompt, request.messages()) {
            (Some(Written::Tokens(ids)), _) => (ids.len(), Some(ids)),
            (Some(Written::Text(text)), _) => (words(text), None),
            (None, messages) => {
                let messages = messages.unwrap_or_default();
                (messages.iter().map(|message| words(&message.content)).sum(), None)
            }
        };
        let wanted = ids.filter(|_| request.return_token_ids);
        Ok(Answer {
            choices: vec![Arc::clone(choice); request.n.unwrap_or(1) as usize],
            prompt_tokens,
            prompt_token_ids: wanted.map(|ids| serde_json::to_string(ids).unwrap()),
            prompt_logprobs: None,
        })
    }
}
