//! A checkpoint that another program made: whether it is the model that training began with, with other
//! weights, whole and finite.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::adapter::{ADAPTER_CONFIG, is_adapter_alone};
use super::config::Config;
use super::error::Error;
use super::folder::{file_of, gguf_of};

use super::weights::each;

/// Checks that the folder whose files these are holds what `start` may be trained to: the same network, and
/// every tensor that it needs, of its shape, of a type that is read, all of its numbers finite. One tensor is
/// in memory at a time.
///
/// # Errors
/// Naming the file, and the field or the tensor that is at fault.
pub fn check_trained(files: &BTreeMap<String, PathBuf>, start: &Config) -> Result<(), Error> {
    if is_adapter_alone(files) {
        return Err(Error::AdapterAlone { path: file_of(files, ADAPTER_CONFIG)?.to_owned() });
    }
    if let Some(path) = gguf_of(files) {
        return Err(Error::GgufCheckpoint(path.to_owned()));
    }
    let path = file_of(files, "config.json")?;
    let config = Config::read(path)?;
    start.check_same_network(&config, path)?;
    each(files, &config, DType::F32, &Device::Cpu, |parameter, place, tensor| {
        let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        if numbers.iter().all(|number| number.is_finite()) {
            return Ok(());
        }
        Err(Error::TensorNotFinite { path: place.to_owned(), name: parameter.name })
    })
}

impl Config {
    /// Checks that another configuration computes what this one does.
    fn check_same_network(&self, other: &Self, path: &Path) -> Result<(), Error> {
        let said = [self, other].map(Self::computed);
        let [expected, found] = said;
        match expected.into_iter().zip(found).find(|(expected, found)| expected != found) {
            None => Ok(()),
            Some(((field, expected), (_, found))) => {
                Err(Error::OtherNetwork { path: path.to_owned(), field, expected, found })
            }
        }
    }

    /// What the network computes, field by field.
    fn computed(&self) -> [(&'static str, String); 15] {
        [
            ("hidden_size", self.hidden_size.to_string()),
            ("intermediate_size", self.intermediate_size.to_string()),
            ("num_hidden_layers", self.num_hidden_layers.to_string()),
            ("num_attention_heads", self.num_attention_heads.to_string()),
            ("num_key_value_heads", self.num_key_value_heads.to_string()),
            ("head_dim", self.head_dim.to_string()),
            ("vocab_size", self.vocab_size.to_string()),
            ("rms_norm_eps", self.rms_norm_eps.to_string()),
            ("tie_word_embeddings", self.tie_word_embeddings.to_string()),
            ("attention_bias", format!("{}, {}", self.qkv_bias, self.output_bias)),
            ("mlp_bias", self.mlp_bias.to_string()),
            ("q_norm", self.qk_norm.to_string()),
            ("max_position_embeddings", self.max_position_embeddings.to_string()),
            ("sliding_window", format!("{:?}", self.windows)),
            ("rope_parameters", format!("{:?}", self.frequencies)),
        ]
    }
}
