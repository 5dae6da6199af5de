//! Models: text in, text out. No table in sight.
//!
//! - [`Scripted`]: answers by rule
//! - [`Local`]: a Hugging Face folder on candle: its [`Config`], [`weights`], [`Tokenizer`] and
//!   [`Chat`] template make a [`Network`], which draws in batches and scores

#![expect(
    clippy::cast_precision_loss,
    reason = "sizes and places stay far below what f32 and f64 hold exactly"
)]

mod chat;
mod config;
mod device;
mod engine;
mod feed;
mod generate;
mod language;
mod local;
mod network;
pub(crate) mod ops;
mod places;
mod queue;
mod sample;
mod score;
mod scripted;
mod threads;
mod tokenizer;
pub mod weights;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use candle_core::{DType, Device};
pub use chat::{CHATML, Chat};
pub use config::Config;
pub use device::open_device;
pub use engine::Engine;
pub use local::Local;
pub use network::{Batch, Network};
pub use scripted::Scripted;
pub use threads::spread;
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
}

/// Who asks a model. Asks are taken as there is room for them, and replies come in any order.
pub trait Asker {
    /// Gives the next ask. `None` says that there is none, nor will be: what is under way is ended.
    fn next(&mut self) -> Option<Ask>;

    /// Takes the reply to one draw: the ask by its place in the order of [`Asker::next`], the draw by
    /// the place of its seed. A break gives up everything that is under way.
    fn take(&mut self, ask: usize, draw: usize, reply: Reply) -> ControlFlow<()>;

