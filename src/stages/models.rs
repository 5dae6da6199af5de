//! Where a model's files are, and opening it in this program.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::rc::Rc;

use crate::model::{self, Arguments, LanguageModel};
use crate::records::CheckpointPart;
use crate::runner::{Io, StageError};
use crate::store::{self, Digest, Store, StoredTable, TableReader};

/// Opens the input `model`, a folder or a checkpoint that an earlier node made, or returns it where it
/// is open still with the same arguments of its chat template.
pub(super) fn open_model(
    io: &Io<'_>,
    arguments: &Arguments,
) -> Result<Rc<Box<dyn LanguageModel>>, StageError> {
    let name = format!("{} on {} with {}", io.digest("model")?, io.device(), arguments.to_json());
    io.open(&name, || {
        let device = model::open_device(io.device())?;
        let model = model::open_with(&model_files(io)?, &device, arguments)?;
        io.check_unchanged("model")?;
        Ok(model)
    })
}

/// Returns where the files of the input `model` are, whichever kind of input it is.
pub(super) fn model_files(io: &Io<'_>) -> Result<BTreeMap<String, PathBuf>, StageError> {
    files_of(io, "model")
}

/// Returns where the files of a model are that is an input by any name.
pub(super) fn files_of(io: &Io<'_>, input: &str) -> Result<BTreeMap<String, PathBuf>, StageError> {
    if let Some(files) = io.files(input)? {
        return Ok(files);
    }
    by_name(io.rows(input)?, |object| io.object(object))
}

/// Returns where the files of a checkpoint are.
pub(super) fn checkpoint_files(
    store: &Store,
    checkpoint: StoredTable,
) -> Result<BTreeMap<String, PathBuf>, StageError> {
    let parts = TableReader::open(store, checkpoint.object)?;
    by_name(parts, |object| Ok(store.object_path(object)))
}

/// Finds each file of a checkpoint once, however many tensors it has.
fn by_name(
    parts: impl Iterator<Item = Result<CheckpointPart, store::Error>>,
    find: impl Fn(Digest) -> Result<PathBuf, StageError>,
) -> Result<BTreeMap<String, PathBuf>, StageError> {
    let mut files = BTreeMap::new();
    for part in parts {
        let part = part?;
        if let Entry::Vacant(entry) = files.entry(part.file) {
            entry.insert(find(part.object.parse()?)?);
        }
    }
    Ok(files)
}
