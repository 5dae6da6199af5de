//! Bodies of answers. Their parts are written as JSON when they are known, once where they are always the
//! same, and put together for each request.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use serde_json::{Value, json};

use super::wire::Kind;

/// One text, in JSON.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) text: String,
    pub(super) token_ids: String,
    /// In the form of the route; `null` where they are not known.
    pub(super) logprobs: String,
    pub(super) finish: &'static str,
    pub(super) completion_tokens: usize,
}

/// All that answers one request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) choices: Vec<Arc<Choice>>,
    pub(super) prompt_tokens: usize,
    /// In JSON, where the request wants them.
    pub(super) prompt_token_ids: Option<String>,
    pub(super) prompt_logprobs: Option<String>,
}

/// What the head of a body says, and which parts are wanted.
#[derive(Debug)]
pub(super) struct Frame<'f> {
    pub(super) kind: Kind,
    pub(super) id: &'f str,
    pub(super) model: &'f str,
    pub(super) token_ids: bool,
    pub(super) logprobs: bool,
    /// What is added to the counts of prompt, completion and all; `None`: they are not told.
    pub(super) usage: Option<[usize; 3]>,
}

impl Frame<'_> {
    pub(super) fn write(&self, answer: &Answer) -> Bytes {
        let (prefix, object) = match self.kind {
            Kind::Completion => ("cmpl", "text_completion"),
            Kind::Chat => ("chatcmpl", "chat.completion"),
        };
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (id, model) = (Value::from(format!("{prefix}-{}", self.id)), Value::from(self.model));
        let mut body = format!(
            r#"{{"id":{id},"object":"{object}","created":{created},"model":{model},"choices":["#
        );
        for (index, choice) in answer.choices.iter().enumerate() {
            if index > 0 {
                body.push(',');
            }
            self.choice(&mut body, index, choice, answer);
        }
        body.push(']');
        if let (Kind::Chat, Some(ids)) = (self.kind, &answer.prompt_token_ids) {
            let _ = write!(body, r#","prompt_token_ids":{ids}"#);
        }
        if let Some(off) = self.usage {
            let read = answer.prompt_tokens;
            let drawn: usize = answer.choices.iter().map(|c| c.completion_tokens).sum();
            let [prompt, completion, total] =
                [read + off[0], drawn + off[1], read + drawn + off[2]];
            let _ = write!(
                body,
                r#","usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}"#
            );
        }
        body.push('}');
        body.into()
    }

    fn choice(&self, body: &mut String, index: usize, choice: &Choice, answer: &Answer) {
        let text = &choice.text;
        let _ = match self.kind {
            Kind::Completion => write!(body, r#"{{"index":{index},"text":{text}"#),
            Kind::Chat => write!(
                body,
                r#"{{"index":{index},"message":{{"role":"assistant","content":{text}}}"#
            ),
        };
        let logprobs = if self.logprobs { &choice.logprobs } else { "null" };
        let finish = choice.finish;
        let _ =
            write!(body, r#","logprobs":{logprobs},"finish_reason":"{finish}","stop_reason":null"#);
        if self.token_ids {
            let _ = write!(body, r#","token_ids":{}"#, choice.token_ids);
        }
        if self.kind == Kind::Completion {
            if let Some(ids) = &answer.prompt_token_ids {
                let _ = write!(body, r#","prompt_token_ids":{ids}"#);
            }
            if let Some(logprobs) = &answer.prompt_logprobs {
                let _ = write!(body, r#","prompt_logprobs":{logprobs}"#);
            }
        }
        body.push('}');
    }
}

/// Tokens as they are spelt, and their log-probabilities.
pub(super) type Told = Vec<(String, f64)>;

/// Log-probabilities of a text's tokens in the form of a route; `top` are the likeliest at the first
/// place, where they are known.
pub(super) fn logprobs(kind: Kind, tokens: &Told, top: Option<&Told>) -> String {
    match kind {
        Kind::Completion => {
            let offset = |at: &mut usize, (token, _): &(String, f64)| {
                *at += token.chars().count();
                Some(*at - token.chars().count())
            };
            let tops = |top: &Told| {
                let first = top.iter().map(|(token, logp)| (token.clone(), json!(logp))).collect();
                json!([Value::Object(first)])
            };
            json!({
                "tokens": tokens.iter().map(|(token, _)| token).collect::<Vec<_>>(),
                "token_logprobs": tokens.iter().map(|(_, logp)| logp).collect::<Vec<_>>(),
                "top_logprobs": top.map(tops),
                "text_offset": tokens.iter().scan(0, offset).collect::<Vec<_>>(),
            })
            .to_string()
        }
        Kind::Chat => {
            let one = |(token, logp): &(String, f64)| json!({ "token": token, "logprob": logp, "bytes": token.as_bytes() });
            let mut content: Vec<Value> = tokens.iter().map(one).collect();
            for (place, token) in content.iter_mut().enumerate() {
                let tops = top.filter(|_| place == 0).map(|top| top.iter().map(one).collect());
                token["top_logprobs"] = Value::Array(tops.unwrap_or_default());
            }
            json!({ "content": content }).to_string()
        }
    }
}
