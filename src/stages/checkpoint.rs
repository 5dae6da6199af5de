//! Keeping a model: its files become objects, its tensors rows of `checkpoints`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::form::Form;
use crate::model::Weights;
use crate::model::weights::{self, StoredTensor};
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
    Weights(&'c Weights, Form<'c>),
}

/// The files of a model by their names, and what each holds.
pub(super) type Contents<'c> = BTreeMap<String, Content<'c>>;

/// Keeps the files of a model, and lists them: a row a tensor, or one for a file without.
pub(super) fn keep(io: &mut Io<'_>, files: Contents<'_>) -> Result<(), StageError> {
    let parts = parts(io, files)?;
    io.write(parts.into_iter().map(Ok))
}

/// Keeps the model after each epoch, from the first on, under a name of the epoch's.
pub(super) fn keep_epochs<'c>(
    io: &mut Io<'_>,
    epochs: impl IntoIterator<Item = Contents<'c>>,
) -> Result<(), StageError> {
    let mut all = Vec::new();
    for (epoch, files) in (1..).zip(epochs) {
        let files = files.into_iter().map(|(file, content)| (within(epoch, &file), content));
        all.extend(parts(io, files.collect())?);
    }
    io.write(all.into_iter().map(Ok))
}

/// Keeps one model as that after each of some epochs.
pub(super) fn keep_as_epochs(
    io: &mut Io<'_>,
    epochs: usize,
    files: Contents<'_>,
) -> Result<(), StageError> {
    let files = files.into_iter().map(|(file, content)| (within(1, &file), content));
    let first = parts(io, files.collect())?;
    let mut all = first.clone();
    for epoch in 2..=epochs {
        for part in &first {
            let name = epoch_of(&part.file).map_or(&*part.file, |(_, name)| name);
            let part = CheckpointPart { file: within(epoch, name), ..part.clone() };
            io.keep_object(&part.file, part.object.parse()?)?;
            all.push(part);
        }
    }
    io.write(all.into_iter().map(Ok))
}

/// The name of a file of the model after an epoch.
fn within(epoch: usize, file: &str) -> String {
    format!("epoch-{epoch}/{file}")
}

/// The epoch that a file is of, and its name in the model's own folder.
pub(super) fn epoch_of(file: &str) -> Option<(usize, &str)> {
    let (epoch, name) = file.strip_prefix("epoch-")?.split_once('/')?;
    Some((epoch.parse().ok()?, name))
}

fn parts(io: &mut Io<'_>, files: Contents<'_>) -> Result<Vec<CheckpointPart>, StageError> {
    let mut parts = Vec::new();
    for (file, content) in files {
        let mut tensors: Vec<(StoredTensor, Digest)> = Vec::new();
        let mut wrote = |tensor, bytes: &[u8]| tensors.push((tensor, Digest::of(bytes)));
        let holds_tensors = file.ends_with(".safetensors");
        let (object, bytes) = match content {
            Content::Weights(weights, form) => {
                io.keep_stream(&file, |to| Ok(form.write(weights, to, &mut wrote)?))?
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
    Ok(parts)
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
