//! Who the server is: whether it is there, what it serves, in which version, and whom it lets in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::super::Version;
use super::super::error::Error;
use super::super::how::Endpoint;
use super::super::http::{Fault, Host, Shared};
use super::super::meet::{Report, ask};
use super::super::speaker::Speaker;
use super::finding::Finding;

/// What a server said of itself.
pub(super) struct Met {
    /// How it is called.
    pub(super) host: Shared,
    report: Result<Report, Fault>,
    took: Duration,
    /// Why the key that it is called with cannot be sent.
    no_key: Option<String>,
}

/// What costs whatever is not there.
const NO_ROWS: &str = "no row can be drawn";

impl Met {
    /// Asks a server who it is.
    ///
    /// # Errors
    /// Where its address is none.
    pub(super) async fn with(endpoint: &Endpoint, speaker: &Speaker) -> Result<Self, Error> {
        let open_keys = speaker.calls.open_keys;
        let (host, no_key) = match Host::new(endpoint, open_keys) {
            Ok(host) => (host, None),
            // Who it is can be asked without.
            Err(error) => {
                let keyless = Endpoint { key: None, ..endpoint.clone() };
                (Host::new(&keyless, open_keys)?, Some(error.to_string()))
            }
        };
        Ok(Self::asked(Arc::new(host), speaker, no_key).await)
    }

    /// Asks a server that needs no key.
    pub(super) async fn asked(host: Shared, speaker: &Speaker, no_key: Option<String>) -> Self {
        let (dialect, name) = (&speaker.calls.dialect, Some(speaker.name.as_str()));
        let mut began = Instant::now();
        let mut report = ask(&host, dialect, name).await;
        if matches!(report, Err(Fault::Broken(_) | Fault::Busy(..))) {
            began = Instant::now();
            report = ask(&host, dialect, name).await;
        }
        if let Ok(Report { context: Some(context), .. }) = &report {
            speaker.takes(*context);
        }
        Self { host, report, took: began.elapsed(), no_key }
    }

    /// Whether it said who it is.
    pub(super) const fn is_there(&self) -> bool {
        self.report.is_ok()
    }

    /// Why no request for text is of use; `None` where it may be.
    pub(super) fn blocked(&self, speaker: &Speaker) -> Option<String> {
        match &self.report {
            _ if self.no_key.is_some() => Some("there is no key to ask with".to_owned()),
            Ok(report) if !serves(report, speaker) => Some("the model is not served".to_owned()),
            Ok(_) => None,
            Err(fault) if is_refused(fault) => Some("the key is refused".to_owned()),
            Err(_) => Some("the server is not there".to_owned()),
        }
    }

    pub(super) fn reachable(&self) -> Finding {
        const CHECK: &str = "reachable";
        match &self.report {
            Ok(_) => Finding::pass(CHECK, format!("answers in {} ms", self.took.as_millis())),
            Err(fault) if is_refused(fault) => Finding::pass(CHECK, "answers, and asks for a key"),
            Err(fault) => Finding::fail(CHECK, fault.to_string(), NO_ROWS),
        }
    }

    pub(super) fn serves(&self, speaker: &Speaker) -> Finding {
        const CHECK: &str = "serves";
        let name = &speaker.name;
        let Ok(report) = &self.report else {
            return Finding::unknown(CHECK, "it does not say");
        };
        let others: Vec<&str> =
            report.serves.iter().map(String::as_str).filter(|other| other != name).collect();
        let all = others.join(", ");
        match (report.serves.is_empty(), serves(report, speaker), others.is_empty()) {
            (true, ..) => Finding::unknown(CHECK, "it has no list of its models"),
            (_, true, true) => Finding::pass(CHECK, format!("`{name}`")),
            (_, true, false) => Finding::pass(CHECK, format!("`{name}`; also {all}")),
            (_, false, _) => {
                let costs = "the run stops before it draws: another model's rows are not made";
                Finding::fail(CHECK, format!("`{name}` is not there; {all} is"), costs)
            }
        }
    }

    /// `expected` is what the experiment says, where the run holds the server to it.
    pub(super) fn version(&self, expected: Option<&Version>, speaker: &Speaker) -> Finding {
        const CHECK: &str = "version";
        let told = self.report.as_ref().ok().and_then(|report| report.version.as_deref());
        match (told, expected) {
            (None, _) if speaker.calls.dialect.version_at.is_none() => {
                Finding::unknown(CHECK, "servers of this kind do not say where it stands")
            }
            (None, _) => Finding::unknown(CHECK, "it does not say"),
            (Some(told), Some(Version::Text(expected))) if expected != told => {
                let found = format!("{told}; the experiment says {expected}");
                Finding::fail(CHECK, found, "the run stops before it draws")
            }
            (Some(told), _) => Finding::pass(CHECK, told),
        }
    }

    pub(super) fn context(&self, speaker: &Speaker) -> Finding {
        const CHECK: &str = "context";
        let told = self.report.as_ref().ok().and_then(|report| report.context);
        let own = speaker.language.as_ref().map(|language| language.context);
        match (told, own) {
            (None, _) => Finding::unknown(CHECK, "it does not say how many tokens it takes"),
            (Some(told), None) => {
                let found = format!("{told} tokens; the model's folder is not known");
                Finding::unknown(CHECK, found)
            }
            (Some(told), Some(own)) if told < own => {
                let costs =
                    "longer prompts are refused, though the model takes them: rows without a text";
                Finding::fail(CHECK, format!("{told} tokens; the model takes {own}"), costs)
            }
            (Some(told), Some(own)) => {
                Finding::pass(CHECK, format!("{told} tokens; the model takes {own}"))
            }
        }
    }

    /// `refused` is what the first request for text was refused with, where it was.
    pub(super) fn key(&self, endpoint: &Endpoint, refused: Option<&Fault>) -> Finding {
        const CHECK: &str = "key";
        let refused = refused.or(self.report.as_ref().err()).filter(|fault| is_refused(fault));
        let variable = endpoint.key.as_ref().map(|key| key.variable.as_str());
        match (&self.no_key, refused, variable) {
            (Some(why), ..) => Finding::fail(CHECK, why, NO_ROWS),
            (None, Some(fault), Some(variable)) => {
                let found = format!("{fault}; it was that of `{variable}`");
                Finding::fail(CHECK, found, NO_ROWS)
            }
            (None, Some(_), None) => {
                let found = "one is asked for, and the engine names no `api_key_env`";
                Finding::fail(CHECK, found, NO_ROWS)
            }
            (None, None, _) if self.report.is_err() => Finding::unknown(CHECK, "it does not say"),
            (None, None, Some(variable)) => Finding::pass(CHECK, format!("that of `{variable}`")),
            (None, None, None) => Finding::pass(CHECK, "none is asked for"),
        }
    }
}

fn serves(report: &Report, speaker: &Speaker) -> bool {
    report.serves.is_empty()
        || speaker.calls.dialect.serves_path
        || report.serves.contains(&speaker.name)
}

/// Whether the server asks for a key, or for another one.
pub(super) const fn is_refused(fault: &Fault) -> bool {
    matches!(fault, Fault::Stop(Error::Forbidden { .. }))
}
