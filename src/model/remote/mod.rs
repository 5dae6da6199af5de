//! A model in another program, which speaks the protocol of `/v1/completions` over HTTP, or by files.
//!
//! - [`How`]: where it is and how it is called; [`Dialect`]: what it calls things
//! - [`Remote`]: asks it, many requests at once, over as many servers as there are
//!
//! The only room with async code: its runtime lives and ends here.

mod batch;
mod by_files;
mod dialect;
mod doctor;
mod drive;
mod error;
mod flight;
mod how;
mod http;
mod managed;
mod meet;
mod pool;
mod prepare;
mod request;
mod response;
mod speaker;
mod version;

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Builder, Runtime};

pub use batch::{Export, Replies, Stopped, Work};
pub use by_files::ByFiles;
pub use dialect::Dialect;
pub use doctor::{Finding, Options, Verdict, examine, preset_of};
pub use error::Error;
pub use how::{ApiKey, Calls, Endpoint, Files, How, Prices, Program, Servers};
pub use meet::{Report, report};
pub use version::version_of;

use super::{Arguments, Asker, Engine, LanguageModel, ScoreRequest, Version};
use drive::Drive;
use http::{Host, Shared};
use managed::Managed;
use speaker::Speaker;

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
    /// What was spent on the experiment before.
    pub spent: f64,
}

/// What is weighed, where no text is asked for.
#[derive(Debug, Clone, Copy)]
struct Weighing<'w> {
    among: &'w [String],
    /// Candidates that the server tells.
    candidates: u32,
}

/// A model in another program.
#[derive(Debug)]
pub struct Remote {
    speaker: Speaker,
    /// The version that the experiment says, where servers are asked for it.
    version: Option<String>,
    hosts: Mutex<Vec<Shared>>,
    managed: Option<Mutex<Managed>>,
    spent: Mutex<f64>,
    /// Whether the servers were asked who they are.
    met: AtomicBool,
    runtime: Runtime,
}

impl Remote {
    /// Makes ready to ask a model by an engine. Nothing is sent yet; a program is started.
    ///
    /// # Errors
    /// Where an address, a key or a command cannot be used, or a file of the model.
    pub fn open(engine: &Engine, whose: &Whose<'_>) -> Result<Self, super::Error> {
        let speaker = Speaker::new(engine, whose)?;
        let (endpoints, managed) = match &engine.how {
            How::Servers(servers) => (servers.endpoints.clone(), None),
            How::Program(program) => {
                let managed = Managed::start(program, &whose.name, &whose.folder)?;
                (managed.endpoints(), Some(Mutex::new(managed)))
            }
            How::Local | How::Files(_) => return Err(Error::ByFiles.into()),
        };
        let host = |endpoint| Ok(Arc::new(Host::new(endpoint, speaker.calls.open_keys)?));
        let hosts = endpoints.iter().map(host).collect::<Result<Vec<_>, Error>>()?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let version = match (&engine.version, &managed) {
            (Version::Text(text), None) => Some(text.clone()),
            _ => None,
        };
        Ok(Self {
            speaker,
            version,
            hosts: Mutex::new(hosts),
            managed,
            spent: Mutex::new(whose.spent),
            met: AtomicBool::new(false),
            runtime: runtime.map_err(|error| Error::Client(error.to_string()))?,
        })
    }

    fn hosts(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spent(&self) -> MutexGuard<'_, f64> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drive(&self, asker: &mut dyn Asker, among: Option<&[String]>) -> Result<(), super::Error> {
        let weighing = Weighing::of(&self.speaker, among)?;
        let mut drive = Drive::new(self, asker, weighing);
        self.runtime.block_on(drive.run())
    }
}

impl<'w> Weighing<'w> {
    fn of(speaker: &Speaker, among: Option<&'w [String]>) -> Result<Option<Self>, Error> {
        let Some(among) = among else { return Ok(None) };
        match speaker.calls.dialect.weighs {
            0 => Err(Error::Cannot("weigh: its server tells no log-probabilities")),
            candidates => Ok(Some(Self { among, candidates })),
        }
    }
}

impl LanguageModel for Remote {
    fn generate(&self, asker: &mut dyn Asker) -> Result<(), super::Error> {
        self.drive(asker, None)
    }

    fn choose(&self, asker: &mut dyn Asker, among: &[String]) -> Result<(), super::Error> {
        self.drive(asker, Some(among))
    }

    fn score(&self, _: &[ScoreRequest]) -> Result<Vec<Vec<f64>>, super::Error> {
        Err(Error::Cannot("score texts").into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
