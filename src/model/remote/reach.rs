//! A model in another program as it is reached: its servers, what is said to them, what was spent.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Builder, Runtime};

use super::super::{Engine, Error as ModelError, Version};
use super::error::Error;
use super::how::How;
use super::http::{Host, Shared};
use super::managed::Managed;
use super::speaker::{Speaker, Whose};

/// A model in another program as it is reached.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) speaker: Speaker,
    /// The version that the experiment says, where servers are asked for it.
    pub(super) version: Option<String>,
    hosts: Mutex<Vec<Shared>>,
    pub(super) managed: Option<Mutex<Managed>>,
    spent: Mutex<f64>,
    /// Whether the servers were asked who they are.
    pub(super) met: AtomicBool,
    pub(super) runtime: Runtime,
}

impl Reach {
    /// Makes ready to ask a model by an engine. Nothing is sent yet; a program is started.
    ///
    /// # Errors
    /// Where an address, a key or a command cannot be used, or a file of the model.
    pub(super) fn open(engine: &Engine, whose: &Whose<'_>) -> Result<Self, ModelError> {
        let speaker = Speaker::new(engine, whose)?;
        let (endpoints, managed) = match &engine.how {
            How::Servers(servers) => (servers.endpoints.clone(), None),
            How::Program(program) => {
                let managed = Managed::start(program, whose)?;
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

    pub(super) fn hosts(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn spent(&self) -> MutexGuard<'_, f64> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
