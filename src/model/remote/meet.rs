//! Who a server is: what it serves, in which version, and whether several of them compute the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::dialect::Dialect;
use super::drive::{Drive, Halt};
use super::error::Error;
use super::flight::OURS;
use super::how::{Calls, Endpoint};
use super::http::{Fault, Host, Shared};
use super::request::Asked;

/// How long a server may take to say who it is.
const SHORT: Duration = Duration::from_secs(5);

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Its version, where it tells.
    pub version: Option<String>,
    /// Tokens that the model takes, where it tells.
    pub context: Option<usize>,
    /// The models that it serves; empty where it does not tell.
    pub serves: Vec<String>,
}

/// Asks the first of some servers that answers who it is.
///
/// # Errors
/// Where none answers, or one refuses.
pub fn report(endpoints: &[Endpoint], calls: &Calls, name: Option<&str>) -> Result<Report, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Client(error.to_string()))?;
    let mut last = "that there is no server".to_owned();
    for endpoint in endpoints {
        let host = Host::new(endpoint, calls.open_keys)?;
        match runtime.block_on(ask(&host, &calls.dialect, name)) {
            Ok(report) => return Ok(report),
            Err(Fault::Stop(error)) => return Err(error),
            Err(fault) => last = format!("{fault} of {}", host.url),
        }
    }
    Err(Error::Silence { seconds: 0, last })
}

/// Asks a server who it is.
pub(super) async fn ask(
    host: &Host,
    dialect: &Dialect,
    name: Option<&str>,
) -> Result<Report, Fault> {
    let (status, bytes) = host.get("/v1/models", SHORT).await?;
    let mut report = Report::default();
    match status {
        StatusCode::OK => {
            let listed: Value = serde_json::from_slice(&bytes).map_err(|error| {
                Fault::Broken(format!("a list of models that is no JSON ({error})"))
            })?;
            let models: Vec<&Value> =
                listed.get("data").and_then(Value::as_array).into_iter().flatten().collect();
            let id = |model: &&Value| Some(model.get("id")?.as_str()?.to_owned());
            report.serves = models.iter().filter_map(id).collect();
            let ours = models.iter().find(|model| name.is_none() || id(model).as_deref() == name);
            report.context = ours.and_then(|model| context(model));
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let (url, status) = (host.url.clone(), status.as_u16());
            let said = String::from_utf8_lossy(&bytes).chars().take(200).collect();
            return Err(Fault::Stop(Error::Forbidden { url, status, said }));
        }
        // Some have no such list.
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {}
        other => return Err(Fault::Broken(format!("status {}", other.as_u16()))),
    }
    if let Some((path, place)) = &dialect.version_at {
        report.version = version_at(host, path, place).await?;
    }
    Ok(report)
}

/// The version that a server tells at a path, in a place of the JSON that stands there.
pub(super) async fn version_at(
    host: &Host,
    path: &str,
    place: &str,
) -> Result<Option<String>, Fault> {
    let (status, bytes) = host.get(path, SHORT).await?;
    let told: Option<Value> = serde_json::from_slice(&bytes).ok().filter(|_| status.is_success());
    let told = told.as_ref().and_then(|told| told.pointer(place)).and_then(Value::as_str);
    Ok(told.map(str::to_owned))
}

/// vLLM says `max_model_len`, llama.cpp `meta.n_ctx`.
fn context(model: &Value) -> Option<usize> {
    let told = model.get("max_model_len").or_else(|| model.pointer("/meta/n_ctx"));
    told.and_then(Value::as_u64).and_then(|tokens| usize::try_from(tokens).ok())
}

