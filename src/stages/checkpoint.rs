//! Keeping a model: its files become objects, its tensors rows of `checkpoints`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::weights::{self, StoredTensor};
use crate::model::{Config, Weights};
use crate::records::CheckpointPart;
use crate::runner::{Io, StageError};
use crate::store::Digest;

/// What a file of a model holds.
pub(super) enum Content<'c> {
    /// What this file holds.
    File(PathBuf),
    /// A text.
    Text(String),
    /// Weights, as safetensors.
    Weights(&'c Weights, &'c Config),
}

/// Keeps the files of a model, and lists them: a row a tensor, or one for a file without.
pub(super) fn keep(
    io: &mut Io<'_>,
    files: BTreeMap<String, Content<'_>>,
) -> Result<(), StageError> {
    let mut parts = Vec::new();
    for (file, content) in files {
        let mut tensors: Vec<(StoredTensor, Digest)> = Vec::new();
        let mut wrote = |tensor, bytes: &[u8]| tensors.push((tensor, Digest::of(bytes)));
        let holds_tensors = file.ends_with(".safetensors");
        let (object, bytes) = match content {
            Content::Weights(weights, config) => {
                io.keep_stream(&file, |to| Ok(weights::write(weights, config, to, &mut wrote)?))?
            }
            Content::File(path) if holds_tensors => {
                io.keep_stream(&file, |to| Ok(weights::copy(&path, to, &mut wrote)?))?
            }
            Content::File(path) => io.keep_file(&file, &path)?,
            Content::Text(text) => {
                io.keep_stream(&file, |to| Ok(to.write_all(text.as_bytes())?))?
            }
        };
        if holds_tensors {
            parts.extend(
                tensors.into_iter().map(|(tensor, digest)| row(&file, object, tensor, digest)),
            );
        } else {
            parts.push(CheckpointPart {
                file,
                tensor: None,
                dtype: None,
                shape: None,
                offset: 0,
                bytes,
                digest: object.to_hex(),
                object: object.to_hex(),
            });
        }
    }
    io.write(parts.into_iter().map(Ok))
}

fn row(file: &str, object: Digest, tensor: StoredTensor, digest: Digest) -> CheckpointPart {
    CheckpointPart {
        file: file.to_owned(),
        tensor: Some(tensor.name),
        dtype: Some(tensor.dtype),
        shape: Some(tensor.shape.into_iter().map(|size| size as u64).collect()),
        offset: tensor.offset,
        bytes: tensor.bytes,
        digest: digest.to_hex(),
        object: object.to_hex(),
    }
}
