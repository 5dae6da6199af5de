//! The weights on their way from and to safetensors. A folder with an adapter has those of its base, with what
//! the adapter adds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal};
use rayon::prelude::*;
use serde::Deserialize;

use super::adapter::{Deltas, base_files, is_adapted};
use super::config::Config;
use super::error::Error;
use super::folder::{gguf_of, parse, replace_file};
use super::gguf::Gguf;
pub use super::parameters::{Kind, Parameter, parameters};
pub(crate) use super::tensors::Pending;
pub(crate) use super::tensors::write_tensors;
use super::tensors::{Located, contents};
pub use super::tensors::{StoredTensor, Wrote, copy, list};

/// Weights by their names in a checkpoint, as they lie here.
pub type Weights = BTreeMap<String, Tensor>;

/// Draws weights: normal with the configuration's `initializer_range`, norms 1, biases 0. Each
/// weight has its own stream of the seed.
///
/// # Errors
/// Where the range is not a standard deviation, or the device fails.
pub fn initialise(config: &Config, seed: u64, device: &Device) -> Result<Weights, Error> {
    let range = config.initializer_range;
    let normal = Normal::new(0.0, range).map_err(|_| Error::Range(range))?;
    parameters(config)
        .into_iter()
        .zip(0u64..)
        .map(|(parameter, stream)| {
            let shape = parameter.shape.as_slice();
            let tensor = match parameter.kind {
                Kind::Scale => Tensor::ones(shape, DType::F32, device)?,
                Kind::Bias => Tensor::zeros(shape, DType::F32, device)?,
                Kind::Table | Kind::Projection => {
                    let mut generator = ChaCha8Rng::seed_from_u64(seed);
                    generator.set_stream(stream);
                    let count = shape.iter().product();
                    let numbers: Vec<f64> =
                        normal.sample_iter(&mut generator).take(count).collect();
                    Tensor::from_vec(numbers, shape, device)?.to_dtype(DType::F32)?
                }
            };
            let tensor = parameter.kind.transposed(&tensor)?;
            Ok((parameter.name, tensor))
        })
        .collect()
}

/// Reads the weights that `config` needs from the safetensors among `files`, as `dtype`.
///
/// # Errors
/// Where a file is damaged, a tensor is missing, has another shape or another type, or is one that
/// the configuration does not know.
pub fn load(
    files: &BTreeMap<String, PathBuf>,
    config: &Config,
    dtype: DType,
    device: &Device,
) -> Result<Weights, Error> {
    let deltas = Deltas::find(files, config)?;
    let read = |(parameter, place): (Parameter, Located)| {
        let tensor = read(&parameter, &place, deltas.as_ref(), (dtype, device))?;
        Ok((parameter.name, tensor))
    };
    let found = found(files, config)?;
    if device.is_cpu() {
        return found.into_par_iter().map(read).collect();
    }
    found.into_iter().map(read).collect()
}

/// Hands over, one by one, the weights that [`load`] reads, each with the file that it is from.
///
/// # Errors
/// As [`load`], and those of `take`.
pub(super) fn each(
    files: &BTreeMap<String, PathBuf>,
    config: &Config,
    dtype: DType,
    device: &Device,
    mut take: impl FnMut(Parameter, &Path, Tensor) -> Result<(), Error>,
) -> Result<(), Error> {
    let deltas = Deltas::find(files, config)?;
    for (parameter, place) in found(files, config)? {
        let tensor = read(&parameter, &place, deltas.as_ref(), (dtype, device))?;
        take(parameter, place.path(), tensor)?;
    }
    Ok(())
}

/// Reads one weight, with what an adapter adds to it, as it lies here: of which type, and where.
fn read(
    parameter: &Parameter,
    place: &Located,
    deltas: Option<&Deltas>,
    (dtype, device): (DType, &Device),
) -> Result<Tensor, Error> {
    let tensor = place.tensor(dtype, device)?;
    let tensor = match deltas {
        Some(deltas) => deltas.added(&parameter.name, tensor, device)?,
        None => tensor,
    };
    Ok(parameter.kind.transposed(&tensor)?)
}

