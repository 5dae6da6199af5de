//! `config.json` of the Llama family, as transformers 4 and 5 spell it.

use std::path::Path;

use candle_transformers::models::llama::{Llama3RopeConfig, LlamaEosToks};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::Error;
use super::folder::parse;

/// Architectures that the one decoder runs.
pub(super) const SUPPORTED: [&str; 4] =
    ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"];

/// What the network computes, in the words of `config.json`.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "so does the file have it")]
pub struct Config {
    /// Numbers that stand for a token between layers.
    pub hidden_size: usize,
    /// Numbers inside a feed-forward block.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key-value heads: a divisor of `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Numbers a head: even.
    pub head_dim: usize,
    /// Token ids.
    pub vocab_size: usize,
    /// Tokens of the longest sequence.
    pub max_position_embeddings: usize,
    /// Added under the root of every norm.
    pub rms_norm_eps: f64,
    /// Standard deviation of random weights.
    pub initializer_range: f64,
    /// Whether the embedding is the head, too.
    pub tie_word_embeddings: bool,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether the attention's output has a bias.
    pub output_bias: bool,
    /// Whether the feed-forward block has biases.
    pub mlp_bias: bool,
    /// Whether each head's queries and keys are normalised (Qwen3).
    pub qk_norm: bool,
    /// Tokens back that each layer sees, the own one counted; `None` is all.
    pub windows: Vec<Option<usize>>,
    /// Ids that end a text.
    pub eos_token_ids: Vec<u32>,
    /// Radians by which each pair of a head rotates from one position to the next, `[head_dim/2]`.
    pub frequencies: Vec<f32>,
    /// All that the file says: written back with the weights.
    pub text: Map<String, Value>,
}

#[derive(Deserialize)]
struct Published {
    #[serde(default)]
    architectures: Vec<String>,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    #[serde(default = "default_range")]
    initializer_range: f64,
    #[serde(default)]
    tie_word_embeddings: bool,
    attention_bias: Option<bool>,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "default_activation")]
    hidden_act: String,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    rope_theta: Option<f32>,
    rope_scaling: Option<Map<String, Value>>,
    rope_parameters: Option<Map<String, Value>>,
    eos_token_id: Option<Value>,
    quantization_config: Option<Value>,
    partial_rotary_factor: Option<f64>,
}

const fn default_positions() -> usize {
    2048
}

const fn default_range() -> f64 {
    0.02
}

fn default_activation() -> String {
    "silu".to_owned()
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Where it is not such a configuration, or asks for what the decoder does not compute.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text: Map<String, Value> = parse(path)?;
        let published: Published = parse(path)?;
        Self::understand(published, text)
            .map_err(|reason| Error::Config { path: path.to_owned(), reason })
    }

    /// Reads it from a value, as an experiment may spell it out.
    ///
    /// # Errors
    /// The reason, where it is not such a configuration.
    pub fn of(text: Map<String, Value>) -> Result<Self, String> {
        let published = serde_json::from_value(Value::Object(text.clone()));
        Self::understand(published.map_err(|e| e.to_string())?, text)
    }

    fn understand(published: Published, text: Map<String, Value>) -> Result<Self, String> {
        let architecture = published.architectures.first().map_or("", String::as_str);
        published.refuse_what_is_not_computed()?;
        published.refuse_what_no_model_has()?;
        let Published { hidden_size, num_attention_heads: heads, .. } = published;
        let kv_heads = published.num_key_value_heads.unwrap_or(heads);
        let even_split = hidden_size.checked_div(heads).unwrap_or(0);
        let config = Self {
            head_dim: published.head_dim.unwrap_or(even_split),
            num_key_value_heads: kv_heads,
            qkv_bias: published.attention_bias.unwrap_or(architecture == "Qwen2ForCausalLM"),
            output_bias: published.attention_bias.unwrap_or(false),
            qk_norm: architecture == "Qwen3ForCausalLM",
            windows: published.windows(architecture),
            frequencies: published.frequencies(published.head_dim.unwrap_or(even_split))?,
            eos_token_ids: ids(published.eos_token_id.clone())?,
            hidden_size,
            intermediate_size: published.intermediate_size,
            num_hidden_layers: published.num_hidden_layers,
            num_attention_heads: heads,
            vocab_size: published.vocab_size,
            max_position_embeddings: published.max_position_embeddings,
            rms_norm_eps: published.rms_norm_eps,
            initializer_range: published.initializer_range,
            tie_word_embeddings: published.tie_word_embeddings,
            mlp_bias: published.mlp_bias,
            text,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let positive = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("`{name}` is 0"));
        }
        let (heads, kv_heads) = (self.num_attention_heads, self.num_key_value_heads);
        if heads % kv_heads != 0 {
            return Err(format!("{heads} attention heads do not share {kv_heads} key-value heads"));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(format!("`head_dim` is {}: it should be even", self.head_dim));
        }
        Ok(())
    }

    /// Writes the file again, for weights in f32.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = self.text.clone();
        let name = if text.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        text.insert(name.to_owned(), Value::from("float32"));
        format!("{:#}\n", Value::Object(text))
    }
}

