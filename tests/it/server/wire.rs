//! Requests as they come in, and refusals as they go out, as vLLM has them.

use std::fmt;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use mrx::model::{Decoding, Message};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;

/// Which of the two routes for text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Completion,
    Chat,
}

impl Kind {
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Completion => "/v1/completions",
            Self::Chat => "/v1/chat/completions",
        }
    }
}

/// A request for text. What else it says is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) model: Option<String>,
    pub(super) prompt: Option<Written>,
    pub(super) messages: Option<Vec<Turn>>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    min_p: Option<f64>,
    repetition_penalty: Option<f64>,
    /// Signed, as vLLM has it: a larger one is refused.
    seed: Option<i64>,
    pub(super) n: Option<u32>,
    stop: Option<Stop>,
    logprobs: Option<Logprobs>,
    top_logprobs: Option<usize>,
    pub(super) prompt_logprobs: Option<u32>,
    #[serde(default)]
    pub(super) return_token_ids: bool,
    #[serde(default)]
    pub(super) return_tokens_as_token_ids: bool,
    #[serde(default)]
    stream: bool,
}

/// A prompt of `/v1/completions`.
#[derive(Debug)]
pub(super) enum Written {
    Tokens(Vec<u32>),
    Text(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct Turn {
    role: String,
    content: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Logprobs {
    Asked(bool),
    Top(usize),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Written;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a text or a list of token ids")
            }

            fn visit_str<E>(self, text: &str) -> Result<Written, E> {
                Ok(Written::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut ids: A) -> Result<Written, A::Error> {
                let mut tokens = Vec::new();
                while let Some(id) = ids.next_element()? {
                    tokens.push(id);
                }
                Ok(Written::Tokens(tokens))
            }
        }
        from.deserialize_any(Either)
    }
}

impl Request {
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let request: Self =
            serde_json::from_slice(body).map_err(|e| Problem::bad(e.to_string()))?;
        if request.stream {
            return Err(Problem::bad("replies are not streamed here"));
        }
        if request.n == Some(0) {
            return Err(Problem::bad("n must be at least 1, got 0"));
        }
        Ok(request)
    }

    /// How to draw, where there is room for `room` tokens.
    pub(super) fn decoding(&self, kind: Kind, room: usize) -> Decoding {
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let default = if kind == Kind::Chat { room } else { 16 };
        Decoding {
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            top_k: self.top_k.and_then(|k| u32::try_from(k).ok()).filter(|k| *k > 0),
            min_p: self.min_p.unwrap_or(0.0),
            repetition_penalty: self
                .repetition_penalty
                .filter(|penalty| (penalty - 1.0).abs() > 0.0),
            max_tokens: self.most_tokens().unwrap_or(default).min(room).max(1),
        }
    }

    pub(super) fn most_tokens(&self) -> Option<u32> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// A seed for each choice; without one in the request, from `other` on.
    pub(super) fn seeds(&self, other: u64) -> Vec<u64> {
        let first = self.seed.map_or(other, i64::cast_unsigned);
        (0..u64::from(self.n.unwrap_or(1))).map(|nth| first.wrapping_add(nth)).collect()
    }

    pub(super) fn stop(&self) -> Vec<String> {
        match &self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text.clone()],
            Some(Stop::Many(texts)) => texts.clone(),
        }
    }

    pub(super) fn messages(&self) -> Option<Vec<Message>> {
        let message =
            |turn: &Turn| Message { role: turn.role.clone(), content: turn.content.clone() };
        Some(self.messages.as_ref()?.iter().map(message).collect())
    }

    /// How many likeliest tokens are to be told at each place; `None`: no log-probabilities at all.
    pub(super) fn top_logprobs(&self) -> Option<usize> {
        match self.logprobs {
            None | Some(Logprobs::Asked(false)) => None,
            Some(Logprobs::Asked(true)) => Some(self.top_logprobs.unwrap_or(0)),
            Some(Logprobs::Top(top)) => Some(top),
        }
    }
}

/// Why there is no text.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestError", message)
    }

    pub(super) fn too_long(read: usize, context: usize) -> Self {
        Self::bad(format!(
            "This model's maximum context length is {context} tokens. However, your request has {read} \
             input tokens. Please reduce the length of the input messages."
        ))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, kind, message } = self;
        let error =
            json!({ "message": message, "type": kind, "param": null, "code": status.as_u16() });
        (status, json_reply(json!({ "error": error }).to_string().into())).into_response()
    }
}

/// A whole reply in JSON.
pub(super) fn json_reply(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