/// The type that most of the weights have in a checkpoint, that of the embedding: f32 where that is none which a
/// device computes with.
///
/// # Errors
/// As [`load`].
pub(super) fn dtype_of(files: &BTreeMap<String, PathBuf>, config: &Config) -> Result<DType, Error> {
    let all = found(files, config)?;
    let table = all.iter().find(|(parameter, _)| parameter.kind == Kind::Table);
    Ok(match table.map(|(_, place)| place.dtype()).transpose()? {
        Some(half @ (DType::BF16 | DType::F16)) => half,
        _ => DType::F32,
    })
}

/// A weight as it lies in a checkpoint.
pub(super) enum Lying<'p> {
    /// A vector in the type that it has there; a matrix in f32, where it has another type there than f32, bf16 and
    /// f16, or where an adapter adds to it.
    Numbers(Tensor),
    /// A matrix, and the bytes of its rows.
    Rows(DType, Cow<'p, [u8]>),
    /// A matrix in blocks, and the bytes of its rows.
    Blocks(GgmlDType, Cow<'p, [u8]>),
}

/// Makes something of every weight that `config` needs, by its name, of some of them at once.
///
/// # Errors
/// As [`load`], and those of `make`.
pub(super) fn made_of<T: Send>(
    files: &BTreeMap<String, PathBuf>,
    config: &Config,
    make: impl Fn(&Parameter, Lying<'_>) -> Result<T, Error> + Sync,
) -> Result<BTreeMap<String, T>, Error> {
    let (deltas, cpu) = (Deltas::find(files, config)?, &Device::Cpu);
    let one = |(parameter, place): (Parameter, Located)| {
        let adds = deltas.as_ref().filter(|deltas| deltas.stand_beside(&parameter.name));
        let is_matrix = place.shape().len() == 2;
        let lying = match (adds, place.blocks(), place.dtype()?) {
            (Some(deltas), _, _) => {
                let tensor = place.tensor(DType::F32, cpu)?;
                Lying::Numbers(deltas.added(&parameter.name, tensor, cpu)?)
            }
            (None, Some(kind), _) if is_matrix => Lying::Blocks(kind, place.bytes()),
            (None, _, DType::F64) => Lying::Numbers(place.tensor(DType::F32, cpu)?),
            (None, None, dtype) if is_matrix => Lying::Rows(dtype, place.bytes()),
            (None, _, dtype) => Lying::Numbers(place.tensor(dtype, cpu)?),
        };
        let made = make(&parameter, lying)?;
        Ok((parameter.name, made))
    };
    found(files, config)?.into_par_iter().map(one).collect()
}

/// Finds every weight that `config` needs, of the shape that it needs, among the files of a folder.
fn found(
    files: &BTreeMap<String, PathBuf>,
    config: &Config,
) -> Result<Vec<(Parameter, Located)>, Error> {
    let mut places = match gguf_of(files) {
        Some(path) => Gguf::open(path)?.places()?,
        None => find(&base_files(files))?,
    };
    let mut all = Vec::new();
    for parameter in parameters(config) {
        let Some(place) = places.remove(&parameter.name) else {
            return Err(Error::MissingTensor { name: parameter.name });
        };
        if place.shape() != parameter.shape {
            let (name, found) = (parameter.name, place.shape().to_vec());
            return Err(Error::TensorShape { name, expected: parameter.shape, found });
        }
        all.push((parameter, place));
    }
    places.remove("lm_head.weight");
    places.retain(|name, _| !name.ends_with(".rotary_emb.inv_freq"));
    match places.into_iter().next() {
        Some((name, place)) => Err(Error::UnknownTensor { path: place.path().to_owned(), name }),
        None => Ok(all),
    }
}

/// Writes the weights of a folder as one safetensors file, what its adapter adds among them: a tensor at a
/// time, each in the type that it has there.
///
/// # Errors
/// As [`load`], and where the file cannot be written.
pub fn save_merged(
    files: &BTreeMap<String, PathBuf>,
    config: &Config,
    path: &Path,
) -> Result<(), Error> {
    let deltas = Deltas::find(files, config)?;
    let cpu = &Device::Cpu;
    let mut pending = Vec::new();
    for (parameter, place) in found(files, config)? {
        let dtype = place.dtype()?;
        let (name, shape, deltas) = (parameter.name.clone(), parameter.shape, deltas.as_ref());
        let tensor = move || match deltas {
            Some(deltas) => deltas.added(&parameter.name, place.tensor(dtype, cpu)?, cpu),
            None => place.tensor(dtype, cpu),
        };
        pending.push(Pending::new(name, (dtype, &shape), tensor));
    }
    replace_file(path, |file| write_tensors(pending, file, &mut |_, _| {}))
}

/// Tells whether two folders hold the same weights, whatever their types and files. The first that differs
/// ends it. A folder without weights holds none that are the same.
///
/// # Errors
/// As [`load`].
pub fn same_weights(
    one: &BTreeMap<String, PathBuf>,
    other: &BTreeMap<String, PathBuf>,
    config: &Config,
) -> Result<bool, Error> {
    let read = |files| Ok::<_, Error>((found(files, config)?, Deltas::find(files, config)?));
    let ((one, one_adds), (other, other_adds)) = match (read(one), read(other)) {
        (Err(Error::NoFile(_)), _) | (_, Err(Error::NoFile(_))) => return Ok(false),
        (one, other) => (one?, other?),
    };
    let numbers = |place: &Located, adds: &Option<Deltas>, name: &str| -> Result<_, Error> {
        let tensor = place.tensor(DType::F32, &Device::Cpu)?;
        let tensor = match adds {
            Some(adds) => adds.added(name, tensor, &Device::Cpu)?,
            None => tensor,
        };
        Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
    };
    for ((parameter, one), (_, other)) in one.iter().zip(&other) {
        let name = &parameter.name;
        if numbers(one, &one_adds, name)? != numbers(other, &other_adds, name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes weights as one safetensors file in the order and shapes of a checkpoint, tensor by tensor.
/// Equal weights make equal bytes.
///
/// # Errors
/// Where a weight is not there, or `to` cannot be written.
pub fn write(
    weights: &Weights,
    config: &Config,
    to: &mut dyn Write,
    wrote: &mut Wrote<'_>,
) -> Result<(), Error> {
    let mut pending = Vec::new();
    for parameter in parameters(config) {
        let Some(tensor) = weights.get(&parameter.name) else {
            return Err(Error::MissingTensor { name: parameter.name });
        };
        let Parameter { name, shape, kind } = parameter;
        let transposed = move || kind.transposed(tensor);
        pending.push(Pending::new(name, (tensor.dtype(), &shape), transposed));
    }
    write_tensors(pending, to, wrote)
}

/// Writes weights to a file, beside its place first; else as [`write()`].
///
/// # Errors
/// Where the file cannot be written.
pub fn save(weights: &Weights, config: &Config, path: &Path) -> Result<(), Error> {
    replace_file(path, |file| write(weights, config, file, &mut |_, _| {}))
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Says which shard each tensor is in.
const INDEX: &str = "model.safetensors.index.json";

/// Names the files of weights that are read: those that an index names, and it; else
/// `model.safetensors`; else every safetensors file.
pub(super) fn files_read(files: &BTreeMap<String, PathBuf>) -> Result<Vec<String>, Error> {
    if is_adapted(files) {
        return Ok(files.keys().cloned().collect());
    }
    let index = files.contains_key(INDEX).then(|| INDEX.to_owned());
    Ok(index.into_iter().chain(shards(files)?).collect())
}

fn shards(files: &BTreeMap<String, PathBuf>) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = if let Some(index) = files.get(INDEX) {
        parse::<Index>(index)?.weight_map.into_values().collect()
    } else if files.contains_key("model.safetensors") {
        vec!["model.safetensors".to_owned()]
    } else {
        files.keys().filter(|name| name.ends_with(".safetensors")).cloned().collect()
    };
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(Error::NoFile("model.safetensors".to_owned()));
    }
    Ok(names)
}

/// Finds every tensor of the safetensors among `files`.
pub(super) fn find(files: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, Located>, Error> {
    let mut places = BTreeMap::new();
    for name in shards(files)? {
        let path = files.get(&name).ok_or(Error::NoFile(name))?;
        for (name, place) in contents(path)? {
            if let Some(first) = places.insert(name.clone(), place) {
                let reason = format!("`{name}` is in {}, too", first.path().display());
                return Err(Error::Weights { path: path.clone(), reason });
            }
        }
    }
    Ok(places)
}
