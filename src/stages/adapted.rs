//! An adapter that was learned, with what it stands on: a model's folder that says both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use crate::model::adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, adapted_files, base_files};
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

/// A digest of a base's weights, by the bytes of its files.
pub(super) fn digest_of(base: &Files) -> Result<String, StageError> {
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
