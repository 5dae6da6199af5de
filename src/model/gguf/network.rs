//! What the network of a GGUF file computes.

use serde_json::{Map, Value, json};

use super::metadata::Gguf;
use super::tensors::ROPE_FACTORS;
use crate::model::config::Config;
use crate::model::error::Error;

/// Architectures that are run, by llama.cpp's names and by Hugging Face's. Mistral's models are its `llama`.
const ARCHITECTURES: [(&str, &str); 3] =
    [("llama", "LlamaForCausalLM"), ("qwen2", "Qwen2ForCausalLM"), ("qwen3", "Qwen3ForCausalLM")];

/// Keys, after the architecture's name, of what is not computed, where they are not 0.
const NOT_COMPUTED: [&str; 7] = [
    "expert_count",
    "attention.sliding_window",
    "attention.clamp_kqv",
    "attention.scale",
    "logit_scale",
    "residual_scale",
    "embedding_scale",
];

impl Gguf {
    /// The configuration of its network.
    ///
    /// # Errors
    /// Where it does not say all of it, or asks for what the decoder does not compute.
    pub(in crate::model) fn config(&self) -> Result<Config, Error> {
        let architecture = self.architecture()?;
        let known = ARCHITECTURES.into_iter().find(|(name, _)| *name == architecture);
        let Some((_, architecture)) = known else {
            return Err(Error::Unsupported {
                path: self.file.path().to_owned(),
                found: architecture.to_owned(),
                known: ARCHITECTURES.into_iter().map(|(name, _)| name).collect(),
            });
        };
        self.refuse_what_is_not_computed()?;
        let text = self.described(architecture)?;
        let mut config = Config::of(text).map_err(|reason| self.refused(reason))?;
        if architecture == "LlamaForCausalLM" {
            config.output_bias = self.has("blk.0.attn_output.bias");
        }
        if let Some(factors) = self.numbers(ROPE_FACTORS)? {
            let (found, expected) = (factors.len(), config.frequencies.len());
            if found != expected {
                let reason = format!("`{ROPE_FACTORS}` has {found} numbers, expected {expected}");
                return Err(self.refused(reason));
            }
            config.frequencies.iter_mut().zip(factors).for_each(|(f, factor)| *f /= factor);
        }
        Ok(config)
    }

    /// What `config.json` would say.
    fn described(&self, architecture: &str) -> Result<Map<String, Value>, Error> {
        let (hidden, heads) = (self.size("embedding_length")?, self.heads()?);
        let head_dim = self.optional_size("attention.key_length");
        let head_dim = head_dim.unwrap_or_else(|| hidden.checked_div(heads).unwrap_or(0));
        for other in ["attention.value_length", "rope.dimension_count"] {
            if let Some(found) = self.optional_size(other).filter(|found| *found != head_dim) {
                let reason =
                    format!("`{other}` is {found}: only {head_dim}, a head's, is computed");
                return Err(self.refused(reason));
            }
        }
        let embedding = self.content.tensor_infos.get("token_embd.weight");
        let Some(&[vocabulary, _]) = embedding.map(|info| info.shape.dims()) else {
            return Err(Error::MissingTensor { name: "token_embd.weight".to_owned() });
        };
        let theta = self.number(&self.key("rope.freq_base")?).unwrap_or(10_000.0);
        let eps = self.key("attention.layer_norm_rms_epsilon")?;
        let text = json!({
            "architectures": [architecture],
            "hidden_size": hidden,
            "intermediate_size": self.size("feed_forward_length")?,
            "num_hidden_layers": self.size("block_count")?,
            "num_attention_heads": heads,
            "num_key_value_heads": self.kv_heads()?,
            "head_dim": head_dim,
            "vocab_size": vocabulary,
            "max_position_embeddings": self.size("context_length")?,
            "rms_norm_eps": self.number(&eps).ok_or_else(|| self.lacks(&eps))?,
            "rope_theta": theta,
            "rope_scaling": self.rope_scaling()?,
            "tie_word_embeddings": !self.has("output.weight"),
            "attention_bias": self.has("blk.0.attn_q.bias"),
            "mlp_bias": self.has("blk.0.ffn_up.bias"),
            "eos_token_id": self.ends(),
        });
        let Value::Object(mut text) = text else { return Ok(Map::new()) };
        if architecture == "Qwen2ForCausalLM" {
            // Its queries, keys and values have a bias, and its output has none.
            text.remove("attention_bias");
        }
        Ok(text)
    }

    /// Ids that end a text: of the text, of a turn, of a message.
    fn ends(&self) -> Vec<u64> {
        let ids = ["eos", "eot", "eom"].map(|end| format!("tokenizer.ggml.{end}_token_id"));
        ids.iter().filter_map(|key| self.whole(key)).collect()
    }

    fn rope_scaling(&self) -> Result<Value, Error> {
        let kind = self.text(&self.key("rope.scaling.type")?);
        let factor = self.number(&self.key("rope.scaling.factor")?);
        let factor = match factor {
            None => self.number(&self.key("rope.scale_linear")?),
            given => given,
        };
        Ok(match (kind, factor) {
            (Some("none"), _) | (None, None) => Value::Null,
            (kind, factor) => json!({ "type": kind.unwrap_or("linear"), "factor": factor }),
        })
    }

    fn refuse_what_is_not_computed(&self) -> Result<(), Error> {
        for name in NOT_COMPUTED {
            let key = self.key(name)?;
            if let Some(found) = self.number(&key).filter(|found| *found != 0.0) {
                return Err(self.refused(format!("`{key}` is {found}, which is not computed")));
            }
        }
        Ok(())
    }

    pub(super) fn heads(&self) -> Result<usize, Error> {
        self.size("attention.head_count")
    }

    pub(super) fn kv_heads(&self) -> Result<usize, Error> {
        match self.optional_size("attention.head_count_kv") {
            Some(heads) => Ok(heads),
            None => self.heads(),
        }
    }

    /// A size, by its key after the architecture's name.
    fn size(&self, name: &str) -> Result<usize, Error> {
        let key = self.key(name)?;
        self.optional_size(name).ok_or_else(|| self.lacks(&key))
    }

    fn optional_size(&self, name: &str) -> Option<usize> {
        let key = self.key(name).ok()?;
        self.whole(&key).and_then(|size| usize::try_from(size).ok())
    }

    fn key(&self, name: &str) -> Result<String, Error> {
        Ok(format!("{}.{name}", self.architecture()?))
    }

    fn lacks(&self, key: &str) -> Error {
        self.refused(format!("it has no number `{key}`"))
    }

    fn has(&self, tensor: &str) -> bool {
        self.content.tensor_infos.contains_key(tensor)
    }
}
