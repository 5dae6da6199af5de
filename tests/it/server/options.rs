//! What the test server serves, how it misbehaves, and which faults it injects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::files;

/// Everything about a server that can be set.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) answers: Answers,
    /// The name that it serves its model under.
    pub(crate) name: String,
    /// What `/version` says; without one, there is no such route.
    pub(crate) version: Option<String>,
    /// Tokens of a prompt and its answer; otherwise the model's own, or 4096.
    pub(crate) max_model_len: Option<usize>,
    /// Requests without it are turned away.
    pub(crate) api_key: Option<String>,
    pub(crate) faults: Faults,
    pub(crate) quirks: Vec<Quirk>,
    /// Each request takes so much longer.
    pub(crate) latency: Duration,
    /// So many requests are answered at once, and the others wait.
    pub(crate) parallel: Option<usize>,
    /// With more than so many under way, a request is turned away with 429.
    pub(crate) reject_above: Option<usize>,
    /// Requests are kept as they came, for [`super::Server::received`].
    pub(crate) keeps_requests: bool,
    /// The process ends in the middle of a request after so many answers.
    pub(crate) dies_after: Option<u64>,
    /// 0: any that is free.
    pub(crate) port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            answers: Answers::Instant("one two three".to_owned()),
            name: "tested".to_owned(),
            version: Some("0.0.1".to_owned()),
            max_model_len: None,
            api_key: None,
            faults: Faults::default(),
            quirks: Vec::new(),
            latency: Duration::ZERO,
            parallel: None,
            reject_above: None,
            keeps_requests: false,
            dies_after: None,
            port: 0,
        }
    }
}

impl Options {
    /// A server that answers from the model in a folder.
    pub(crate) fn model(folder: &Path) -> Self {
        Self { answers: Answers::Model(files(folder)), ..Self::default() }
    }

    /// A server that gives one answer to everything, at once.
    pub(crate) fn instant(text: &str) -> Self {
        Self { answers: Answers::Instant(text.to_owned()), ..Self::default() }
    }
}

/// Who answers.
#[derive(Debug, Clone)]
pub(crate) enum Answers {
    /// The model whose folder holds these files, by name.
    Model(BTreeMap<String, PathBuf>),
    /// Nobody: it is always this text, and a token is a word.
    Instant(String),
}

/// A way in which a server is not what it should be, at every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// The same seed gives another text each time.
    IgnoresSeed,
    /// Every seed gives the same text.
    SameSamples,
    /// A conversation is rendered, and what comes out is a user's message again.
    TemplateTwice,
    /// Replies name this model, whichever was asked.
    WrongName(String),
    /// `return_token_ids` is not known.
    NoTokenIds,
    /// `logprobs` and `prompt_logprobs` are not known.
    NoLogprobs,
    /// Replies do not tell what was used.
    NoUsage,
    /// As some engines do: a prompt and `max_tokens` that are too long together are refused.
    RefusesLongAnswers,
    /// `/health` says 503.
    Unhealthy,
    /// Every request is sent on to another address.
    Redirects(String),
}

/// Which share of the requests goes wrong, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) share: f64,
    pub(crate) seed: u64,
    pub(crate) kinds: Vec<Fault>,
}

impl Faults {
    /// Every kind of fault, at a share of the requests.
    pub(crate) fn all(share: f64, seed: u64) -> Self {
        let kinds = vec![
            Fault::TooMany,
            Fault::TooManyWithRetryAfter(0),
            Fault::Internal,
            Fault::Unavailable,
            Fault::Hang,
            Fault::Reset,
            Fault::HalfABody,
            Fault::Garbage,
            Fault::Duplicate,
            Fault::AnothersAnswer,
            Fault::SlowDrip(Duration::from_millis(200)),
            Fault::WrongUsage,
        ];
        Self { share, seed, kinds }
    }
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// 429.
    TooMany,
    /// 429, and how many seconds to wait.
    TooManyWithRetryAfter(u32),
    /// 500.
    Internal,
    /// 503.
    Unavailable,
    /// There is never an answer.
    Hang,
    /// The connection ends before the first byte of the body or soon after.
    Reset,
    /// The connection ends after half of the bytes that were announced.
    HalfABody,
    /// 200, and a page, bytes, nothing, or the beginning of an object.
    Garbage,
    /// The whole of an earlier answer.
    Duplicate,
    /// The answer to another request that is under way, which gets this one's; or an earlier answer.
    AnothersAnswer,
    /// The right answer, in pieces over so long.
    SlowDrip(Duration),
    /// The right answer, with one count of its usage off by one.
    WrongUsage,
}
