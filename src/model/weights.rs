//! The weights: which there are, and their way from and to safetensors.
//!
//! A projection lies `[outputs, inputs]` in a checkpoint and `[inputs, outputs]` here, so that a few
//! rows run through it as it lies. It is transposed on the way in and on the way out.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal};
use serde::Deserialize;

use super::config::Config;
use super::error::Error;
use super::folder::{parse, replace_file};
pub(crate) use super::tensors::Pending;
pub(crate) use super::tensors::write_tensors;
use super::tensors::{Located, contents};
pub use super::tensors::{StoredTensor, Wrote, copy, list};

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

/// What a weight is, which says how it starts and whether it is transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table of rows: random at first.
    Table,
    /// A projection: random at first; transposed.
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
            let tensor = parameter.kind.transposed(&tensor)?;
            Ok((parameter.name, tensor))
        })
        .collect()
}

impl Kind {
    /// From the checkpoint's order to ours, and back: the same move.
    fn transposed(self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Projection => tensor.t()?.contiguous(),
            Self::Table | Self::Scale | Self::Bias => Ok(tensor.clone()),
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
    let mut weights = Weights::new();
    each(files, config, dtype, device, |parameter, _, tensor| {
        weights.insert(parameter.name, tensor);
        Ok(())
    })?;
    Ok(weights)
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
    let mut places = find(files)?;
    for parameter in parameters(config) {
        let Some(place) = places.remove(&parameter.name) else {
            return Err(Error::MissingTensor { name: parameter.name });
        };
        let tensor = place.read(&parameter, dtype, device)?;
        take(parameter, &place.path, tensor)?;
    }
    places.remove("lm_head.weight");
    places.retain(|name, _| !name.ends_with(".rotary_emb.inv_freq"));
    match places.into_iter().next() {
        Some((name, Located { path, .. })) => Err(Error::UnknownTensor { path, name }),
        None => Ok(()),
    }
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
            if let Some(Located { path: first, .. }) = places.insert(name.clone(), place) {
                let reason = format!("`{name}` is in {}, too", first.display());
                return Err(Error::Weights { path: path.clone(), reason });
            }
        }
    }
    Ok(places)
}

impl Located {
    /// Reads the tensor as a parameter of a network.
    pub(super) fn read(
        &self,
        parameter: &Parameter,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor, Error> {
        let Self { path, info, .. } = self;
        if info.shape != parameter.shape {
            return Err(Error::TensorShape {
                name: parameter.name.clone(),
                expected: parameter.shape.clone(),
                found: info.shape.clone(),
            });
        }
        let stored = match info.dtype {
            safetensors::Dtype::F32 => DType::F32,
            safetensors::Dtype::F64 => DType::F64,
            safetensors::Dtype::F16 => DType::F16,
            safetensors::Dtype::BF16 => DType::BF16,
            other => {
                let reason = format!("`{}` is {other:?}: not a type that is read", parameter.name);
                return Err(Error::Weights { path: path.clone(), reason });
            }
        };
        let bytes = self.bytes()?;
        let tensor = Tensor::from_raw_buffer(&bytes, stored, &info.shape, device)?;
        Ok(parameter.kind.transposed(&tensor.to_dtype(dtype)?)?)
    }
}
