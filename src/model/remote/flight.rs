//! One request on its way.

use std::time::Duration;

use super::http::{Fault, Shared};
use super::job::Job;
use super::protocol::{Api, Protocol};
use super::response::{self, Answer};

/// A request that came back.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) job: Job,
    /// Which server it was sent to.
    pub(super) server: usize,
    /// Its number among those that the server was sent.
    pub(super) number: u64,
    pub(super) outcome: Result<Answer, Fault>,
}

/// Sends a request and reads what comes back.
pub(super) async fn fly(
    (host, server, number): (Shared, usize, u64),
    (job, id): (Job, String),
    (path, body): (&'static str, String),
    protocol: (Api, bool),
    timeout: Duration,
) -> Landed {
    let sent = host.post(path, (&id, body.into_bytes()), timeout).await;
    let read = |bytes: Vec<u8>| {
        let answer = response::read(&bytes, &job.request, job.texts(), protocol);
        answer.map_err(|what| Fault::Broken(format!("{what}, from {}", host.url)))
    };
    let outcome = sent.and_then(read).and_then(|answer| checked(answer, &id));
    Landed { job, server, number, outcome }
}

/// What every id that mrx gives a request begins with.
pub(super) const OURS: &str = "mrx-";

/// Sees that a reply is one to this request, as far as it says.
fn checked(answer: Answer, id: &str) -> Result<Answer, Fault> {
    match &answer.id {
        Some(told) if told.contains(OURS) && !told.contains(id) => {
            Err(Fault::Broken(format!("a reply to another request, `{told}`")))
        }
        _ => Ok(answer),
    }
}

/// What a reply says of ids and of who wrote the prompt.
pub(super) const fn expectations(protocol: &Protocol) -> (Api, bool) {
    (protocol.api, protocol.token_ids)
}
