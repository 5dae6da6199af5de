//! Engines that mrx starts: one program for each replica of a model, ended when mrx ends.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;

use super::error::Error;
use super::how::{Endpoint, Program};
use super::speaker::Whose;
use crate::model::folder::GGUF;
use crate::model::guarded::{Guarded, Launch};

/// Ranks that vLLM makes room for.
const LORA_RANKS: [usize; 9] = [1, 8, 16, 32, 64, 128, 256, 320, 512];
/// Replies after which a death is forgotten.
const FORGOTTEN_AFTER: u64 = 100;

/// The programs that serve a model.
#[derive(Debug)]
pub(super) struct Managed {
    program: Arc<Program>,
    name: String,
    folder: PathBuf,
    /// The folder and the rank of an adapter that is served on the model in `folder`.
    adapter: Option<(PathBuf, usize)>,
    replicas: Vec<Replica>,
}

#[derive(Debug)]
struct Replica {
    engine: Guarded,
    port: u16,
    began: Instant,
    ready: bool,
    deaths: u32,
    /// Draws that had been replied to when it last died.
    replied: u64,
}

impl Managed {
    /// Starts every replica. None answers yet.
    ///
    /// # Errors
    /// Where a port is taken or the guard cannot be started.
    pub(super) fn start(program: &Arc<Program>, whose: &Whose<'_>) -> Result<Self, Error> {
        let (program, name) = (Arc::clone(program), whose.name.clone());
        let (folder, adapter) = (whose.folder.clone(), whose.adapter.clone());
        let mut managed = Self { program, name, folder, adapter, replicas: Vec::new() };
        for nth in 0..managed.program.replicas {
            let replica = managed.launch(nth)?;
            managed.replicas.push(replica);
        }
        Ok(managed)
    }

    fn launch(&self, nth: usize) -> Result<Replica, Error> {
        let port = self.port(nth)?;
        let log = self.folder.join(format!("engine-{nth}.log"));
        let words = self.words(port);
        let mut environment = self.program.environment.clone();
        if self.program.gpus > 0 {
            let cards = nth * self.program.gpus..(nth + 1) * self.program.gpus;
            let cards: Vec<String> = cards.map(|card| card.to_string()).collect();
            environment.insert("CUDA_VISIBLE_DEVICES".to_owned(), cards.join(","));
        }
        let program = self.word();
        let (guard, log) = (self.program.guard.as_path(), log.as_path());
        let launch = Launch { guard, words: &words, environment: &environment, log, folder: None };
        let engine = Guarded::start(&launch).map_err(|source| Error::Start { program, source })?;
        let began = Instant::now();
        Ok(Replica { engine, port, began, ready: false, deaths: 0, replied: 0 })
    }

    /// The words that start a replica.
    fn words(&self, port: u16) -> Vec<String> {
        let folder = self.folder.join("model");
        let file = folder.join(GGUF);
        let model = if file.is_file() { file } else { folder };
        // A base goes by another name than the adapter on it, which is what is asked.
        let base = format!("{}-base", self.name);
        let name = if self.adapter.is_some() { &base } else { &self.name };
        let fill = |word: &String| {
            let word = word.replace("{model}", &model.to_string_lossy());
            let word = word.replace("{port}", &port.to_string()).replace("{name}", name);
            word.replace("{gpus}", &self.program.gpus.max(1).to_string())
        };
        let mut words: Vec<String> = self.program.command.iter().map(fill).collect();
        if let (Some((adapter, rank)), Some(lora)) = (&self.adapter, &self.program.lora) {
            let rank =
                LORA_RANKS.into_iter().find(|most| most >= rank).unwrap_or(*rank).to_string();
            let fill = |word: &String| {
                let word = word.replace("{adapter}", &adapter.to_string_lossy());
                word.replace("{name}", &self.name).replace("{rank}", &rank)
            };
            words.extend(lora.iter().map(fill));
        }
        words
    }

    /// The port of a replica: the one that was asked for, or one that is free.
    fn port(&self, nth: usize) -> Result<u16, Error> {
        let asked = self
            .program
            .port
            .map_or(0, |first| first.saturating_add(u16::try_from(nth).unwrap_or(u16::MAX)));
        let taken = |_| Error::PortTaken { port: asked };
        let listener = TcpListener::bind(("127.0.0.1", asked)).map_err(taken)?;
        Ok(listener.local_addr().map_err(taken)?.port())
    }

    fn word(&self) -> String {
        self.program.command.first().cloned().unwrap_or_default()
    }

    fn endpoint(port: u16) -> Endpoint {
        Endpoint { url: format!("http://127.0.0.1:{port}"), key: None }
    }

    /// Where the replicas are.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        self.replicas.iter().map(|replica| Self::endpoint(replica.port)).collect()
    }

    /// Sees whether a replica is still there. One that died is started again, and its new place returned
    /// with what happened.
    ///
    /// # Errors
    /// Where it never answered, takes too long, or keeps dying.
    pub(super) fn look(
        &mut self,
        nth: usize,
        replied: u64,
    ) -> Result<Option<(Endpoint, String)>, Error> {
        let program = self.word();
        let (ready_timeout, restarts) = (self.program.ready_timeout, self.program.restarts);
        let Some(replica) = self.replicas.get_mut(nth) else { return Ok(None) };
        let ended = replica.engine.ended();
        let ended = ended.map_err(|source| Error::Start { program: program.clone(), source })?;
        let engine = |replica: &Replica, what: String| {
            let (log, tail) = (replica.engine.log().to_owned(), replica.engine.tail());
            Error::Engine { program: program.clone(), what, log, tail }
        };
        let Some(status) = ended else {
            if !replica.ready && replica.began.elapsed() > ready_timeout {
                let waited = ready_timeout.as_secs();
                return Err(engine(replica, format!("is not ready after {waited} s")));
            }
            return Ok(None);
        };
        if !replica.ready && replica.deaths == 0 {
            return Err(engine(replica, format!("ended before it answered ({status})")));
        }
        let busy = replied.saturating_sub(replica.replied) >= FORGOTTEN_AFTER;
        let deaths = if busy { 1 } else { replica.deaths + 1 };
        if deaths > restarts {
            return Err(engine(replica, format!("keeps dying ({status}), {deaths} times so far")));
        }
        let last = replica.engine.tail().lines().last().unwrap_or_default().to_owned();
        let fresh = self.launch(nth)?;
        let endpoint = Self::endpoint(fresh.port);
        self.replicas[nth] = Replica { deaths, replied, ..fresh };
        Ok(Some((endpoint, format!("{program} died ({status}: {last}); it is started again"))))
    }

    pub(super) fn is_ready(&mut self, nth: usize) {
        if let Some(replica) = self.replicas.get_mut(nth) {
            replica.ready = true;
        }
    }
}

impl Drop for Managed {
    /// Ends every engine at once; each is waited for as its value goes.
    fn drop(&mut self) {
        self.replicas.iter_mut().for_each(|replica| replica.engine.let_go());
    }
}
