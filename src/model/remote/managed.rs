//! Engines that mrx starts: one program for each replica of a model, ended when mrx ends.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::time::Instant;

use super::error::Error;
use super::how::{Endpoint, Program};

/// Replies after which a death is forgotten.
const FORGOTTEN_AFTER: u64 = 100;
/// Bytes of an engine's last words that are looked at, and lines of them that are shown.
const TAIL: (u64, usize) = (128 << 10, 10);

/// The programs that serve a model.
#[derive(Debug)]
pub(super) struct Managed {
    program: Arc<Program>,
    name: String,
    folder: PathBuf,
    replicas: Vec<Replica>,
}

#[derive(Debug)]
struct Replica {
    child: Child,
    port: u16,
    log: PathBuf,
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
    pub(super) fn start(program: &Arc<Program>, name: &str, folder: &Path) -> Result<Self, Error> {
        let (program, name) = (Arc::clone(program), name.to_owned());
        let mut managed = Self { program, name, folder: folder.to_owned(), replicas: Vec::new() };
        for nth in 0..managed.program.replicas {
            let replica = managed.launch(nth)?;
            managed.replicas.push(replica);
        }
        Ok(managed)
    }

    fn launch(&self, nth: usize) -> Result<Replica, Error> {
        let port = self.port(nth)?;
        let log = self.folder.join(format!("engine-{nth}.log"));
        let model = self.folder.join("model");
        let fill = |word: &String| {
            let word = word.replace("{model}", &model.to_string_lossy());
            let word = word.replace("{port}", &port.to_string()).replace("{name}", &self.name);
            word.replace("{gpus}", &self.program.gpus.max(1).to_string())
        };
        let mut command = Command::new(&self.program.guard);
        command.arg("guard").arg("--log").arg(&log).arg("--");
        command.args(self.program.command.iter().map(fill)).envs(&self.program.environment);
        if self.program.gpus > 0 {
            let cards = nth * self.program.gpus..(nth + 1) * self.program.gpus;
            let cards: Vec<String> = cards.map(|card| card.to_string()).collect();
            command.env("CUDA_VISIBLE_DEVICES", cards.join(","));
        }
        // What is typed to mrx is not for the engine: it ends when its guard's input does.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let program = self.word();
        let child = command.spawn().map_err(|source| Error::Start { program, source })?;
        let began = Instant::now();
        Ok(Replica { child, port, log, began, ready: false, deaths: 0, replied: 0 })
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
        let ended = replica.child.try_wait();
        let ended = ended.map_err(|source| Error::Start { program: program.clone(), source })?;
        let engine = |replica: &Replica, what: String| {
            let (log, tail) = (replica.log.clone(), tail(&replica.log));
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
        let last = tail(&replica.log).lines().last().unwrap_or_default().to_owned();
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
    /// Ends every engine, and waits until it has given back what it held.
    fn drop(&mut self) {
        for replica in &mut self.replicas {
            drop(replica.child.stdin.take());
        }
        for replica in &mut self.replicas {
            // The guard ends its engine by force in the end: there is nothing else to be done here.
            let _ = replica.child.wait();
        }
    }
}

/// Whether a line names an error, as Python and most others do.
fn says_why(line: &str) -> bool {
    line.contains("Error: ") || line.contains("error: ")
}

/// The last words of an engine, and before them the last error that it named.
fn tail(log: &Path) -> String {
    let read = || {
        let mut file = fs::File::open(log)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL.0)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(its words cannot be read: {error})"));
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(TAIL.1));
    // What a program says last is often how it tidies up: why, it said before.
    let why = before.iter().rev().find(|line| says_why(line));
    why.into_iter().chain(last).copied().collect::<Vec<_>>().join("\n")
}
