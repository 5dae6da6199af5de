//! A server that is looked at, and how it is asked: as a run asks it, but that what is wrong is kept and
//! not asked again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::super::{Ask, Decoding, Message, Prompt};
use super::super::error::Error;
use super::super::flight::OURS;
use super::super::http::{Fault, Shared};
use super::super::protocol::{Api, Protocol};
use super::super::request::{Asked, Form, Wanted};
use super::super::speaker::Speaker;
use super::heard::Heard;

/// What every check asks.
const PROMPT: &str = "Write the first sentence of a story about a lighthouse.";
/// How long a server is left alone before it is asked a second time, at most.
const AGAIN: Duration = Duration::from_secs(5);

/// A server that is looked at.
pub(super) struct Patient<'p> {
    pub(super) host: Shared,
    pub(super) speaker: &'p Speaker,
}

/// What is asked, but for the prompt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub(super) seed: u64,
    pub(super) texts: usize,
    pub(super) most: u32,
    pub(super) temperature: f64,
    pub(super) wanted: Wanted,
}

impl Draw {
    /// A text of a few tokens, from the model as it is.
    pub(super) const fn text(seed: u64) -> Self {
        Self { seed, texts: 1, most: 24, temperature: 1.0, wanted: Wanted::Text }
    }
}

/// A seed as the run's are: all of its bits count.
pub(super) const fn seed(nth: u64) -> u64 {
    (nth + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A request that is written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    path: &'static str,
    body: String,
}

fn messages() -> Vec<Message> {
    vec![Message::user(PROMPT)]
}

impl Patient<'_> {
    /// What the run would ask: our own tokens, or a conversation.
    ///
    /// # Errors
    /// Why it cannot be written, in words.
    pub(super) fn prompt(&self) -> Result<Asked, String> {
        if self.speaker.protocol.api == Api::Chat {
            return Ok(Asked::Messages(messages()));
        }
        self.tokens()?.map(Asked::Tokens).ok_or_else(|| {
            "`/v1/completions` is asked with token ids, and the model's folder is not known"
                .to_owned()
        })
    }

    /// The ids of our own rendering, where the model's folder is known.
    ///
    /// # Errors
    /// Where its template refuses the prompt.
    pub(super) fn tokens(&self) -> Result<Option<Vec<u32>>, String> {
        let Some(language) = &self.speaker.language else { return Ok(None) };
        let tokens = language.tokens(&Prompt::Messages(messages()));
        tokens.map(Some).map_err(|error| error.to_string())
    }

    /// Writes a request by the engine's own protocol.
    pub(super) fn write(&self, asked: Asked, draw: &Draw) -> Result<Written, Error> {
        self.write_by(&self.speaker.protocol, asked, draw)
    }

    /// Writes a conversation, whatever the engine's protocol.
    pub(super) fn chat(&self, draw: &Draw) -> Result<Written, Error> {
        let own = &self.speaker.protocol;
        let protocol = Protocol {
            api: Api::Chat,
            logprobs: false,
            token_ids: false,
            fields: own.fields.clone(),
            ..*own
        };
        self.write_by(&protocol, Asked::Messages(messages()), draw)
    }

    fn write_by(&self, protocol: &Protocol, asked: Asked, draw: &Draw) -> Result<Written, Error> {
        let dialect = &self.speaker.calls.dialect;
        let form = Form { dialect, protocol, name: &self.speaker.name };
        let left = match &asked {
            Asked::Tokens(ids) => self.speaker.context().saturating_sub(ids.len()),
            Asked::Messages(_) => usize::MAX,
        };
        let most = draw.most.min(u32::try_from(left).unwrap_or(u32::MAX)).max(1);
        let decoding = Decoding { temperature: draw.temperature, ..Decoding::default() };
        let ask = Ask {
            prompt: Prompt::Tokens(Vec::new()),
            decoding,
            stop: Vec::new(),
            seeds: Vec::new(),
            names: Vec::new(),
        };
        let request = form.request(asked, &ask, most, draw.wanted)?;
        let body = form.with_seed(&request, draw.seed, draw.texts);
        Ok(Written { path: form.path(), body })
    }

    /// Sends a request; once more where it failed, and may not fail again.
    pub(super) async fn send(&self, written: &Written) -> Result<Heard, Fault> {
        let timeout = self.speaker.calls.timeout;
        let wait = match post(&self.host, written.clone(), 0, timeout).await {
            Err(Fault::Busy(_, wait)) => wait.unwrap_or(AGAIN),
            Err(Fault::Broken(_) | Fault::Away(_)) => Duration::ZERO,
            other => return other,
        };
        tokio::time::sleep(wait.min(AGAIN)).await;
        post(&self.host, written.clone(), 1, timeout).await
    }

    /// Asks for a text under the usual prompt.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) async fn ask(&self, draw: &Draw) -> Result<Heard, String> {
        let written = self.write(self.prompt()?, draw).map_err(|error| error.to_string())?;
        self.send(&written).await.map_err(|fault| fault.to_string())
    }

    /// Asks for many texts at once, none of them twice. They come in the order of the draws.
    ///
    /// # Errors
    /// Where none can be asked for, in words.
    pub(super) async fn ask_at_once(
        &self,
        draws: &[Draw],
    ) -> Result<Vec<Result<Heard, Fault>>, String> {
        let asked = self.prompt()?;
        let mut under_way = JoinSet::new();
        for (nth, draw) in draws.iter().enumerate() {
            let written = self.write(asked.clone(), draw).map_err(|error| error.to_string())?;
            let (host, timeout) = (Arc::clone(&self.host), self.speaker.calls.timeout);
            under_way.spawn(async move { (nth, post(&host, written, nth, timeout).await) });
        }
        let mut landed = under_way.join_all().await;
        landed.sort_by_key(|(nth, _)| *nth);
        Ok(landed.into_iter().map(|(_, heard)| heard).collect())
    }
}

async fn post(
    host: &Shared,
    Written { path, body }: Written,
    nth: usize,
    timeout: Duration,
) -> Result<Heard, Fault> {
    let began = Instant::now();
    let id = format!("{OURS}doctor-{nth}");
    let bytes = host.post(path, (&id, body.into_bytes()), timeout).await?;
    Heard::read(&bytes, began.elapsed()).map_err(Fault::Broken)
}
