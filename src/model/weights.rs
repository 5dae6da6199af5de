//! The weights: which there are, and their way from and to safetensors.
//!
//! A projection lies `[outputs, inputs]` in a checkpoint and `[inputs, outputs]` here, so that a few
//! rows run through it as it lies. It is turned on the way in and turned back on the way out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal};
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::config::Config;
use super::{Error, parse};

/// Weights by their names in a checkpoint, as they lie here.
pub type Weights = BTreeMap<String, Tensor>;

/// One weight that a network needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in a checkpoint.
    pub name: String,
    /// Its shape in a checkpoint.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a weight is, which says how it starts and whether it is turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table of rows: random at first.
    Table,
    /// A projection: random at first; turned.
    Projection,
    /// A norm's scale: 1 at first.
    Scale,
    /// A bias: 0 at first.
    Bias,
}

/// Lists the weights of a network, sorted by name.
#[must_use]
pub fn parameters(config: &Config) -> Vec<Parameter> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let queries = config.num_attention_heads * config.head_dim;
    let keys = config.num_key_value_heads * config.head_dim;
    let mut list = Vec::new();
    let mut add = |name: String, kind, shape: &[usize]| {
        list.push(Parameter { name, shape: shape.to_vec(), kind });
    };
    add("model.embed_tokens.weight".to_owned(), Kind::Table, &[config.vocab_size, hidden]);
    add("model.norm.weight".to_owned(), Kind::Scale, &[hidden]);
    if !config.tie_word_embeddings {
        add("lm_head.weight".to_owned(), Kind::Projection, &[config.vocab_size, hidden]);
    }
    for layer in 0..config.num_hidden_layers {
        let mut project = |block: &str, outputs: usize, inputs: usize, bias: bool| {
            let name = format!("model.layers.{layer}.{block}");
            add(format!("{name}.weight"), Kind::Projection, &[outputs, inputs]);
            if bias {
                add(format!("{name}.bias"), Kind::Bias, &[outputs]);
            }
        };
        project("self_attn.q_proj", queries, hidden, config.qkv_bias);
        project("self_attn.k_proj", keys, hidden, config.qkv_bias);
        project("self_attn.v_proj", keys, hidden, config.qkv_bias);
        project("self_attn.o_proj", hidden, queries, config.output_bias);
        project("mlp.gate_proj", inner, hidden, config.mlp_bias);
        project("mlp.up_proj", inner, hidden, config.mlp_bias);
        project("mlp.down_proj", hidden, inner, config.mlp_bias);
        let mut scale = |block: &str, width: usize| {
            add(format!("model.layers.{layer}.{block}.weight"), Kind::Scale, &[width]);
        };
        scale("input_layernorm", hidden);
        scale("post_attention_layernorm", hidden);
        if config.qk_norm {
            scale("self_attn.q_norm", config.head_dim);
            scale("self_attn.k_norm", config.head_dim);
        }
    }
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

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
            let tensor = parameter.turn(&tensor)?;
            Ok((parameter.name, tensor))
        })
        .collect()
}

impl Parameter {
    /// From the checkpoint's order to ours, and back: the same move.
    fn turn(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        match self.kind {
            Kind::Projection => tensor.t()?.contiguous(),
            Kind::Table | Kind::Scale | Kind::Bias => Ok(tensor.clone()),
        }
    }
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
    let mut places = find(files)?;
    let mut weights = Weights::new();
    for parameter in parameters(config) {
        let Some(place) = places.remove(&parameter.name) else {
            return Err(Error::MissingTensor { name: parameter.name });
        };
        let tensor = place.read(&parameter, dtype, device)?;
        weights.insert(parameter.name, tensor);
    }
    places.remove("lm_head.weight");
    places.retain(|name, _| !name.ends_with(".rotary_emb.inv_freq"));
    match places.into_iter().next() {
        Some((name, Place { path, .. })) => Err(Error::UnknownTensor { path, name }),
        None => Ok(weights),
    }
}

/// Writes weights as one safetensors file in the order and shapes of a checkpoint. Equal weights
/// make equal bytes.
///
/// # Errors
/// Where the file cannot be written.
pub fn save(weights: &Weights, config: &Config, path: &Path) -> Result<(), Error> {
    let turned: Result<Vec<(String, Tensor)>, Error> = parameters(config)
        .into_iter()
        .map(|parameter| {
            let Some(tensor) = weights.get(&parameter.name) else {
                return Err(Error::MissingTensor { name: parameter.name });
            };
            let tensor = parameter.turn(tensor)?;
            Ok((parameter.name, tensor))
        })
        .collect();
    write_tensors(turned?, path)
}

