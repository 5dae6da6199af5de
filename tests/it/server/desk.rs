//! The way of a request for text through the server.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::answers::{Answerer, start};
use super::body::Frame;
use super::counts::{Counters, Received, UnderWay, count};
use super::exchange::Exchange;
use super::faults::Hit;
use super::options::{Fault, Options, Quirk};
use super::wire::{Kind, Problem, Request, Written, json_reply};

/// What every request meets.
pub(super) struct Desk {
    pub(super) options: Options,
    answerer: Answerer,
    pub(super) context: usize,
    counters: Arc<Counters>,
    places: Semaphore,
    completions: Exchange,
    chats: Exchange,
}

impl Desk {
    pub(super) fn new(options: Options, counters: Arc<Counters>) -> Self {
        let (answerer, context) = start(&options);
        let places = Semaphore::new(options.parallel.unwrap_or(Semaphore::MAX_PERMITS));
        let (completions, chats) = (Exchange::default(), Exchange::default());
        Self { options, answerer, context, counters, places, completions, chats }
    }

    pub(super) fn has(&self, quirk: &Quirk) -> bool {
        self.options.quirks.contains(quirk)
    }

    /// Why a request is turned away before anybody looks into it.
    pub(super) fn check_key(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(key) = &self.options.api_key else { return Ok(()) };
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if sent.and_then(|sent| sent.strip_prefix("Bearer ")) == Some(key) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::UNAUTHORIZED, "AuthenticationError", "Unauthorized"))
    }

    fn redirected(&self, path: &str) -> Option<Response> {
        let to = self.options.quirks.iter().find_map(|quirk| match quirk {
            Quirk::Redirects(to) => Some(to),
            _ => None,
        })?;
        let to = [(header::LOCATION, format!("{to}{path}"))];
        Some((StatusCode::TEMPORARY_REDIRECT, to).into_response())
    }

    /// The right answer, but for the counts of its usage.
    async fn body(
        &self,
        kind: Kind,
        asked: (&HeaderMap, &Bytes),
        number: u64,
        off: [usize; 3],
    ) -> Result<Bytes, Problem> {
        let request = Request::read(asked.1)?;
        let name = &self.options.name;
        if let Some(model) = request.model.as_ref().filter(|model| *model != name) {
            let message = format!("The model `{model}` does not exist.");
            return Err(Problem::new(StatusCode::NOT_FOUND, "NotFoundError", message));
        }
        if let Some(Written::Tokens(ids)) = &request.prompt
            && ids.len() >= self.context
        {
            return Err(Problem::too_long(ids.len(), self.context));
        }
        let wrong = self.options.quirks.iter().find_map(|quirk| match quirk {
            Quirk::WrongName(name) => Some(name.as_str()),
            _ => None,
        });
        let sent = asked.0.get("x-request-id").and_then(|id| id.to_str().ok());
        let id = sent.map_or_else(|| number.to_string(), ToOwned::to_owned);
        let frame = Frame {
            kind,
            id: &id,
            model: wrong.unwrap_or(name),
            token_ids: request.return_token_ids && !self.has(&Quirk::NoTokenIds),
            logprobs: request.top_logprobs().is_some() && !self.has(&Quirk::NoLogprobs),
            usage: (!self.has(&Quirk::NoUsage)).then_some(off),
        };
        let mut answer = self.answerer.answer(kind, request).await?;
        if self.has(&Quirk::NoTokenIds) {
            answer.prompt_token_ids = None;
        }
        if self.has(&Quirk::NoLogprobs) {
            answer.prompt_logprobs = None;
        }
        Ok(frame.write(&answer))
    }

    /// Sends a right answer, or what a fault makes of it.
    async fn send(&self, kind: Kind, hit: Option<Hit>, body: Bytes, way: UnderWay) -> Response {
        if let Some((fault, other)) = self.mixed_up(kind, hit, &body).await {
            self.counters.fault(fault);
            return json_reply(other);
        }
        let Some(hit) = hit else {
            count(&self.counters.answered);
            return json_reply(body);
        };
        let sent = hit.sent(&body, way);
        let is_fault = sent.is_some() || hit.fault == Fault::WrongUsage;
        if is_fault {
            self.counters.fault(hit.fault);
        }
        // Slow is right, too; and so is what there was no other answer to mix up with.
        if !is_fault || matches!(hit.fault, Fault::SlowDrip(_)) {
            count(&self.counters.answered);
        }
        sent.unwrap_or_else(|| json_reply(body))
    }

    /// An answer to another request, where one is to be sent instead.
    async fn mixed_up(&self, kind: Kind, hit: Option<Hit>, body: &Bytes) -> Option<(Fault, Bytes)> {
        let kinds = &self.options.faults.kinds;
        if !kinds.iter().any(|kind| matches!(kind, Fault::Duplicate | Fault::AnothersAnswer)) {
            return None;
        }
        let exchange = match kind {
            Kind::Completion => &self.completions,
            Kind::Chat => &self.chats,
        };
        let other = match hit {
            None => exchange.pass(body),
            Some(Hit { fault: Fault::Duplicate, roll }) => exchange.earlier(roll),
            Some(Hit { fault: Fault::AnothersAnswer, roll }) => exchange.swap(body, roll).await,
            // What is off in itself is nobody's answer.
            Some(_) => return None,
        };
        exchange.remember(body);
        Some((hit.map_or(Fault::AnothersAnswer, |hit| hit.fault), other?))
    }

    /// Replies to a request for text.
    pub(super) async fn reply(&self, kind: Kind, headers: &HeaderMap, body: &Bytes) -> Response {
        let way = UnderWay::new(&self.counters);
        let refused = |problem: Problem| {
            count(&self.counters.refused);
            problem.into_response()
        };
        self.note(kind, headers, body);
        self.die_in_time();
        if let Some(response) = self.redirected(kind.path()) {
            return response;
        }
        if let Err(problem) = self.check_key(headers) {
            return refused(problem);
        }
        if self.options.reject_above.is_some_and(|most| way.at_once > most) {
            count(&self.counters.rejected);
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Problem::new(status, "RateLimitError", "too many requests").into_response();
        }
        let hit = self.options.faults.hit(way.number);
        if let Some(hit) = hit
            && let Some(response) = hit.before(&self.counters).await
        {
            return response;
        }
        // The semaphore is never closed.
        let _place = self.places.acquire().await.unwrap();
        if !self.options.latency.is_zero() {
            sleep(self.options.latency).await;
        }
        match self.body(kind, (headers, body), way.number, hit.map_or([0; 3], Hit::usage)).await {
            Ok(body) => self.send(kind, hit, body, way).await,
            Err(problem) => refused(problem),
        }
    }

    fn note(&self, kind: Kind, headers: &HeaderMap, body: &Bytes) {
        if headers.contains_key(header::AUTHORIZATION) {
            count(&self.counters.with_key);
        }
        if self.options.keeps_requests {
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value)));
            self.counters.keep(Received {
                path: kind.path(),
                headers: headers.collect(),
                body: serde_json::from_slice(body).unwrap_or_default(),
            });
        }
    }

    /// Ends the process as an engine does that cannot go on.
    #[expect(clippy::print_stderr, reason = "that is how engines die")]
    fn die_in_time(&self) {
        if self.options.dies_after.is_some_and(|most| self.counters.so_far().answered >= most) {
            eprintln!("EngineCore failed: CPU Generator does not use offset");
            std::process::exit(1);
        }
    }
}
