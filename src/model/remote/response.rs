//! Replies: what a server says, checked against what it was asked. What does not fit is a fault, never a
//! row.

use serde::Deserialize;
use serde_json::Value;

use super::protocol::Api;
use super::request::{Asked, Request, Wanted};

/// What a request came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// What the server calls it, where it does.
    pub(super) id: Option<String>,
    /// Which model replied, where it says.
    pub(super) model: Option<String>,
    /// Its texts, in their order.
    pub(super) texts: Vec<Text>,
    /// Tokens read and drawn, as they are paid for.
    pub(super) usage: Usage,
}

/// Tokens, as they are paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u32,
    #[serde(default)]
    pub(super) completion_tokens: u32,
    /// Both, where the server adds them up.
    pub(super) total_tokens: Option<u32>,
}

/// A text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Text {
    pub(super) content: String,
    /// What was thought before it, where the server tells it apart.
    pub(super) reasoning: Option<String>,
    pub(super) ids: Option<Vec<u32>>,
    pub(super) logprob: Option<f64>,
    /// The likeliest first tokens, with their log-probabilities.
    pub(super) next: Vec<(String, f64)>,
    pub(super) ended: Ended,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ended {
    #[default]
    Stop,
    Length,
    /// The server let nobody see it.
    Filtered,
}

#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    prompt_token_ids: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<usize>,
    text: Option<String>,
    message: Option<Message>,
    finish_reason: Option<String>,
    token_ids: Option<Vec<u32>>,
    prompt_token_ids: Option<Vec<u32>>,
    logprobs: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    #[serde(alias = "reasoning_content")]
    reasoning: Option<String>,
}

/// Reads a reply to `request` for `draws` texts.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(
    bytes: &[u8],
    request: &Request,
    draws: usize,
    (api, ids_told): (Api, bool),
) -> Result<Answer, String> {
    let body: Body = serde_json::from_slice(bytes).map_err(|error| not_a_reply(bytes, &error))?;
    let Body { id, model, mut choices, usage, prompt_token_ids } = body;
    if choices.len() != draws {
        return Err(format!("{} texts where {draws} were asked for", choices.len()));
    }
    choices.sort_by_key(|choice| choice.index);
    if choices.iter().enumerate().any(|(at, choice)| choice.index.is_some_and(|index| index != at))
    {
        return Err("texts that are not numbered from 0".to_owned());
    }
    let read = prompt_token_ids.or_else(|| choices.first()?.prompt_token_ids.clone());
    if let (Some(read), Asked::Tokens(asked)) = (&read, &request.asked)
        && read != asked
    {
        return Err("a reply to another prompt".to_owned());
    }
    let texts: Vec<Text> =
        choices.into_iter().map(|choice| text(choice, request, api)).collect::<Result<_, _>>()?;
    if ids_told && texts.iter().any(|text| text.ids.is_none()) {
        return Err("no token ids (`token_ids = false` does without)".to_owned());
    }
    let usage = checked(usage, &texts, request)?;
    Ok(Answer { id, model, texts, usage })
}

/// The first characters of what is no reply.
fn not_a_reply(bytes: &[u8], error: &serde_json::Error) -> String {
    const SHOWN: usize = 80;
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN).collect();
    format!("no reply ({error}): `{}`", text.escape_debug())
}