/// The ids, one or many.
pub(super) fn ids(ids: Option<Value>) -> Result<Vec<u32>, String> {
    let Some(ids) = ids else { return Ok(Vec::new()) };
    match serde_json::from_value(ids.clone()) {
        Ok(LlamaEosToks::Single(id)) => Ok(vec![id]),
        Ok(LlamaEosToks::Multiple(ids)) => Ok(ids),
        Err(_) => Err(format!("`eos_token_id` should be an id or a list of ids, not {ids}")),
    }
}

impl Published {
    fn refuse_what_is_not_computed(&self) -> Result<(), String> {
        if self.hidden_act != "silu" {
            return Err(format!("`hidden_act` is `{}`: only silu is computed", self.hidden_act));
        }
        if self.quantization_config.is_some() {
            return Err("the weights are quantised: only f32, f16 and bf16 are read".to_owned());
        }
        if let Some(factor) = self.partial_rotary_factor.filter(|factor| *factor < 1.0) {
            return Err(format!("`partial_rotary_factor` is {factor}: only 1 is computed"));
        }
        Ok(())
    }

    /// Sizes that would take all memory before a weight is looked at.
    fn refuse_what_no_model_has(&self) -> Result<(), String> {
        let sizes = [
            ("num_hidden_layers", self.num_hidden_layers, 10_000),
            ("num_attention_heads", self.num_attention_heads, 10_000),
            ("hidden_size", self.hidden_size, 1 << 20),
            ("intermediate_size", self.intermediate_size, 1 << 24),
            ("head_dim", self.head_dim.unwrap_or(0), 1 << 16),
            ("vocab_size", self.vocab_size, 1 << 28),
        ];
        match sizes.into_iter().find(|(_, size, most)| size > most) {
            Some((name, size, most)) => {
                Err(format!("`{name}` is {size}: at most {most} is taken for a model's"))
            }
            None => Ok(()),
        }
    }

    /// Mistral's window is every layer's; Qwen's that of the layers from `max_window_layers` on.
    fn windows(&self, architecture: &str) -> Vec<Option<usize>> {
        let everywhere = architecture == "MistralForCausalLM";
        let used = self.use_sliding_window.unwrap_or(everywhere);
        let of_layer = |layer: usize| match &self.layer_types {
            Some(types) => types.get(layer).is_some_and(|kind| kind == "sliding_attention"),
            None => everywhere || layer >= self.max_window_layers.unwrap_or(usize::MAX),
        };
        (0..self.num_hidden_layers)
            .map(|layer| {
                self.sliding_window.filter(|window| used && *window > 0 && of_layer(layer))
            })
            .collect()
    }

    /// θ^(−2i/d), scaled as `rope_scaling` (`rope_parameters` since transformers 5) says.
    fn frequencies(&self, head_dim: usize) -> Result<Vec<f32>, String> {
        let scaling = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let field = |name: &str| scaling.and_then(|scaling| scaling.get(name));
        #[expect(clippy::cast_possible_truncation, reason = "transformers computes in f32")]
        let number = |name: &str| field(name).and_then(Value::as_f64).map(|value| value as f32);
        let theta = self.rope_theta.or_else(|| number("rope_theta")).unwrap_or(10_000.0);
        let plain = (0..head_dim / 2).map(|i| theta.powf(2.0 * i as f32 / head_dim as f32).recip());
        match field("rope_type").or_else(|| field("type")).and_then(Value::as_str) {
            None | Some("default") => Ok(plain.collect()),
            Some("linear") => {
                let factor = number("factor").ok_or("linear rope scaling without a `factor`")?;
                Ok(plain.map(|frequency| frequency / factor).collect())
            }
            Some("llama3") => {
                let scaling = scaling.cloned().unwrap_or_default();
                let scaling: Llama3RopeConfig = serde_json::from_value(Value::Object(scaling))
                    .map_err(|e| format!("rope scaling: {e}"))?;
                Ok(plain.map(|frequency| llama3(frequency, &scaling)).collect())
            }
            Some(other) => Err(format!(
                "rope scaling `{other}` is not computed; these are: default, linear, llama3"
            )),
        }
    }
}

/// Llama 3.1's scaling: long waves are slowed by `factor`, short ones kept, those between blended.
fn llama3(frequency: f32, scaling: &Llama3RopeConfig) -> f32 {
    let Llama3RopeConfig { factor, low_freq_factor: low, high_freq_factor: high, .. } = *scaling;
    let context = scaling.original_max_position_embeddings as f32;
    let wave = 2.0 * std::f32::consts::PI / frequency;
    if wave < context / high {
        frequency
    } else if wave > context / low {
        frequency / factor
    } else {
        let smooth = (context / wave - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}