    /// Tells whether to go on; asked now and then while no reply comes.
    fn go_on(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A text whose probability is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation {
    /// Text, to be tokenised on its own.
    Text(String),
    /// Ids, as they are.
    Tokens(Vec<u32>),
}

/// A prompt, and texts that may follow it.
#[derive(Debug, Clone)]
pub struct Scored {
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

/// Why a model does not take a prompt. Others go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no token.
    #[error("the prompt is empty")]
    Empty,
    /// It leaves no room for a text.
    #[error("{tokens} tokens do not fit a context of {context}")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that the model takes.
        context: usize,
    },
    /// The chat template raises an error, or the tokenizer does.
    #[error("{0}")]
    Unwritten(String),
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
}

impl Reply {
    /// The reply to a prompt that the model refuses.
    fn refused(refusal: Refusal) -> Self {
        let prompt_tokens = match refusal {
            Refusal::TooLong { tokens, .. } => u32::try_from(tokens).unwrap_or(u32::MAX),
            Refusal::Empty | Refusal::Unwritten(_) => 0,
        };
        Self {
            text: String::new(),
            tokens: Vec::new(),
            prompt_tokens,
            completion_tokens: 0,
            finish: Finish::Refused(refusal),
            logprob: None,
        }
    }
}

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the model's folder is not there.
    #[error("the model has no `{0}`")]
    NoFile(String),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration is not what it should be.
    #[error("{} is not a model's configuration: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The architecture is not one that mrx knows.
    #[error(
        "{} names the architecture `{found}`; these are run: {}, scripted",
        path.display(),
        config::SUPPORTED.join(", ")
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it names.
        found: String,
    },
    /// A template failed.
    #[error("template `{name}`: {reason}")]
    Template {
        /// The template's file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A tokenizer is not one, or does not fit the model.
    #[error("{} is not this model's tokenizer: {reason}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The tokenizer failed on a text.
    #[error("the tokenizer failed: {0}")]
    Encode(String),
    /// A vocabulary is too small for a byte-level tokenizer.
    #[error("a byte-level vocabulary takes at least {least} ids, not {found}")]
    Vocabulary {
        /// Special tokens and bytes.
        least: usize,
        /// What was asked.
        found: usize,
    },
    /// A file of weights is damaged.
    #[error("{} does not hold weights: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A weight is not there.
    #[error("the model has no tensor `{name}`, which its configuration asks for")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A weight has another shape.
    #[error("tensor `{name}` has the shape {found:?}, its configuration says {expected:?}")]
    TensorShape {
        /// Its name.
        name: String,
        /// What the configuration says.
        expected: Vec<usize>,
        /// What the file says.
        found: Vec<usize>,
    },
    /// A weight that the configuration does not know.
    #[error("{} holds the tensor `{name}`, which its configuration does not know", path.display())]
    UnknownTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
    },
    /// Random weights cannot be drawn.
    #[error("`initializer_range` is {0}: it should be a standard deviation")]
    Range(f64),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A device cannot be opened.
    #[error("cannot compute on `{name}`: {reason}")]
    Device {
        /// What was asked.
        name: String,
        /// Why.
        reason: String,
    },
    /// The machine has no thread left.
    #[error("cannot start a thread: {0}")]
    Threads(String),
    /// A prompt that the model does not take.
    #[error("request {request}: {refusal}")]
    Refused {
        /// Its place in the list.
        request: usize,
        /// Why.
        refusal: Refusal,
    },
    /// Logits that are no numbers: the weights are not, or grow so.
    #[error("request {request}: the model gives logits that are no numbers; are its weights?")]
    NotFinite {
        /// Its place in the list.
        request: usize,
    },
    /// No token ends a text.
    #[error(
        "the model names no token that ends a text: no `eos_token_id` in generation_config.json or \
         config.json"
    )]
    NoEnd,
    /// The token that ends a text is none.
    #[error("`eos_token_id` {id} is not below the vocabulary's {vocabulary}")]
    EndOutside {
        /// The id.
        id: u32,
        /// Ids that there are.
        vocabulary: usize,
    },
    /// No chat template.
    #[error(
        "the model has no `chat_template.jinja`, nor a `chat_template` in tokenizer_config.json"
    )]
    NoTemplate,
    /// An id outside the vocabulary.
    #[error("request {request}: token {id} is not below the vocabulary's {vocabulary}")]
    NoSuchToken {
        /// Its place in the list.
        request: usize,
        /// The id.
        id: u32,
        /// Ids that there are.
        vocabulary: usize,
    },
    /// The cache of keys and values is too small for one text.
    #[error("{needed} tokens do not fit a cache of {places}")]
    CacheFull {
        /// Tokens.
        needed: usize,
        /// Tokens that the cache holds.
        places: usize,
    },
    /// The model cannot do this.
    #[error("a scripted model cannot {0}")]
    Scripted(&'static str),
    /// The network failed.
    #[error("the network failed")]
    Network(#[from] candle_core::Error),
}

impl Error {
    /// The place in the list of the request that is at fault, where it is one.
    #[must_use]
    pub const fn request(&self) -> Option<usize> {
        match self {
            Self::Refused { request, .. }
            | Self::NotFinite { request }
            | Self::NoSuchToken { request, .. } => Some(*request),
            _ => None,
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

    /// Tells the summed log-probability of each continuation of each request, in nats.
    ///
    /// # Errors
    /// At the first request that cannot be answered.
    fn score(&self, requests: &[Scored]) -> Result<Vec<Vec<f64>>, Error>;

    /// The model's parts, where it runs in this process.
    fn local(&self) -> Option<&Local> {
        None
    }
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

/// What every configuration says first.
#[derive(Deserialize)]
struct Architecture {
    architecture: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
}

/// Names the architecture of the model whose folder holds `files`, by name.
fn architecture(files: &BTreeMap<String, PathBuf>) -> Result<Option<String>, Error> {
    let config: Architecture = parse(file_of(files, "config.json")?)?;
    Ok(config.architecture.or_else(|| config.architectures.into_iter().next()))
}

/// Tells whether the model whose folder holds `files`, by name, answers by rule.
///
/// # Errors
/// Where its configuration cannot be read.
pub fn is_scripted(files: &BTreeMap<String, PathBuf>) -> Result<bool, Error> {
    Ok(architecture(files)?.as_deref() == Some("scripted"))
}

/// Opens the model whose folder holds `files`, by name, on a device.
///
/// # Errors
/// Where a file is missing or is not what it should be.
pub fn open(
    files: &BTreeMap<String, PathBuf>,
    device: &Device,
) -> Result<Box<dyn LanguageModel>, Error> {
    match architecture(files)?.as_deref() {
        Some("scripted") => Ok(Box::new(Scripted::open(files)?)),
        Some(known) if config::SUPPORTED.contains(&known) => {
            Ok(Box::new(Local::open(files, device)?))
        }
        found => Err(Error::Unsupported {
            path: file_of(files, "config.json")?.to_owned(),
            found: found.unwrap_or("(none)").to_owned(),
        }),
    }
}

/// Writes a model's folder, as transformers reads it: `config.json`, the weights as one
/// `model.safetensors`, and the tokenizer, template and other small files of the folder `from` as they
/// are.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn save(
    folder: &Path,
    config: &Config,
    weights: &Weights,
    from: &BTreeMap<String, PathBuf>,
) -> Result<(), Error> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
    };
    for (name, path) in from {
        let small = [".json", ".jinja", ".txt", ".model"].iter().any(|end| name.ends_with(end));
        let replaced = name == "config.json" || name.ends_with(".safetensors.index.json");
        if small && !replaced && !name.contains('/') {
            write_file(&folder.join(name), &read(path)?)?;
        }
    }
    write_file(&folder.join("config.json"), config.to_json().as_bytes())?;
    weights::save(weights, config, &folder.join("model.safetensors"))
}

fn file_of<'f>(files: &'f BTreeMap<String, PathBuf>, name: &str) -> Result<&'f Path, Error> {
    files.get(name).map(PathBuf::as_path).ok_or_else(|| Error::NoFile(name.to_owned()))
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&read(path)?)
        .map_err(|e| Error::Config { path: path.to_owned(), reason: e.to_string() })
}

/// Writes a file beside its place, then moves it there.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fail = |source| Error::Write { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}
