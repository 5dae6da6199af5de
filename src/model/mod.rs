//! Models: text in, text out. No table in sight.
//!
//! - [`Scripted`]: answers by rule
//! - [`remote`]: a model in another program, behind HTTP or files
//! - [`Local`]: a Hugging Face folder or a GGUF file on candle: its [`Config`], [`weights`], [`Tokenizer`]
//!   and [`Chat`] template make a [`Network`], which draws in batches and scores

#![expect(
    clippy::cast_precision_loss,
    reason = "sizes and places stay far below what f32 and f64 hold exactly"
)]

pub mod adapter;
mod blocks;
mod cache;
mod chat;
mod choose;
mod config;
mod device;
mod engine;
mod error;
mod feed;
mod folder;
mod footprint;
mod generate;
mod gguf;
pub mod guarded;
mod language;
mod local;
mod located;
mod lora;
mod mapped;
mod network;
mod open;
pub(crate) mod ops;
mod parameters;
mod queue;
mod refusal;
pub mod remote;
mod sample;
mod save;
mod score;
mod scripted;
mod taken;
mod tensors;
mod threads;
mod tokenizer;
pub mod weights;

use std::any::Any;
use std::ops::ControlFlow;

pub use candle_core::{DType, Device};
pub use chat::{Arguments, BadArgument, CHATML, Chat, Tag, reworded, tags};
pub use config::Config;
pub use device::open_device;
pub use engine::{Engine, Version};
pub use error::{BadAdapter, Error};
pub use folder::{gguf_of, listed};
pub use footprint::Footprint;
pub use language::{Language, Tokenised};
pub use local::{Local, open_network};
pub use network::pass::{Gradients, Keep, LOGITS, Pass};
pub use network::{Batch, Network};
pub use open::{Rendered, files_read, is_scripted, open, open_with, rendered};
pub(crate) use ops::{vectorised, with_values_mut};
pub use refusal::Refusal;
pub use remote::{Api, Protocol};
pub use save::{companions, save};
pub use scripted::Scripted;
pub use taken::check_trained;
pub use threads::{spread, thread_count};
pub use tokenizer::{Tokenizer, train_tokenizer};
pub use weights::Weights;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

impl Message {
    /// Makes a user's message.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".to_owned(), content: content.into() }
    }
}

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoding {
    /// Divides the logits, at least 0; at 0 the likeliest token is taken and the seed is not used.
    pub temperature: f64,
    /// Share of probability that is drawn from, above 0 and at most 1.
    pub top_p: f64,
    /// Tokens that are drawn from, the likeliest ones; `None` is all.
    pub top_k: Option<u32>,
    /// Least probability of a token that is drawn, as a share of the likeliest one's, in `[0, 1]`.
    pub min_p: f64,
    /// Divides the logits of tokens that were read or drawn before, above 0; `None` is off.
    pub repetition_penalty: Option<f64>,
    /// Tokens to draw at most, at least 1.
    pub max_tokens: u32,
}

impl Default for Decoding {
    /// Draws from the model as it is, 256 tokens at most.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            repetition_penalty: None,
            max_tokens: 256,
        }
    }
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// A conversation, to be written by the model's chat template.
    Messages(Vec<Message>),
    /// Ids, as they are.
    Tokens(Vec<u32>),
}

/// A prompt, and the texts that are to be drawn after it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What comes before them. It is rendered and tokenised once for all of them.
    pub prompt: Prompt,
    /// How to draw.
    pub decoding: Decoding,
    /// Texts that end a draw; they are cut off.
    pub stop: Vec<String>,
    /// A seed for each draw. It decides the draw alone: neighbours, batches and threads do not.
    pub seeds: Vec<u64>,
    /// A name for each draw, in the order of its seed: what it is called where more than one program has
    /// to know it. It decides nothing, and there may be none.
    pub names: Vec<String>,
}

/// Who asks a model. Asks are taken as there is room for them, and replies come in any order.
pub trait Asker {
    /// Gives the next ask. `None` says that there is none, nor will be: what is under way is ended.
    fn next(&mut self) -> Option<Ask>;

    /// Takes the reply to one draw: the ask by its place in the order of [`Asker::next`], the draw by
    /// the place of its seed. A break gives up everything that is under way.
    fn take(&mut self, ask: usize, draw: usize, reply: Reply) -> ControlFlow<()>;

