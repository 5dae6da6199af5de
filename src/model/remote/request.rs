//! Requests: what is asked of a server, as JSON.

use serde_json::{Map, Value, json};

use super::super::{Ask, Message};
use super::dialect::Dialect;
use super::error::Error;
use super::protocol::{Api, Protocol};

/// What a request asks about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    /// Ids, to be continued.
    Tokens(Vec<u32>),
    /// A conversation, to be written by the server.
    Messages(Vec<Message>),
}

/// What is asked for beside the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A text.
    Text,
    /// How likely the next token's candidates are: so many of them.
    Next(u32),
}

/// A request but for its seed: all draws of an ask share it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) asked: Asked,
    /// Its JSON, written once.
    body: String,
    /// Tokens of a text, at most.
    pub(super) most: u32,
    pub(super) wanted: Wanted,
}

/// How requests are written: the same for all of a model.
pub(super) struct Form<'f> {
    pub(super) dialect: &'f Dialect,
    pub(super) protocol: &'f Protocol,
    pub(super) name: &'f str,
}

impl Form<'_> {
    /// Writes an ask as a request of at most `most` tokens.
    ///
    /// # Errors
    /// [`Error::Setting`] where the server has no field for a setting.
    pub(super) fn request(
        &self,
        asked: Asked,
        ask: &Ask,
        most: u32,
        wanted: Wanted,
    ) -> Result<Request, Error> {
        let Self { dialect, protocol, name } = self;
        let mut body = Map::new();
        body.insert("model".to_owned(), (*name).into());
        match &asked {
            Asked::Tokens(ids) => body.insert("prompt".to_owned(), json!(ids)),
            Asked::Messages(messages) => {
                let plain = |Message { role, content }: &Message| json!({ "role": role, "content": content });
                body.insert("messages".to_owned(), messages.iter().map(plain).collect())
            }
        };
        let limit = dialect.max_tokens.as_deref().filter(|_| matches!(asked, Asked::Messages(_)));
        body.insert(limit.unwrap_or("max_tokens").to_owned(), most.into());
        dialect.decoding(&ask.decoding, &mut body).map_err(Error::Setting)?;
        if !ask.stop.is_empty() {
            body.insert("stop".to_owned(), json!(ask.stop));
        }
        if let Some(field) = dialect.asks_token_ids.as_ref().filter(|_| protocol.token_ids) {
            body.insert(field.clone(), true.into());
        }
        self.ask_for_logprobs(&mut body, wanted);
        body.extend(dialect.fields.clone());
        body.extend(protocol.fields.clone());
        let body = Value::Object(body).to_string();
        Ok(Request { asked, body, most, wanted })
    }

    fn ask_for_logprobs(&self, body: &mut Map<String, Value>, wanted: Wanted) {
        let how_many = match wanted {
            Wanted::Next(most) => most,
            // One of each token is enough: the one that was drawn is always told.
            Wanted::Text if self.protocol.logprobs => 1,
            Wanted::Text => return,
        };
        match self.protocol.api {
            Api::Completions => {
                body.insert("logprobs".to_owned(), how_many.into());
            }
            Api::Chat => {
                body.insert("logprobs".to_owned(), true.into());
                body.insert("top_logprobs".to_owned(), how_many.into());
            }
        }
        // In a chat the tokens are the server's own, and go by their texts.
        if let (Some(field), Wanted::Next(_), Api::Completions) =
            (&self.dialect.names_tokens_by_id, wanted, self.protocol.api)
        {
            body.insert(field.clone(), true.into());
        }
    }

    /// The path that requests are sent to.
    pub(super) const fn path(&self) -> &'static str {
        match self.protocol.api {
            Api::Completions => "/v1/completions",
            Api::Chat => "/v1/chat/completions",
        }
    }

    /// The JSON of a request for `draws` texts under a seed.
    pub(super) fn with_seed(&self, request: &Request, seed: u64, draws: usize) -> String {
        let seed = match request.wanted {
            Wanted::Text => format!(",\"seed\":{}", self.dialect.seed(seed)),
            Wanted::Next(_) => String::new(),
        };
        let n = if draws > 1 { format!(",\"n\":{draws}") } else { String::new() };
        let open = request.body.strip_suffix('}').unwrap_or_default();
        format!("{open}{seed}{n}}}")
    }
}
