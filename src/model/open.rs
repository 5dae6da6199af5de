//! Which kind of model a folder holds, and the way to it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Device;
use serde::Deserialize;

use super::config::SUPPORTED;
use super::folder::{file_of, gguf_of, parse};
use super::gguf::Gguf;
use super::save::companions;
use super::{
    Arguments, Config, Error, Language, LanguageModel, Local, Message, Scripted, local, scripted,
    weights,
};

/// What every configuration says first.
#[derive(Deserialize)]
struct Architecture {
    architecture: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
}

impl Config {
    /// Reads what the model of these files computes: the `config.json` of its folder, or what its GGUF file says.
    ///
    /// # Errors
    /// Where there is neither; else as [`Config::read`].
    pub fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, Error> {
        match gguf_of(files) {
            Some(path) => Gguf::open(path)?.config(),
            None => Self::read(file_of(files, "config.json")?),
        }
    }
}

/// Names the architecture of the model whose folder holds `files`, by name.
fn architecture(files: &BTreeMap<String, PathBuf>) -> Result<Option<String>, Error> {
    if gguf_of(files).is_some() {
        return Ok(None);
    }
    let config: Architecture = parse(file_of(files, "config.json")?)?;
    Ok(config.architecture.or_else(|| config.architectures.into_iter().next()))
}

/// Leaves of a folder's files those that are read, or that go with what is trained from it: only they
/// decide anything. Where that cannot be told, all of them: opening the model says why.
#[must_use]
pub fn files_read(files: &BTreeMap<String, PathBuf>) -> BTreeMap<String, PathBuf> {
    let Ok(names) = names_read(files) else { return files.clone() };
    let read = names.into_iter().filter_map(|name| files.get_key_value(&name));
    read.map(|(name, path)| (name.clone(), path.clone())).collect()
}

fn names_read(files: &BTreeMap<String, PathBuf>) -> Result<Vec<String>, Error> {
    if gguf_of(files).is_some() {
        return Ok(files.keys().cloned().collect());
    }
    let mut names = vec!["config.json".to_owned()];
    if is_scripted(files)? {
        names.extend(scripted::templates(files)?);
        return Ok(names);
    }
    names.extend(companions(files).map(|(name, _)| name.clone()));
    match weights::files_read(files) {
        // A folder without weights is a model all the same, where random ones are put in their place.
        Err(Error::NoFile(_)) => {}
        read => names.extend(read?),
    }
    Ok(names)
}

/// Tells whether the model whose folder holds `files`, by name, answers by rule.
///
/// # Errors
/// Where its configuration cannot be read.
pub fn is_scripted(files: &BTreeMap<String, PathBuf>) -> Result<bool, Error> {
    Ok(architecture(files)?.as_deref() == Some("scripted"))
}

/// Opens the model whose folder holds `files`, by name, on a device.
///
/// # Errors
/// Where a file is missing or is not what it should be.
pub fn open(
    files: &BTreeMap<String, PathBuf>,
    device: &Device,
) -> Result<Box<dyn LanguageModel>, Error> {
    open_with(files, device, &Arguments::default(), local::CACHE_MEMORY)
}

/// Opens a model as [`open`] does, gives its chat template arguments, and says how many bytes of keys and values
/// it may keep. A scripted one has none of these.
///
/// # Errors
/// As [`open`], and where the template never reads one of them.
pub fn open_with(
    files: &BTreeMap<String, PathBuf>,
    device: &Device,
    arguments: &Arguments,
    cache_memory: u64,
) -> Result<Box<dyn LanguageModel>, Error> {
    if gguf_of(files).is_some() {
        let local = Local::open(files, device)?.with_cache_memory(cache_memory);
        return Ok(Box::new(local.with_arguments(arguments)?));
    }
    match architecture(files)?.as_deref() {
        Some("scripted") => Ok(Box::new(Scripted::open(files)?)),
        Some(known) if SUPPORTED.contains(&known) => {
            let local = Local::open(files, device)?.with_cache_memory(cache_memory);
            Ok(Box::new(local.with_arguments(arguments)?))
        }
        found => Err(Error::Unsupported {
            path: file_of(files, "config.json")?.to_owned(),
            found: found.unwrap_or("(none)").to_owned(),
            known: SUPPORTED.into_iter().chain(["scripted"]).collect(),
        }),
    }
}

/// A conversation as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// As the chat template writes it; of a scripted model, the last message.
    pub text: String,
    /// Its tokens, each with its id; none of a scripted model.
    pub tokens: Vec<(u32, String)>,
}

/// Writes a conversation as the model whose folder holds `files` reads it, without opening its weights.
///
/// # Errors
/// Where a file is missing or is not what it should be, or the template refuses the conversation.
pub fn rendered(
    files: &BTreeMap<String, PathBuf>,
    arguments: &Arguments,
    messages: &[Message],
) -> Result<Rendered, Error> {
    if is_scripted(files)? {
        let text = messages.last().map_or("", |message| message.content.as_str()).to_owned();
        return Ok(Rendered { text, tokens: Vec::new() });
    }
    let config = Config::open(files)?;
    let Language { tokenizer, chat, .. } =
        Language::open(files, &config)?.with_arguments(arguments)?;
    let text = chat.render(messages, true)?;
    let token = |id| Ok((id, tokenizer.token_of(id).unwrap_or_default()));
    let tokens = tokenizer.encode(&text)?.into_iter().map(token).collect::<Result<_, Error>>()?;
    Ok(Rendered { text, tokens })
}
