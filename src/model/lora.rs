//! What is learned of an adapter: its tensors as they start, as they are read to go on with, and as they are
//! written. Here they lie as projections do, `[inputs, rank]` and `[rank, outputs]`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Uniform};

use super::adapter::{Adapter, Deltas, projections};
use super::config::Config;
use super::error::Error;
use super::parameters::{Kind, Parameter};
use super::tensors::{Pending, Wrote, write_tensors};
use super::weights::Weights;

/// The name of the A or B (`part`) beside the projection of a name.
pub(super) fn name_of(projection: &str, part: &str) -> String {
    format!("base_model.model.{projection}.{part}.weight")
}

impl Adapter {
    /// Lists its tensors, sorted by name.
    #[must_use]
    pub fn parameters(&self, config: &Config) -> Vec<Parameter> {
        let mut list = Vec::new();
        for (module, projection) in projections(config) {
            if !self.target_modules.contains(&module) {
                continue;
            }
            let (outputs, inputs) = (projection.shape[0], projection.shape[1]);
            let stem = projection.name.trim_end_matches(".weight");
            for (part, shape) in [("lora_A", [self.rank, inputs]), ("lora_B", [outputs, self.rank])]
            {
                let name = name_of(stem, part);
                list.push(Parameter { name, shape: shape.to_vec(), kind: Kind::Projection });
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// Draws its tensors as PEFT does: A uniform within 1/√inputs (Kaiming's with a = √5), B zero, so that
    /// nothing is added at first. Each tensor has its own stream of the seed.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn initialise(
        &self,
        config: &Config,
        seed: u64,
        device: &Device,
    ) -> Result<Weights, Error> {
        let draw = |(parameter, stream): (Parameter, u64)| {
            let (rows, columns) = (parameter.shape[0], parameter.shape[1]);
            if parameter.name.ends_with(".lora_B.weight") {
                let zeros = Tensor::zeros((columns, rows), DType::F32, device)?;
                return Ok((parameter.name, zeros));
            }
            let bound = (columns as f64).sqrt().recip();
            let uniform = Uniform::new(-bound, bound).map_err(|_| Error::Range(bound))?;
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            dice.set_stream(stream);
            let numbers: Vec<f64> = uniform.sample_iter(&mut dice).take(rows * columns).collect();
            let tensor = Tensor::from_vec(numbers, (rows, columns), device)?;
            let tensor = parameter.kind.transposed(&tensor.to_dtype(DType::F32)?)?;
            Ok((parameter.name, tensor))
        };
        self.parameters(config).into_iter().zip(0..).map(draw).collect()
    }

    /// Reads the tensors of the adapter that a folder has; `None` where it has none.
    ///
    /// # Errors
    /// Where they are not those of an adapter of this network.
    pub fn tensors(
        files: &BTreeMap<String, PathBuf>,
        config: &Config,
        device: &Device,
    ) -> Result<Option<Weights>, Error> {
        let Some(deltas) = Deltas::find(files, config)? else { return Ok(None) };
        let mut tensors = Weights::new();
        for (weight, pair) in deltas.pairs {
            let stem = weight.trim_end_matches(".weight");
            for (part, place) in ["lora_A", "lora_B"].into_iter().zip(pair) {
                let tensor = Kind::Projection.transposed(&place.tensor(DType::F32, device)?)?;
                tensors.insert(name_of(stem, part), tensor);
            }
        }
        Ok(Some(tensors))
    }

    /// Writes its tensors as PEFT does, one by one.
    ///
    /// # Errors
    /// Where one is not there, or `to` cannot be written.
    pub fn write(
        &self,
        tensors: &Weights,
        config: &Config,
        to: &mut dyn Write,
        wrote: &mut Wrote<'_>,
    ) -> Result<(), Error> {
        let mut pending = Vec::new();
        for Parameter { name, shape, kind } in self.parameters(config) {
            let Some(tensor) = tensors.get(&name) else {
                return Err(Error::MissingTensor { name });
            };
            let transposed = move || kind.transposed(tensor);
            pending.push(Pending::new(name, (tensor.dtype(), &shape), transposed));
        }
        write_tensors(pending, to, wrote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_starts_as_peft_starts_one() {
        let config = serde_json::json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
            "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 32, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
            "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2,
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let config = Config::read(&path).unwrap();
        let target_modules = vec!["down_proj".to_owned(), "q_proj".to_owned()];
        let adapter = Adapter { rank: 8, alpha: 16.0, dropout: 0.0, target_modules };
        let start = |seed| adapter.initialise(&config, seed, &Device::Cpu).unwrap();
        let (tensors, same, other) = (start(3), start(3), start(4));
        assert_eq!(tensors.len(), 2 * 2 * 2);
        for (name, tensor) in &tensors {
            let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let (found, bound) = (numbers(tensor), (tensor.dims()[0] as f32).sqrt().recip());
            assert_eq!(found, numbers(&same[name]));
            if name.contains("lora_B") {
                assert!(found.iter().all(|number| *number == 0.0), "{name}");
                continue;
            }
            assert_ne!(found, numbers(&other[name]));
            let largest = found.iter().map(|number| number.abs()).fold(0.0, f32::max);
            assert!(largest <= bound && largest > 0.95 * bound, "{name}: {largest} for {bound}");
        }
    }
}