    /// Hears something that a person should know, and that stops nothing.
    fn hear(&mut self, _text: String) {}

    /// Tells whether to go on; asked now and then while no reply comes.
    fn go_on(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A text whose probability is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation {
    /// Text, to be tokenised with the prompt before it, as far as that leaves the prompt's ids alone.
    Text(String),
    /// Ids, as they are.
    Tokens(Vec<u32>),
}

/// A prompt, and texts that may follow it.
#[derive(Debug, Clone)]
pub struct ScoreRequest {
    /// What comes before.
    pub prompt: Prompt,
    /// What may follow.
    pub continuations: Vec<Continuation>,
}

/// Why a draw ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// The token limit cut it.
    Length,
    /// It never began: the model does not take the prompt. There is no text.
    Refused(Refusal),
}

/// One text drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The text, without special tokens.
    pub text: String,
    /// The ids drawn, the one that ended it among them; empty where the model has none.
    pub tokens: Vec<u32>,
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Tokens drawn, the one that ended the text not counted.
    pub completion_tokens: u32,
    /// Why it ended.
    pub finish: Finish,
    /// Summed log-probability of the drawn tokens, the one that ended the text among them, under the
    /// model itself, before temperature and cuts, in nats; `None` where it is not known.
    pub logprob: Option<f64>,
    /// Where it is one of a few texts: the log-probability of each, in their order, among them alone, in
    /// nats.
    pub among: Option<Vec<f64>>,
    /// What it cost, where tokens have prices.
    pub money: Option<f64>,
}

impl Reply {
    /// The reply to a prompt that the model refuses.
    fn refused(refusal: Refusal) -> Self {
        let prompt_tokens = match refusal {
            Refusal::TooLong { tokens, .. } => u32::try_from(tokens).unwrap_or(u32::MAX),
            Refusal::Empty | Refusal::Unwritten(_) | Refusal::ByServer(_) => 0,
        };
        Self {
            text: String::new(),
            tokens: Vec::new(),
            prompt_tokens,
            completion_tokens: 0,
            finish: Finish::Refused(refusal),
            logprob: None,
            among: None,
            money: None,
        }
    }
}

/// Draws texts.
pub trait LanguageModel: Send + Sync {
    /// Draws every text that is asked for, and hands each over as it ends.
    ///
    /// # Errors
    /// Where the model fails; a prompt that it does not take is a reply.
    fn generate(&self, asker: &mut dyn Asker) -> Result<(), Error>;

    /// Draws, for every ask, one of a few texts, by how likely each is to be what comes next: nothing else
    /// is ever replied. The asks' decoding counts as far as its temperature; the reply says how likely
    /// each text was.
    ///
    /// # Errors
    /// Where the model fails, or knows no probabilities; a prompt that it does not take is a reply.
    fn choose(&self, asker: &mut dyn Asker, among: &[String]) -> Result<(), Error>;

    /// Tells the summed log-probability of each continuation of each request, in nats.
    ///
    /// # Errors
    /// At the first request that cannot be answered.
    fn score(&self, requests: &[ScoreRequest]) -> Result<Vec<Vec<f64>>, Error>;

    /// The model as what it is: a [`Local`] one has parts that others do not.
    fn as_any(&self) -> &dyn Any;
}

/// Asks that are known from the start, and their replies.
struct Listed<'a> {
    asks: std::slice::Iter<'a, Ask>,
    replies: Vec<Vec<Option<Reply>>>,
}

impl Asker for Listed<'_> {
    fn next(&mut self) -> Option<Ask> {
        self.asks.next().cloned()
    }

    fn take(&mut self, ask: usize, draw: usize, reply: Reply) -> ControlFlow<()> {
        self.replies[ask][draw] = Some(reply);
        ControlFlow::Continue(())
    }
}

/// Draws every text of a list: of each ask its replies, in the order of its seeds.
///
/// # Errors
/// As [`LanguageModel::generate`].
pub fn draw_all(model: &dyn LanguageModel, asks: &[Ask]) -> Result<Vec<Vec<Reply>>, Error> {
    let replies = asks.iter().map(|ask| vec![None; ask.seeds.len()]).collect();
    let mut listed = Listed { asks: asks.iter(), replies };
    model.generate(&mut listed)?;
    Ok(listed.replies.into_iter().map(|draws| draws.into_iter().flatten().collect()).collect())
}
