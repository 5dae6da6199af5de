//! How a model is reached: nothing here decides what it replies.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::dialect::Dialect;

/// How a model is run.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum How {
    /// In this program.
    #[default]
    Local,
    /// By servers that are there.
    Servers(Arc<Servers>),
    /// By a program that is started for each model.
    Program(Arc<Program>),
    /// By files that somebody else runs.
    Files(Arc<Files>),
}

/// Servers that are there, all of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Servers {
    /// Where they are.
    pub endpoints: Vec<Endpoint>,
    /// What they call the model that the experiment begins with; `None` is what mrx calls it.
    pub served_name: Option<String>,
    /// How they are called.
    pub calls: Calls,
}

/// A server.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Its address, without the path `/v1`.
    pub url: String,
    /// What it is told so that it answers.
    pub key: Option<ApiKey>,
}

/// A program that is started for each model.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Its words; those in braces are filled in.
    pub command: Vec<String>,
    /// Its further words where a model has an adapter, and it serves that on its base; `None` where it is
    /// given all weights as one.
    pub lora: Option<Vec<String>>,
    /// What stands before them when it is started: a program that ends it when mrx ends.
    pub guard: PathBuf,
    /// How many of it.
    pub replicas: usize,
    /// Cards that each is given; 0 leaves them to it.
    pub gpus: usize,
    /// The first one's port; `None` takes a free one.
    pub port: Option<u16>,
    /// How long it may take until it answers.
    pub ready_timeout: Duration,
    /// How often it may die without work done in between.
    pub restarts: u32,
    /// What it finds in its environment beside ours.
    pub environment: BTreeMap<String, String>,
    /// How it is called.
    pub calls: Calls,
}

/// Requests that go into files, and replies that come from files.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// What the model is called in them.
    pub served_name: Option<String>,
    /// What is done with them; `None` where nobody asked for anything yet.
    pub work: Option<super::batch::Work>,
    /// How the requests are written.
    pub calls: Calls,
}

/// How servers are called.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// What things are called there.
    pub dialect: Dialect,
    /// How long a reply may take.
    pub timeout: Duration,
    /// How long none may answer before mrx gives up.
    pub patience: Duration,
    /// Whether keys may travel unencrypted to other machines.
    pub open_keys: bool,
    /// Requests under way at one server, at most.
    pub max_concurrency: usize,
    /// What tokens cost.
    pub prices: Option<Prices>,
    /// What may be spent on an experiment.
    pub max_cost: Option<f64>,
}

impl Calls {
    /// Calls as they are where nothing else is said.
    #[must_use]
    pub const fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            timeout: Duration::from_mins(10),
            patience: Duration::from_mins(15),
            open_keys: false,
            max_concurrency: 256,
            prices: None,
            max_cost: None,
        }
    }
}

/// What a million tokens cost, in any currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// Tokens read.
    pub prompt: f64,
    /// Tokens drawn.
    pub completion: f64,
}

impl Prices {
    /// What so many tokens cost.
    #[must_use]
    pub fn of(&self, prompt: u64, completion: u64) -> f64 {
        const MILLION: f64 = 1e6;
        (prompt as f64 * self.prompt + completion as f64 * self.completion) / MILLION
    }
}

/// A key that a server asks for. It is never written anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The variable of the environment that holds it.
    pub variable: String,
    value: Option<String>,
}

impl ApiKey {
    /// A key by the name of its variable, with what was found there.
    #[must_use]
    pub fn new(variable: String, value: Option<String>) -> Self {
        Self { variable, value: value.filter(|value| !value.is_empty()) }
    }

    /// The key itself.
    pub(super) fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.variable)
    }
}

impl How {
    /// What servers or files call the model that the experiment begins with, where they were told.
    #[must_use]
    pub fn served_name(&self) -> Option<&str> {
        match self {
            Self::Servers(servers) => servers.served_name.as_deref(),
            Self::Files(files) => files.served_name.as_deref(),
            Self::Local | Self::Program(_) => None,
        }
    }

    /// Where the model is, for people: addresses, or the command that is run.
    #[must_use]
    pub fn places(&self) -> Vec<String> {
        match self {
            Self::Local => Vec::new(),
            Self::Servers(servers) => servers.endpoints.iter().map(|at| at.url.clone()).collect(),
            Self::Program(program) => vec![program.command.join(" "); program.replicas],
            Self::Files(_) => vec!["batch files".to_owned()],
        }
    }

    /// How servers are called, where there are any.
    #[must_use]
    pub fn calls(&self) -> Option<&Calls> {
        match self {
            Self::Local => None,
            Self::Servers(servers) => Some(&servers.calls),
            Self::Program(program) => Some(&program.calls),
            Self::Files(files) => Some(&files.calls),
        }
    }
}
