//! An adapter that was learned, with what it stands on: a model's folder that says both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use crate::model::adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, adapted_files, base_files};
use crate::model::weights::same_weights;
use crate::model::{Config, listed};
use crate::runner::{Io, StageError};
use crate::store::{Digest, digest_file};

/// Files by the names that they have in a model's folder.
type Files = BTreeMap<String, PathBuf>;

/// The files of an adapter with those of its base, of the model that training started from. Its configuration is
/// written anew: PEFT lists modules in no order, and names the base by where it was.
pub(super) fn adapted(
    io: &Io<'_>,
    start: &Files,
    adapter: &Adapter,
    mut learned: Files,
) -> Result<Files, StageError> {
    learned.retain(|name, _| name == ADAPTER_WEIGHTS);
    let base = base_files(start);
    let path = io.folder("adapter")?.join(ADAPTER_CONFIG);
    std::fs::write(&path, adapter.to_json(&digest_of(&base)?))?;
    learned.insert(ADAPTER_CONFIG.to_owned(), path);
    Ok(adapted_files(&base, learned))
}

/// The adapter of another base.
#[derive(Debug, thiserror::Error)]
#[error(
    "the adapter was learned on `{named}`, whose weights are not those of the model to start from"
)]
struct OtherBase {
    named: String,
}

/// What PEFT says of an adapter's base.
#[derive(Deserialize)]
struct Named {
    base_model_name_or_path: Option<String>,
}

/// An adapter that was learned elsewhere, with what it stands on. It has to be the base that it names: by its
/// digest, as mrx writes it, or by a folder that is there.
pub(super) fn brought(io: &Io<'_>, start: &Files, files: &Files) -> Result<Files, StageError> {
    let Some(adapter) = Adapter::open(files)? else { return Ok(files.clone()) };
    if let Some(path) = files.get(ADAPTER_CONFIG) {
        let named: Named = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        check_base(io, &base_files(start), &named.base_model_name_or_path.unwrap_or_default())?;
    }
    adapted(io, start, &adapter, files.clone())
}

fn check_base(io: &Io<'_>, base: &Files, named: &str) -> Result<(), StageError> {
    let is_the_same = if named.parse::<Digest>().is_ok() {
        digest_of(base)? == named
    } else if Path::new(named).is_dir() {
        same_weights(base, &listed(Path::new(named))?, &Config::open(base)?)?
    } else {
        io.warn(format!("the adapter was learned on `{named}`, which is not here to compare with"));
        true
    };
    if is_the_same { Ok(()) } else { Err(OtherBase { named: named.to_owned() }.into()) }
}

/// A digest of a base's weights, by the bytes of its files.
fn digest_of(base: &Files) -> Result<String, StageError> {
    let weights = base.iter().filter(|(name, _)| name.ends_with(".safetensors"));
    let digests = weights.map(|(name, path)| Ok((name.clone(), digest_file(path)?.to_hex())));
    let digests = digests.collect::<Result<BTreeMap<_, _>, StageError>>()?;
    Ok(Digest::of_json(&json!(digests)).to_hex())
}

/// `rank 8, alpha 16, dropout 0 on q_proj, v_proj`.
pub(super) fn said(adapter: &Adapter) -> String {
    let Adapter { rank, alpha, dropout, target_modules } = adapter;
    format!("rank {rank}, alpha {alpha}, dropout {dropout} on {}", target_modules.join(", "))
}
