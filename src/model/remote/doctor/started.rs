//! An engine that mrx starts, to be looked at: one of it, once.

use std::sync::Arc;
use std::time::Duration;

use super::super::error::Error;
use super::super::how::{Endpoint, Program};
use super::super::http::Host;
use super::super::managed::Managed;
use super::super::speaker::{Speaker, Whose};
use super::finding::Finding;
use super::who::Met;

/// How long it is waited until an engine is asked again.
const BETWEEN: Duration = Duration::from_millis(200);
/// How often one that answered before is asked whether it still does.
const TRIES: usize = 25;

/// An engine that answers.
pub(super) struct Started {
    managed: Managed,
    pub(super) endpoint: Endpoint,
    pub(super) met: Met,
}

impl Started {
    /// Starts an engine, and waits until it answers.
    ///
    /// # Errors
    /// Where it does not.
    pub(super) async fn start(
        program: &Arc<Program>,
        whose: &Whose<'_>,
        speaker: &Speaker,
    ) -> Result<Self, Error> {
        let once = Arc::new(Program { replicas: 1, restarts: 0, ..Program::clone(program) });
        let mut managed = Managed::start(&once, whose)?;
        let endpoint = managed.endpoints().into_iter().next();
        let endpoint = endpoint.ok_or(Error::Cannot("be started: it has no place"))?;
        let host = Arc::new(Host::new(&endpoint, speaker.calls.open_keys)?);
        loop {
            managed.look(0, 0)?;
            let met = Met::asked(Arc::clone(&host), speaker, None).await;
            if met.is_there() {
                managed.is_ready(0);
                return Ok(Self { managed, endpoint, met });
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// Looks whether the engine is still there: it may take a moment to end.
    pub(super) async fn stays(&mut self, speaker: &Speaker) -> Finding {
        const CHECK: &str = "stays up";
        const COSTS: &str = "it is started again as often as `restarts` says, and what it was asked is asked \
                             again";
        for _ in 0..TRIES {
            match self.managed.look(0, 0) {
                Ok(_) => {}
                Err(Error::Engine { tail, .. }) => {
                    let last = tail.lines().last().unwrap_or_default();
                    let found = format!("it died, and its last line is `{last}`");
                    return Finding::fail(CHECK, found, COSTS);
                }
                Err(error) => return Finding::unknown(CHECK, words(&error)),
            }
            if Met::asked(Arc::clone(&self.met.host), speaker, None).await.is_there() {
                return Finding::pass(CHECK, "it was there to the end");
            }
            tokio::time::sleep(BETWEEN).await;
        }
        Finding::fail(CHECK, "it runs on, and answers no more", "nothing more is drawn by it")
    }
}

/// What became of an engine, in one line.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::Engine { program, what, log, tail } => {
            let last = tail.lines().last().unwrap_or_default();
            format!(
                "the engine `{program}` {what}; its last line is `{last}`, in {}",
                log.display()
            )
        }
        Error::Start { program, source } => format!("cannot start `{program}`: {source}"),
        other => other.to_string(),
    }
}
