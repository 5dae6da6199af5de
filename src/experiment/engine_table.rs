//! `[engine]` and `[engines.NAME]`: how models are run, as it is written in an experiment or in the
//! machine's own file.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Error;
use super::locate::Text;
use super::per_iteration::{Count, Positive, Rate, Steps, Switch};
use super::spanned::Spanned;
use crate::stages::Api;

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
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

/// `[engine]` and `[engines.NAME]`: how models are run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table of an engine")]
pub(super) struct EngineTable {
    /// What runs the models; told by the other fields where not given.
    pub(super) kind: Option<Spanned<Kind>>,
    /// What the servers speak: vllm, sglang, llama-server, transformers or openai.
    pub(super) preset: Option<Spanned<String>>,
    /// The program that is started for each model, with `{model}`, `{port}`, `{name}`, `{gpus}`.
    pub(super) command: Option<Spanned<String>>,
    /// The command that says its version.
    pub(super) version_command: Option<Spanned<String>>,
    /// Whether an adapter is served on its base (vLLM); else it is merged first.
    #[schemars(extend("default" = false))]
    pub(super) lora: Option<Switch>,
    /// Addresses of servers, or `{ url, api_key_env }`.
    pub(super) endpoints: Option<Vec<Spanned<EndpointTable>>>,
    /// The variable that holds the key; the key itself is written nowhere.
    pub(super) api_key_env: Option<Spanned<String>>,
    /// What the servers call the experiment's first model; checkpoints go by `mrx-` and their digest.
    pub(super) served_name: Option<Spanned<String>>,
    /// Who writes the prompt; as the preset says.
    pub(super) api: Option<Api>,
    /// The version, where it is not to be asked for; part of the key.
    pub(super) version: Option<Spanned<String>>,
    /// What else changes its numbers, in your words; part of the key.
    pub(super) compute: Option<Spanned<String>>,
    /// Whether it honours seeds; as the preset says.
    pub(super) seeds: Option<Switch>,
    /// Whether it gives the ids of tokens; as the preset says.
    pub(super) token_ids: Option<Switch>,
    /// Whether it gives log-probabilities; as the preset says.
    pub(super) logprobs: Option<Switch>,
    /// Whether several draws are asked for in one request.
    #[schemars(extend("default" = false))]
    pub(super) n: Option<Switch>,
    /// More fields of every request.
    pub(super) fields: Option<Map<String, Value>>,
    /// How often the program is started.
    #[schemars(extend("default" = 1))]
    pub(super) replicas: Option<Count>,
    /// Cards of each replica.
    #[schemars(extend("default" = 0))]
    pub(super) gpus: Option<Steps>,
    /// The first port that it listens at; a free one where not given.
    pub(super) port: Option<Spanned<Count>>,
    /// How long it may take to be ready.
    #[schemars(extend("default" = "10m"))]
    pub(super) ready_timeout: Option<Spanned<String>>,
    /// How often it is started again when it dies.
    #[schemars(extend("default" = 3))]
    pub(super) restarts: Option<Steps>,
    /// Variables of its environment.
    pub(super) env: Option<BTreeMap<String, String>>,
    /// How long a request may take.
    #[schemars(extend("default" = "10m"))]
    pub(super) timeout: Option<Spanned<String>>,
    /// How long to go on without any reply.
    #[schemars(extend("default" = "15m"))]
    pub(super) patience: Option<Spanned<String>>,
    /// Requests under way at a server, at most.
    #[schemars(extend("default" = 256))]
    pub(super) max_concurrency: Option<Count>,
    /// What a million tokens cost.
    pub(super) prices: Option<PricesTable>,
    /// What the experiment may cost: a request that might pass it is not sent.
    pub(super) max_cost: Option<Positive>,
    /// Whether a key may go to another machine without TLS.
    #[schemars(extend("default" = false))]
    pub(super) allow_http: Option<Switch>,
}

/// An address, or one with its own key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an address, or a table of `url` and `api_key_env`")]
pub(super) enum EndpointTable {
    /// An address.
    Url(String),
    /// An address with a key of its own.
    Keyed {
        /// The address.
        url: String,
        /// The variable that holds its key.
        api_key_env: String,
    },
}

/// `prices`: of a million tokens.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table of `prompt` and `completion`")]
pub(super) struct PricesTable {
    /// Of those that are read.
    pub(super) prompt: Rate,
    /// Of those that are drawn.
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
