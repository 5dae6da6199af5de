//! Where a model's files are, and opening it in this program.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::rc::Rc;

use crate::model::adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, base_files, is_adapted};
use crate::model::weights::save_merged;
use crate::model::{self, Arguments, Config, LanguageModel};
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
        let model = model::open_with(&model_files(io)?, &device, arguments, io.cache_memory())?;
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

/// What a model is called where other programs find it.
pub(super) fn name_of(io: &Io<'_>, input: &str) -> Result<String, StageError> {
    Ok(format!("mrx-{}", io.digest(input)?.short()))
}

/// Lays a model out as a folder for another program, and returns the folder that `model` is in: an adapter is
/// added to the weights of its base, once.
pub(super) fn lay_out_full(
    io: &Io<'_>,
    name: &str,
    files: &BTreeMap<String, PathBuf>,
) -> Result<PathBuf, StageError> {
    if !is_adapted(files) {
        return io.lay_out(name, files);
    }
    let config = Config::open(files)?;
    let weights = io.engine_folder(name)?.join("merged.safetensors");
    if !weights.is_file() {
        save_merged(files, &config, &weights)?;
    }
    let mut full: BTreeMap<String, PathBuf> =
        model::companions(files).map(|(name, path)| (name.clone(), path.clone())).collect();
    full.extend(
        files.get_key_value("config.json").map(|(name, path)| (name.clone(), path.clone())),
    );
    full.insert("model.safetensors".to_owned(), weights);
    io.lay_out(name, &full)
}

/// Lays out what an adapter stands on, and the adapter, in two folders: each has its files in `model`.
pub(super) fn lay_out_apart(
    io: &Io<'_>,
    name: &str,
    files: &BTreeMap<String, PathBuf>,
) -> Result<[PathBuf; 2], StageError> {
    let own = |name: &&String| matches!(name.as_str(), ADAPTER_CONFIG | ADAPTER_WEIGHTS);
    let adapter = files.iter().filter(|(name, _)| own(name));
    let adapter = adapter.map(|(name, path)| (name.clone(), path.clone())).collect();
    let base = io.lay_out(&format!("{name}-base"), &base_files(files))?;
    let adapter = io.lay_out(&format!("{name}-adapter"), &adapter)?;
    Ok([base, adapter])
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
