//! What is told beside the texts: log-probabilities, ids, usage, the model's name, and how many tokens a
//! conversation has.

use super::super::super::language::Language;
use super::super::protocol::Api;
use super::finding::Finding;
use super::heard::{Heard, ended, ids, logprobs, text};
use super::patient::{Draw, Patient, seed};

/// Looks whether the server writes a conversation as the model's own template does.
pub(super) async fn template(patient: &Patient<'_>) -> Finding {
    const CHECK: &str = "chat template";
    let own = match patient.tokens() {
        Ok(Some(own)) => own.len() as u64,
        Ok(None) => return Finding::unknown(CHECK, "the model's folder is not known"),
        Err(why) => return Finding::unknown(CHECK, why),
    };
    let draw = Draw { most: 1, ..Draw::text(seed(0)) };
    let written = match patient.chat(&draw) {
        Ok(written) => written,
        Err(error) => return Finding::unknown(CHECK, error.to_string()),
    };
    let read = match patient.send(&written).await.map_err(|fault| fault.to_string()) {
        Ok(heard) => heard.usage("prompt_tokens"),
        Err(why) => return Finding::unknown(CHECK, format!("no chat: {why}")),
    };
    match read {
        None => Finding::unknown(CHECK, "it does not tell how many tokens it read"),
        Some(read) if read == own => {
            Finding::pass(CHECK, format!("{read} tokens, as by the model's own"))
        }
        Some(read) => {
            let found = format!("{read} tokens; {own} by the model's own template");
            let costs = match patient.speaker.protocol.api {
                Api::Chat => "every prompt is written in another way than the model was trained on",
                Api::Completions => {
                    "nothing while prompts are sent as tokens; in chats they would be written otherwise"
                }
            };
            Finding::fail(CHECK, found, costs)
        }
    }
}

/// Looks at the log-probabilities of replies.
pub(super) fn log_probabilities(patient: &Patient<'_>, heard: &[Heard]) -> Finding {
    const CHECK: &str = "log-probabilities";
    if !patient.speaker.protocol.logprobs {
        return Finding::unknown(CHECK, "not asked for: the engine says `logprobs = false`");
    }
    let costs = "rows have no log-probability: say `logprobs = false`, and the key says so";
    let mut tokens = 0;
    for reply in heard {
        let [choice] = reply.choices() else { continue };
        let Some(told) = logprobs(choice) else {
            return Finding::fail(CHECK, "none are told", costs);
        };
        if let Some(strange) = told.iter().find(|told| !told.is_finite() || **told > 1e-6) {
            return Finding::fail(CHECK, format!("one of them is {strange}"), costs);
        }
        let drawn = ids(choice).map(|ids| ids.len() as u64);
        if let Some(drawn) = drawn.or_else(|| reply.usage("completion_tokens")) {
            // The token that ends a text may have none.
            let left = drawn.abs_diff(told.len() as u64);
            if left > u64::from(ended(choice)) {
                let found = format!("{} of them for {drawn} tokens", told.len());
                return Finding::fail(CHECK, found, costs);
            }
        }
        tokens += told.len();
    }
    Finding::pass(CHECK, format!("those of {tokens} tokens"))
}

/// Looks at the token ids of replies.
pub(super) fn token_ids(patient: &Patient<'_>, heard: &[Heard]) -> Finding {
    const CHECK: &str = "token ids";
    if !patient.speaker.protocol.token_ids {
        return Finding::unknown(CHECK, "not asked for: the engine says `token_ids = false`");
    }
    let costs =
        "no reply is taken for a row: say `token_ids = false`, and texts are tokenised here";
    let mut tokens = 0;
    for reply in heard {
        let [choice] = reply.choices() else { continue };
        let Some(ids) = ids(choice) else { return Finding::fail(CHECK, "none are told", costs) };
        tokens += ids.len();
        if let Some(language) = &patient.speaker.language
            && let Err(found) = says(language, &ids, &text(choice))
        {
            let costs =
                "rows hold other texts than the server's: is it the folder's own tokenizer?";
            return Finding::fail(CHECK, found, costs);
        }
    }
    if patient.speaker.language.is_none() {
        let found = format!("{tokens} are told; the model's folder is not known");
        return Finding::unknown(CHECK, found);
    }
    Finding::pass(CHECK, format!("{tokens} of them say what the texts say"))
}

/// Sees that ids are those of a text.
fn says(language: &Language, ids: &[u32], text: &str) -> Result<(), String> {
    const SHOWN: usize = 30;
    let decoded = language.tokenizer.decode(language.without_end(ids));
    let decoded = decoded.map_err(|error| error.to_string())?;
    // A character that is not whole yet is written in some ways.
    let plain = |text: &str| text.trim_end_matches('\u{fffd}').trim().to_owned();
    let (decoded, text) = (plain(&decoded), plain(text));
    if decoded == text {
        return Ok(());
    }
    let short = |text: &str| text.chars().take(SHOWN).collect::<String>();
    Err(format!("they say `{}`, and the text is `{}`", short(&decoded), short(&text)))
}

/// Looks at the counts of tokens that replies come with.
pub(super) fn usage(patient: &Patient<'_>, heard: &[Heard]) -> Finding {
    const CHECK: &str = "usage";
    let own = match patient.speaker.protocol.api {
        Api::Completions => patient.tokens().ok().flatten().map(|ids| ids.len() as u64),
        Api::Chat => None,
    };
    let counts_here = own.is_some() && patient.speaker.protocol.token_ids;
    for reply in heard {
        let count = |field: &str| reply.usage(field);
        let (Some(read), Some(drawn)) = (count("prompt_tokens"), count("completion_tokens")) else {
            let costs = if counts_here {
                "tokens are counted by their ids, and may not be those that are paid for"
            } else {
                "no reply is taken for a row: nobody counts its tokens"
            };
            return Finding::fail(CHECK, "none is told", costs);
        };
        let ids: Option<usize> = reply.choices().iter().map(|one| ids(one).map(|i| i.len())).sum();
        let all = count("total_tokens");
        let found = match (own, ids.map(|ids| ids as u64), all) {
            (Some(own), ..) if own != read => format!("{read} tokens read of {own} that were sent"),
            (_, Some(ids), _) if ids != drawn => {
                format!("{drawn} tokens drawn with {ids} token ids")
            }
            (.., Some(all)) if all != read + drawn => {
                format!("{all} tokens in all, where {read} were read and {drawn} drawn")
            }
            _ => continue,
        };
        return Finding::fail(CHECK, found, "no such reply is taken for a row");
    }
    Finding::pass(CHECK, format!("told, and adds up in {} replies", heard.len()))
}

/// Looks at the name of the model that replies.
pub(super) fn model_name(patient: &Patient<'_>, heard: &[Heard]) -> Finding {
    const CHECK: &str = "model name";
    let named: Vec<&str> = heard.iter().filter_map(Heard::model).collect();
    match named.iter().find(|named| !patient.speaker.is_me(named)) {
        Some(other) => {
            let found = format!("`{other}` replies, and `{}` was asked", patient.speaker.name);
            Finding::fail(CHECK, found, "the run stops at the first reply: it is another model's")
        }
        None => match named.first() {
            Some(name) => Finding::pass(CHECK, format!("`{name}`")),
            None => Finding::unknown(CHECK, "replies do not say which model they are of"),
        },
    }
}