fn text(choice: Choice, request: &Request, api: Api) -> Result<Text, String> {
    let Choice { text, message, finish_reason, token_ids, logprobs, .. } = choice;
    let ended = match finish_reason.as_deref() {
        Some("stop" | "eos" | "stop_sequence" | "eos_token") => Ended::Stop,
        Some("length") => Ended::Length,
        Some("content_filter") => Ended::Filtered,
        Some(other) => return Err(format!("a text that ended for `{other}`")),
        None => return Err("a text that has not ended".to_owned()),
    };
    let (content, reasoning) = match (api, text, message) {
        (Api::Completions, Some(text), _) => (text, None),
        (Api::Chat, _, Some(message)) => (message.content.unwrap_or_default(), message.reasoning),
        _ => return Err("a choice without a text".to_owned()),
    };
    if token_ids.as_ref().is_some_and(|ids| ids.len() > request.most as usize) {
        return Err(format!("more than the {} tokens that were asked for", request.most));
    }
    let (logprob, next) = match (&logprobs, api) {
        (None, _) => (None, Vec::new()),
        (Some(told), Api::Completions) => completion_logprobs(told),
        (Some(told), Api::Chat) => chat_logprobs(told),
    };
    let next = if request.wanted == Wanted::Text { Vec::new() } else { next };
    Ok(Text { content, reasoning, ids: token_ids, logprob, next, ended })
}

/// The sum of the tokens' log-probabilities, and the candidates of the first.
type Logprobs = (Option<f64>, Vec<(String, f64)>);

fn completion_logprobs(told: &Value) -> Logprobs {
    let tokens = told.get("token_logprobs").and_then(Value::as_array);
    // llama.cpp says here, too, what others say in chats.
    let Some(tokens) = tokens else { return chat_logprobs(told) };
    let sum = tokens.iter().map(Value::as_f64).sum();
    let first = told.get("top_logprobs").and_then(|all| all.get(0)).and_then(Value::as_object);
    let pair = |(token, logprob): (&String, &Value)| Some((token.clone(), logprob.as_f64()?));
    (sum, first.into_iter().flatten().filter_map(pair).collect())
}

fn chat_logprobs(told: &Value) -> Logprobs {
    let Some(tokens) = told.get("content").and_then(Value::as_array) else {
        return (None, Vec::new());
    };
    let sum = tokens.iter().map(|token| token.get("logprob").and_then(Value::as_f64)).sum();
    let first =
        tokens.first().and_then(|token| token.get("top_logprobs")).and_then(Value::as_array);
    let pair =
        |one: &Value| Some((one.get("token")?.as_str()?.to_owned(), one.get("logprob")?.as_f64()?));
    (sum, first.into_iter().flatten().filter_map(pair).collect())
}

/// What is paid for, where it agrees with what is known.
fn checked(usage: Option<Usage>, texts: &[Text], request: &Request) -> Result<Usage, String> {
    let asked = match &request.asked {
        Asked::Tokens(ids) => u32::try_from(ids.len()).ok(),
        Asked::Messages(_) => None,
    };
    let drawn: Option<usize> = texts.iter().map(|text| text.ids.as_ref().map(Vec::len)).sum();
    let drawn = drawn.and_then(|drawn| u32::try_from(drawn).ok());
    let usage = match (usage, asked, drawn) {
        (Some(usage), ..) => usage,
        (None, Some(prompt_tokens), Some(completion_tokens)) => {
            Usage { prompt_tokens, completion_tokens, total_tokens: None }
        }
        (None, ..) => return Err("no usage".to_owned()),
    };
    if let Some(asked) = asked.filter(|asked| *asked != usage.prompt_tokens) {
        let told = usage.prompt_tokens;
        return Err(format!("a usage of {told} prompt tokens where {asked} were sent"));
    }
    if let Some(drawn) = drawn.filter(|drawn| *drawn != usage.completion_tokens) {
        let told = usage.completion_tokens;
        return Err(format!("a usage of {told} completion tokens with {drawn} token ids"));
    }
    let sum = usage.prompt_tokens.saturating_add(usage.completion_tokens);
    if let Some(total) = usage.total_tokens.filter(|total| *total != sum) {
        return Err(format!("a usage of {total} tokens in all, where its parts come to {sum}"));
    }
    let most = request.most.saturating_mul(u32::try_from(texts.len()).unwrap_or(u32::MAX));
    if usage.completion_tokens > most {
        let told = usage.completion_tokens;
        return Err(format!("a usage of {told} completion tokens where {most} were allowed"));
    }
    Ok(usage)
}