impl Drive<'_> {
    /// Asks every server who it is, once.
    pub(super) async fn meet(&mut self) -> Result<(), Halt> {
        if self.remote.met.load(Ordering::Relaxed) || self.remote.managed.is_some() {
            return Ok(());
        }
        let hosts: Vec<Shared> = self.remote.hosts().clone();
        let (mut there, mut last) = (0, String::new());
        for host in &hosts {
            match self.greet(host).await? {
                Ok(()) => there += 1,
                Err(why) => last = format!("{why}, from {}", host.url),
            }
        }
        if there == 0 {
            return Err(Error::Silence { seconds: 0, last }.into());
        }
        self.compare().await?;
        self.remote.met.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Asks one server who it is, and sees that it is whom the experiment means; or says why it cannot be
    /// asked now.
    pub(super) async fn greet(&mut self, host: &Shared) -> Result<Result<(), String>, Halt> {
        let speaker = &self.remote.speaker;
        let name = speaker.name.as_str();
        let report = match ask(host, &speaker.calls.dialect, Some(name)).await {
            Ok(report) => report,
            Err(Fault::Stop(error)) => return Err(error.into()),
            Err(fault) => return Ok(Err(fault.to_string())),
        };
        let known = report.serves.is_empty() || report.serves.iter().any(|served| served == name);
        if !known && !speaker.calls.dialect.serves_path {
            let (url, name, serves) = (host.url.clone(), name.to_owned(), report.serves);
            return Err(Error::NotServed { url, name, serves }.into());
        }
        if let (Some(expected), Some(found)) = (&self.remote.version, &report.version)
            && expected != found
        {
            let (url, found, expected) = (host.url.clone(), found.clone(), expected.clone());
            return Err(Error::OtherVersion { url, found, expected }.into());
        }
        if let Some(context) = report.context {
            speaker.takes(context);
        }
        Ok(Ok(()))
    }

    /// Sees that several servers give the same prompts' first tokens the same probability.
    pub(super) async fn compare(&mut self) -> Result<(), Halt> {
        /// Nats. Half precision differs by some hundredths between batches.
        const FAR: f64 = 0.1;
        let hosts: Vec<Shared> = self.remote.hosts().clone();
        let prompts = self.probes();
        if hosts.len() < 2 || prompts.is_empty() || !self.remote.speaker.protocol.logprobs {
            return Ok(());
        }
        for prompt in &prompts {
            let mut first: Option<(&Shared, f64)> = None;
            for host in &hosts {
                let Some(told) = self.first_logprob(host, prompt).await? else { continue };
                match first {
                    None => first = Some((host, told)),
                    Some((other, before)) if (before - told).abs() > FAR => {
                        let (one, other) = (other.url.clone(), host.url.clone());
                        return Err(Error::Unequal { one, other, a: before, b: told }.into());
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// A few prompts: parts of the first one that is to be asked.
    fn probes(&self) -> Vec<Vec<u32>> {
        const PARTS: usize = 3;
        let Some(Asked::Tokens(ids)) = self.ready.front().map(|job| &job.request.asked) else {
            return Vec::new();
        };
        let part = |nth: usize| ids[..(ids.len() * nth).div_ceil(PARTS)].to_vec();
        (1..=PARTS).map(part).filter(|part| !part.is_empty()).collect()
    }

    /// The log-probability of the likeliest first token, where the server tells it.
    async fn first_logprob(&mut self, host: &Shared, prompt: &[u32]) -> Result<Option<f64>, Halt> {
        const TRIES: usize = 6;
        let body = json!({
            "model": self.remote.speaker.name, "prompt": prompt, "max_tokens": 1,
            "temperature": 0.0, "logprobs": 1,
        });
        let id = format!("{OURS}first-token");
        let mut last = String::new();
        for _ in 0..TRIES {
            let bytes = body.to_string().into_bytes();
            let sent = host.post("/v1/completions", (&id, bytes), SHORT * 12).await;
            let told: Option<Value> = match sent {
                Ok(bytes) => serde_json::from_slice(&bytes).ok(),
                Err(Fault::Stop(error)) => return Err(error.into()),
                Err(fault) => {
                    last = fault.to_string();
                    None
                }
            };
            let at = "/choices/0/logprobs";
            if let Some(logprobs) = told.as_ref().and_then(|told| told.pointer(at)) {
                let first = logprobs.pointer("/token_logprobs/0");
                return Ok(first
                    .or_else(|| logprobs.pointer("/content/0/logprob"))
                    .and_then(Value::as_f64));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.asker.hear(format!("{} could not be compared with the others: {last}", host.url));
        Ok(None)
    }
}
