//! Models: text in, text out. No table in sight.

mod scripted;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use scripted::Scripted;

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
    /// Tokens to draw at most, at least 1.
    pub max_tokens: u32,
}

/// One text to draw.
#[derive(Debug, Clone)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// How to draw.
    pub decoding: Decoding,
    /// Decides the draw alone: neighbours, batches and threads do not.
    pub seed: u64,
}

/// Why a draw ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// The token limit cut it.
    Length,
}

/// One text drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The text.
    pub text: String,
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Tokens drawn.
    pub completion_tokens: u32,
    /// Why it ended.
    pub finish: Finish,
    /// Summed log-probability of the drawn tokens, in nats; `None` where it is not known.
    pub logprob: Option<f64>,
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
    #[error("{} names the architecture `{found}`; this build runs: scripted", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it names.
        found: String,
    },
    /// A scripted model's template failed.
    #[error("template `{name}` of the scripted model: {reason}")]
    Template {
        /// The template's file.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Draws texts.
pub trait LanguageModel: Send + Sync {
    /// Draws a text for each request and hands it over, with the request's place, as it finishes.
    ///
    /// # Errors
    /// At the first request that cannot be answered.
    fn generate(
        &self,
        requests: &[Request],
        reply: &mut dyn FnMut(usize, Reply),
    ) -> Result<(), Error>;
}

/// What every configuration says first.
#[derive(Deserialize)]
struct Architecture {
    architecture: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
}

/// Opens the model whose folder holds `files`, by name.
///
/// # Errors
/// Where a file is missing or is not what it should be.
pub fn open(files: &BTreeMap<String, PathBuf>) -> Result<Box<dyn LanguageModel>, Error> {
    let path = file_of(files, "config.json")?;
    let config: Architecture = parse(path)?;
    let named = config.architecture.or_else(|| config.architectures.into_iter().next());
    match named.as_deref() {
        Some("scripted") => Ok(Box::new(Scripted::open(files)?)),
        found => Err(Error::Unsupported {
            path: path.to_owned(),
            found: found.unwrap_or("(none)").to_owned(),
        }),
    }
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
