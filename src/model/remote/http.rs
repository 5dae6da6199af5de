//! HTTP: one request, and what its reply is good for.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use super::error::Error;
use super::how::Endpoint;

/// A server that can be called.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// Its address, for people.
    pub(super) url: String,
    base: Url,
    client: Client,
}

/// What a request came to, where it came to no reply.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server has too much to do. It may say for how long.
    Busy(String, Option<Duration>),
    /// The server cannot be reached.
    Away(String),
    /// The server has not answered in time.
    Slow(String),
    /// The server failed, or its reply is none.
    Broken(String),
    /// The server does not take this request, and would not take it again.
    Refused(String),
    /// No request will do.
    Stop(Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(text, _)
            | Self::Away(text)
            | Self::Slow(text)
            | Self::Broken(text)
            | Self::Refused(text) => f.write_str(text),
            Self::Stop(error) => error.fmt(f),
        }
    }
}

/// Seconds in which a connection is there, or is not.
const CONNECT: Duration = Duration::from_secs(10);

impl Host {
    /// Makes a server callable.
    ///
    /// # Errors
    /// Where its address is none, its key is not there, or would travel in the open.
    pub(super) fn new(endpoint: &Endpoint, open_keys: bool) -> Result<Self, Error> {
        let url = endpoint.url.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let bad = |reason: String| Error::Address { url: endpoint.url.clone(), reason };
        let base = Url::parse(&format!("{url}/")).map_err(|error| bad(error.to_string()))?;
        if !["http", "https"].contains(&base.scheme()) || base.host_str().is_none() {
            return Err(bad("expected `http://…` or `https://…`".to_owned()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad("a key has no place in an address; name its variable".to_owned()));
        }
        let local = is_loopback(&base);
        let mut headers = HeaderMap::new();
        if let Some(key) = &endpoint.key {
            if base.scheme() == "http" && !local && !open_keys {
                return Err(Error::OpenKey { url });
            }
            let no_key = || Error::NoKey { url: url.clone(), variable: key.variable.clone() };
            let value = key.value().ok_or_else(no_key)?;
            let bearer = HeaderValue::from_str(&format!("Bearer {value}"));
            // The reason would show the key.
            let mut bearer =
                bearer.map_err(|_| bad(format!("what `{}` holds is no key", key.variable)))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let client = client(headers, local).map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { url, base, client })
    }

    fn at(&self, path: &str) -> Result<Url, Fault> {
        let joined = self.base.join(path.trim_start_matches('/'));
        joined.map_err(|error| Fault::Broken(error.to_string()))
    }

    /// Asks for what stands at a path: its status and its bytes.
    pub(super) async fn get(
        &self,
        path: &str,
        timeout: Duration,
    ) -> Result<(StatusCode, Vec<u8>), Fault> {
        let sent = self.client.get(self.at(path)?).timeout(timeout).send().await;
        let reply = sent.map_err(|error| told(&error))?;
        let status = reply.status();
        let bytes = reply.bytes().await.map_err(|error| told(&error))?;
        Ok((status, bytes.to_vec()))
    }

    /// Sends a request, and returns the bytes of a reply that is one.
    pub(super) async fn post(
        &self,
        path: &str,
        (id, body): (&str, Vec<u8>),
        timeout: Duration,
    ) -> Result<Vec<u8>, Fault> {
        let request = self.client.post(self.at(path)?).header(CONTENT_TYPE, "application/json");
        let request = request.header("X-Request-Id", id).timeout(timeout).body(body);
        let reply = request.send().await.map_err(|error| told(&error))?;
        let (status, wait) = (reply.status(), retry_after(reply.headers()));
        let bytes = reply.bytes().await.map_err(|error| told(&error))?;
        if status.is_success() {
            return Ok(bytes.to_vec());
        }
        Err(self.fault(status, wait, &said(&bytes)))
    }

    /// What a status means for the request, and for all others.
    fn fault(
        &self,
        status: StatusCode,
        wait: Option<Duration>,
        (said, code): &(String, String),
    ) -> Fault {
        let url = self.url.clone();
        let number = status.as_u16();
        let text = format!("status {number} of {url}: {said}");
        let spent = code == "insufficient_quota";
        match number {
            429 if !spent => Fault::Busy(text, wait),
            503 | 529 => Fault::Busy(text, wait),
            408 | 409 | 425 | 500.. => Fault::Broken(text),
            400 | 413 | 422 => Fault::Refused(said.clone()),
            401 | 403 => Fault::Stop(Error::Forbidden { url, status: number, said: said.clone() }),
            _ => Fault::Stop(Error::Status { url, status: number, said: said.clone() }),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn client(headers: HeaderMap, local: bool) -> reqwest::Result<Client> {
    // The process may have one already: the first stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A key goes to no other host than its own: nothing is followed.
    let builder = Client::builder().default_headers(headers).redirect(Policy::none());
    let builder = builder.connect_timeout(CONNECT).pool_max_idle_per_host(1024).http1_only();
    let builder = if local { builder.no_proxy() } else { builder };
    builder.user_agent(concat!("mrx/", env!("CARGO_PKG_VERSION"))).build()
}

/// What a failed call came to. An address in it would be said twice.
fn told(error: &reqwest::Error) -> Fault {
    use std::error::Error as _;
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        words = source.to_string();
        cause = source.source();
    }
    if error.is_timeout() {
        return Fault::Slow(format!("no reply in time ({words})"));
    }
    if error.is_connect() {
        Fault::Away(words)
    } else {
        Fault::Broken(format!("a reply that was cut off ({words})"))
    }
}

/// Seconds to wait, where the server says so. A date is rare, and is waited for as any other overload.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    const LONGEST: f64 = 600.0;
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST)))
}

/// The words of an error's body, and its code.
fn said(bytes: &[u8]) -> (String, String) {
    const SHOWN: usize = 300;
    let short = |text: &str| text.chars().take(SHOWN).collect::<String>();
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else {
        return (short(&String::from_utf8_lossy(bytes).escape_debug().to_string()), String::new());
    };
    let error = body.get("error").unwrap_or(&body);
    let words = ["message", "detail"].iter().find_map(|field| error.get(field)?.as_str());
    let words = words.or_else(|| error.as_str()).map_or_else(|| error.to_string(), str::to_owned);
    let code = error.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    (short(&words), code)
}

/// One that answers is enough for many requests at once.
pub(super) type Shared = Arc<Host>;
