//! A model's folder with new weights in it, as transformers reads it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::error::Error;
use super::folder::replace_file;
use super::weights::{self, Weights};

/// What transformers reads of a folder besides configuration and weights.
const COMPANIONS: [&str; 13] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

/// The files of a model's folder that go with any weights of its shape: tokenizer, template, and how it
/// draws. `config.json` is not among them.
pub fn companions(from: &BTreeMap<String, PathBuf>) -> impl Iterator<Item = (&String, &PathBuf)> {
    from.iter().filter(|(name, _)| COMPANIONS.contains(&name.as_str()))
}

/// Writes a model's folder: `config.json`, the weights as one `model.safetensors`, and the
/// [companions] of the folder `from` as they are.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn save(
    folder: &Path,
    config: &Config,
    weights: &Weights,
    from: &BTreeMap<String, PathBuf>,
) -> Result<(), Error> {
    let write = |name: &str, bytes: &[u8]| {
        let wrote = |file: &mut dyn std::io::Write| file.write_all(bytes);
        replace_file(&folder.join(name), |file| wrote(file).map_err(Error::WriteWeights))
    };
    for (name, path) in companions(from) {
        let read = fs::read(path);
        write(name, &read.map_err(|source| Error::Read { path: path.clone(), source })?)?;
    }
    write("config.json", config.to_json().as_bytes())?;
    weights::save(weights, config, &folder.join("model.safetensors"))
}
