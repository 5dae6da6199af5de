//! What a model's folder says of its chat template and of the tokens that it may print, read as
//! transformers 5 reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::error::Error;
use crate::model::folder::{parse, read};

/// The template's own file.
pub(super) const NAME: &str = "chat_template.jinja";

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";

/// Tokens by the names that a template knows them by.
pub(super) type Tokens = BTreeMap<String, String>;

/// One template, or several by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Many(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

/// Reads the template of a folder, and its tokens: `chat_template.jinja`, else the one in
/// `tokenizer_config.json`.
pub(super) fn open(files: &BTreeMap<String, PathBuf>) -> Result<(String, Tokens), Error> {
    let Some(path) = files.get(CONFIG) else {
        let template = files.get(NAME).ok_or(Error::NoTemplate)?;
        return Ok((read(template)?, tokens(Map::new(), special(files)?)));
    };
    let mut config: Map<String, Value> = parse(path)?;
    let templates = config.remove("chat_template").filter(|value| !value.is_null());
    let template = match (files.get(NAME), templates) {
        (Some(path), _) => read(path)?,
        (None, Some(templates)) => {
            let templates = Templates::deserialize(templates).map_err(|e| Error::Config {
                path: path.clone(),
                reason: format!("`chat_template`: {e}"),
            })?;
            the_default(templates)?
        }
        (None, None) => return Err(Error::NoTemplate),
    };
    // The map is from before tokens were listed in the configuration, and is not read beside a list.
    let special = if config.contains_key("added_tokens_decoder") { None } else { special(files)? };
    Ok((template, tokens(config, special)))
}

fn special(files: &BTreeMap<String, PathBuf>) -> Result<Option<Map<String, Value>>, Error> {
    files.get(SPECIAL).map(|path| parse(path)).transpose()
}

fn the_default(templates: Templates) -> Result<String, Error> {
    match templates {
        Templates::One(template) => Ok(template),
        Templates::Many(named) => named
            .into_iter()
            .find(|named| named.name == "default")
            .map(|named| named.template)
            .ok_or(Error::NoTemplate),
    }
}

/// Every token with a name: `bos_token` and all others that end in `_token`, and those that a model has of
/// its own. What the map says goes before the configuration, and what the tokenizer's class says after it.
fn tokens(mut config: Map<String, Value>, special: Option<Map<String, Value>>) -> Tokens {
    let class = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
    let mut tokens: Tokens = of_class(class)
        .iter()
        .map(|(name, token)| ((*name).to_owned(), (*token).to_owned()))
        .collect();
    config.extend(special.into_iter().flatten());
    let own =
        ["extra_special_tokens", "model_specific_special_tokens"].map(|name| config.remove(name));
    let own = own.into_iter().flatten().filter_map(|value| match value {
        Value::Object(named) => Some(named),
        // A list has no names.
        _ => None,
    });
    let own: Vec<_> = own.flatten().collect();
    let named = config.into_iter().filter(|(name, _)| name.ends_with("_token")).chain(own);
    for (name, value) in named {
        // A token that is null is none, whatever its class says.
        match content(value) {
            Some(token) => tokens.insert(name, token),
            None => tokens.remove(&name),
        };
    }
    tokens
}

/// Tokens that the tokenizers of the families that mrx runs have in transformers without being told.
fn of_class(class: &str) -> &'static [(&'static str, &'static str)] {
    const END: &str = "<|endoftext|>";
    match class.strip_suffix("Fast").unwrap_or(class) {
        "LlamaTokenizer" => &[("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")],
        "Qwen2Tokenizer" => &[("eos_token", END), ("pad_token", END), ("unk_token", END)],
        "GPT2Tokenizer" => &[("bos_token", END), ("eos_token", END), ("unk_token", END)],
        _ => &[],
    }
}

/// A token's text, bare or with its settings.
fn content(token: Value) -> Option<String> {
    match token {
        Value::String(content) => Some(content),
        Value::Object(mut token) => match token.remove("content") {
            Some(Value::String(content)) => Some(content),
            _ => None,
        },
        _ => None,
    }
}