/// Writes tensors as safetensors, beside the place first.
pub(crate) fn write_tensors(tensors: Vec<(String, Tensor)>, path: &Path) -> Result<(), Error> {
    let fail = |source| Error::Write { path: path.to_owned(), source };
    let format = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(tensors, Some(format))
        .map_err(|e| fail(std::io::Error::other(e)))?;
    super::write_file(path, &bytes)
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// Its type, in the spelling of safetensors.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its first byte within the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Lists the tensors of a safetensors file, in the order in which they lie.
///
/// # Errors
/// Where the file is damaged.
pub fn list(path: &Path) -> Result<Vec<Stored>, Error> {
    let stored = |(name, Place { info, start, .. }): (String, Place)| Stored {
        name,
        dtype: info.dtype.to_string(),
        shape: info.shape,
        offset: start,
        bytes: (info.data_offsets.1 - info.data_offsets.0) as u64,
    };
    let mut tensors: Vec<Stored> = contents(path)?.into_iter().map(stored).collect();
    tensors.sort_by_key(|tensor| tensor.offset);
    Ok(tensors)
}

/// Where a tensor lies.
struct Place {
    path: PathBuf,
    info: TensorInfo,
    start: u64,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index names, else `model.safetensors`, else every safetensors file.
fn find(files: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, Place>, Error> {
    const INDEX: &str = "model.safetensors.index.json";
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
    let mut places = BTreeMap::new();
    for name in names {
        let path = files.get(&name).ok_or(Error::NoFile(name))?;
        for (name, place) in contents(path)? {
            if let Some(Place { path: first, .. }) = places.insert(name.clone(), place) {
                let reason = format!("`{name}` is in {}, too", first.display());
                return Err(Error::Weights { path: path.clone(), reason });
            }
        }
    }
    Ok(places)
}

/// Longest header that is read, as in the safetensors library.
const LONGEST_HEADER: u64 = 100_000_000;

/// Reads a file's header: no tensor may overlap another, leave a gap, or end past the file.
fn contents(path: &Path) -> Result<Vec<(String, Place)>, Error> {
    let damaged = |reason: String| Error::Weights { path: path.to_owned(), reason };
    let unread = |source| Error::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unread)?;
    let length = file.metadata().map_err(unread)?.len();
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|_| damaged("it has no header".to_owned()))?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER || size + 8 > length {
        return Err(damaged(format!("a header of {size} bytes in a file of {length}")));
    }
    let mut header = Vec::new();
    file.by_ref().take(size).read_to_end(&mut header).map_err(unread)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|e| damaged(e.to_string()))?;
    let end = size + 8 + header.data_len() as u64;
    if end != length {
        return Err(damaged(format!("its header speaks of {end} bytes, the file has {length}")));
    }
    let place = |(name, info): (String, &TensorInfo)| {
        let start = size + 8 + info.data_offsets.0 as u64;
        (name, Place { path: path.to_owned(), info: info.clone(), start })
    };
    Ok(header.tensors().into_iter().map(place).collect())
}

impl Place {
    fn read(self, parameter: &Parameter, dtype: DType, device: &Device) -> Result<Tensor, Error> {
        let Self { path, info, start } = self;
        if info.shape != parameter.shape {
            return Err(Error::TensorShape {
                name: parameter.name.clone(),
                expected: parameter.shape.clone(),
                found: info.shape,
            });
        }
        let stored = match info.dtype {
            safetensors::Dtype::F32 => DType::F32,
            safetensors::Dtype::F64 => DType::F64,
            safetensors::Dtype::F16 => DType::F16,
            safetensors::Dtype::BF16 => DType::BF16,
            other => {
                let reason = format!("`{}` is {other:?}: not a type that is read", parameter.name);
                return Err(Error::Weights { path, reason });
            }
        };
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        File::open(&path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(&mut bytes)
            })
            .map_err(|source| Error::Read { path, source })?;
        let tensor = Tensor::from_raw_buffer(&bytes, stored, &info.shape, device)?;
        Ok(parameter.turn(&tensor.to_dtype(dtype)?)?)
    }
}
