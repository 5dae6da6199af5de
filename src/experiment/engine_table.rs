//! `[engine]` and `[engines.NAME]`: how models are run, as it is written in an experiment or in the
//! machine's own file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::Error;
use super::locate::Text;
use super::per_iteration::{Count, Positive, Rate, Steps, Switch};
use crate::stages::Api;

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// This program.
    Local,
    /// A program that is started.
    Command,
    /// Servers that are there.
    Endpoints,
    /// Files of requests and replies.
    Batch,
}

/// `[engine]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of an engine")]
pub(super) struct EngineTable {
    pub(super) kind: Option<Spanned<Kind>>,
    pub(super) preset: Option<Spanned<String>>,
    pub(super) command: Option<Spanned<String>>,
    pub(super) version_command: Option<Spanned<String>>,
    pub(super) lora: Option<Switch>,
    pub(super) endpoints: Option<Vec<Spanned<EndpointTable>>>,
    pub(super) api_key_env: Option<Spanned<String>>,
    pub(super) served_name: Option<Spanned<String>>,
    pub(super) api: Option<Api>,
    pub(super) version: Option<Spanned<String>>,
    pub(super) compute: Option<Spanned<String>>,
    pub(super) seeds: Option<Switch>,
    pub(super) token_ids: Option<Switch>,
    pub(super) logprobs: Option<Switch>,
    pub(super) n: Option<Switch>,
    pub(super) fields: Option<Map<String, Value>>,
    pub(super) replicas: Option<Count>,
    pub(super) gpus: Option<Steps>,
    pub(super) port: Option<Spanned<Count>>,
    pub(super) ready_timeout: Option<Spanned<String>>,
    pub(super) restarts: Option<Steps>,
    pub(super) env: Option<BTreeMap<String, String>>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) patience: Option<Spanned<String>>,
    pub(super) max_concurrency: Option<Count>,
    pub(super) prices: Option<PricesTable>,
    pub(super) max_cost: Option<Positive>,
    pub(super) allow_http: Option<Switch>,
}

/// An address, or one with its own key.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "an address, or a table of `url` and `api_key_env`")]
pub(super) enum EndpointTable {
    Url(String),
    Keyed { url: String, api_key_env: String },
}

/// `prices`: of a million tokens.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of `prompt` and `completion`")]
pub(super) struct PricesTable {
    pub(super) prompt: Rate,
    pub(super) completion: Rate,
}

impl EngineTable {
    /// What the table says, and what the one below says where it is silent.
    pub(super) fn over(self, below: Self) -> Self {
        macro_rules! merged {
            ($($field:ident),* $(,)?) => { Self { $($field: self.$field.or(below.$field),)* } };
        }
        merged!(
            kind,
            preset,
            command,
            version_command,
            lora,
            endpoints,
            api_key_env,
            served_name,
            api,
            version,
            compute,
            seeds,
            token_ids,
            logprobs,
            n,
            fields,
            replicas,
            gpus,
            port,
            ready_timeout,
            restarts,
            env,
            timeout,
            patience,
            max_concurrency,
            prices,
            max_cost,
            allow_http,
        )
    }

    /// Checks what the TOML reader could not.
    pub(super) fn check(&self, text: &Text) -> Result<(), Error> {
        for named in [&self.ready_timeout, &self.timeout, &self.patience].into_iter().flatten() {
            if humantime::parse_duration(named.as_ref()).is_err() {
                let found = named.as_ref();
                let message = format!("expected a time, as `10m` or `90s`, found `{found}`");
                return Err(text.error(&named.span(), message));
            }
        }
        for named in [&self.command, &self.version_command].into_iter().flatten() {
            if shlex::split(named.as_ref()).is_none_or(|words| words.is_empty()) {
                let message = "expected a command; a quote is open, or there is no word";
                return Err(text.error(&named.span(), message));
            }
        }
        if let Some(command) = &self.command
            && !command.as_ref().contains("{port}")
        {
            let message = "expected a command with `{port}`: mrx says where the engine listens";
            return Err(text.error(&command.span(), message));
        }
        if let Some(port) = self.port.as_ref().filter(|port| port.as_ref().0 > u64::from(u16::MAX))
        {
            let message = format!("expected a port, 1 to 65535, found {}", port.as_ref().0);
            return Err(text.error(&port.span(), message));
        }
        if let Some(none) = self.endpoints.as_ref().filter(|endpoints| endpoints.is_empty()) {
            let span = none.first().map_or(0..0, Spanned::span);
            return Err(text.error(&span, "expected addresses in `endpoints`, found none"));
        }
        Ok(())
    }
}

/// Reads a time that was checked.
pub(super) fn duration(named: Option<&Spanned<String>>, default: Duration) -> Duration {
    named.and_then(|named| humantime::parse_duration(named.as_ref()).ok()).unwrap_or(default)
}
