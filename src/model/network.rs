//! The decoder of the Llama family: one file, in the order of the papers.
//!
//! Llama 2 and 3 (Touvron et al., 2023; Grattafiori et al., 2024), Mistral (Jiang et al., 2023),
//! Qwen 2 and 3 (Yang et al., 2024, 2025) and SmolLM differ in what [`Config`] says, and in nothing
//! else. Sequences lie end to end, `[tokens, ..]`, with no padding between them.
//!
//! candle-transformers gives the published types of `config.json`, the masks and `repeat_kv`. Its own
//! decoders are not used: they return the last position's logits only, take no rows of different
//! lengths, and run on operations that drop the gradient.

pub(super) mod pass;

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use super::adapter::Adapter;
use super::config::Config;
use super::error::Error;
use super::lora::name_of;
use super::ops::{Attend, Row, Weight, attention, linear, rms_norm, rotary, swiglu, token_logps};
use super::parameters::{Parameter, parameters};
use super::weights::Weights;

/// A decoder with its weights.
#[derive(Debug, Clone)]
pub struct Network {
    config: Arc<Config>,
    embed_tokens: Tensor, // [vocabulary, hidden]
    layers: Vec<Layer>,
    norm: Tensor, // [hidden]
    lm_head: Weight,
}

#[derive(Debug, Clone)]
struct Layer {
    input_layernorm: Tensor, // [hidden]
    self_attn: Attention,
    post_attention_layernorm: Tensor, // [hidden]
    mlp: Mlp,
}

#[derive(Debug, Clone)]
struct Attention {
    q_proj: Linear,         // hidden → heads·d
    k_proj: Linear,         // hidden → kv_heads·d
    v_proj: Linear,         // hidden → kv_heads·d
    o_proj: Linear,         // heads·d → hidden
    q_norm: Option<Tensor>, // [d]
    k_norm: Option<Tensor>, // [d]
}

#[derive(Debug, Clone)]
struct Mlp {
    gate_proj: Linear, // hidden → inner
    up_proj: Linear,   // hidden → inner
    down_proj: Linear, // inner → hidden
}

#[derive(Debug, Clone)]
struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    delta: Option<Delta>,
}

/// What an adapter adds: scale·(x·A)·B.
#[derive(Debug, Clone)]
struct Delta {
    a: Weight, // inputs → rank
    b: Weight, // rank → outputs
    scale: f64,
}

/// Tokens to run, end to end, and what they attend to.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    rows: Arc<[Row]>,
}

impl Batch {
    /// Whole sequences, each on its own.
    #[must_use]
    pub fn of<'s>(sequences: impl IntoIterator<Item = &'s [u32]>) -> Self {
        let mut batch = Self::default();
        let mut rows = Vec::new();
        for tokens in sequences {
            let own = batch.push(tokens, 0);
            rows.push(Row { queries: own.clone(), keys: vec![own] });
        }
        batch.with_rows(rows)
    }

    /// Sequences that begin with one prompt, which is run once for all of them; returns, too, the
    /// places of the tokens before each of their own: of the prompt's last, then of their own but
    /// the last, which is not run.
    ///
    /// The prompts must not be empty, nor the sequences after them.
    #[must_use]
    pub fn of_continuations<'s>(
        groups: impl IntoIterator<Item = (&'s [u32], Vec<&'s [u32]>)>,
    ) -> (Self, Vec<u32>) {
        let mut batch = Self::default();
        let (mut rows, mut sources) = (Vec::new(), Vec::new());
        for (prompt, continuations) in groups {
            let shared = batch.push(prompt, 0);
            rows.push(Row { queries: shared.clone(), keys: vec![shared.clone()] });
            for continuation in continuations {
                let own = batch.push(&continuation[..continuation.len() - 1], prompt.len());
                let places = std::iter::once(shared.end - 1).chain(own.clone());
                sources.extend(places.map(|place| u32::try_from(place).unwrap_or(u32::MAX)));
                if !own.is_empty() {
                    rows.push(Row { queries: own.clone(), keys: vec![shared.clone(), own] });
                }
            }
        }
        (batch.with_rows(rows), sources)
    }

    /// Adds tokens from a position on, and tells where they are.
    pub(super) fn push(&mut self, tokens: &[u32], position: usize) -> Range<usize> {
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        let first = u32::try_from(position).unwrap_or(u32::MAX);
        self.positions.extend((first..).take(tokens.len()));
        start..self.tokens.len()
    }

    /// Says what the tokens attend to; where they continue what a cache holds, the last span of each
    /// row's keys is where its own go.
    pub(super) fn with_rows(self, rows: Vec<Row>) -> Self {
        Self { rows: rows.into(), ..self }
    }

    /// The place of each row's last token.
    pub(super) fn row_ends(&self) -> Vec<u32> {
        let last = |row: &Row| u32::try_from(row.queries.end - 1).unwrap_or(u32::MAX);
        self.rows.iter().map(last).collect()
    }

    /// Tokens in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no token in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

/// Keys and values of tokens that were run, by place.
#[derive(Debug)]
pub(super) struct Cache {
    layers: Vec<(Tensor, Tensor)>, // [places, kv_heads·d] each
}

impl Cache {
    pub(super) fn new(network: &Network, places: usize) -> Result<Self> {
        let Config { num_hidden_layers, num_key_value_heads, head_dim, .. } = *network.config;
        let make = || {
            let shape = (places, num_key_value_heads * head_dim);
            Tensor::zeros(shape, network.dtype(), network.device())
        };
        let layers: Result<_> = (0..num_hidden_layers).map(|_| Ok((make()?, make()?))).collect();
        Ok(Self { layers: layers? })
    }

    /// Keeps the keys and values of a batch, and returns all that are kept.
    fn keep(&self, layer: usize, k: &Tensor, v: &Tensor, rows: &[Row]) -> Result<(Tensor, Tensor)> {
        let (keys, values) = &self.layers[layer];
        for Row { queries, keys: spans } in rows {
            let end = spans.last().map_or(0, |span| span.end);
            let (start, count) = (queries.start, queries.len());
            keys.slice_set(&k.narrow(0, start, count)?, 0, end - count)?;
            values.slice_set(&v.narrow(0, start, count)?, 0, end - count)?;
        }
        Ok((keys.clone(), values.clone()))
    }
}

/// cos and sin of the angles of a batch's positions, `[tokens, d/2]` each.
struct Angles {
    cos: Tensor,
    sin: Tensor,
}

impl Network {
    /// Puts a network together from its weights.
    ///
    /// # Errors
    /// Where one is missing.
    pub fn new(config: Arc<Config>, weights: &Weights) -> std::result::Result<Self, Error> {
        Self::adapted(config, weights, None)
    }

    /// The same, with an adapter beside its projections that is not added to them: its tensors are among the
    /// weights.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn adapted(
        config: Arc<Config>,
        weights: &Weights,
        adapter: Option<&Adapter>,
    ) -> std::result::Result<Self, Error> {
        let get = |name: &str| {
            let missing = || Error::MissingTensor { name: name.to_owned() };
            weights.get(name).cloned().ok_or_else(missing)
        };
        let project = |name: String, bias: bool| {
            let weight = Weight::InOut(get(&format!("{name}.weight"))?);
            let bias = bias.then(|| get(&format!("{name}.bias"))).transpose()?;
            let delta = adapter.filter(|adapter| adapter.is_beside(&name)).map(|adapter| {
                let part = |part| get(&name_of(&name, part)).map(Weight::InOut);
                let scale = adapter.alpha / adapter.rank as f64;
                Ok::<_, Error>(Delta { a: part("lora_A")?, b: part("lora_B")?, scale })
            });
            Ok::<_, Error>(Linear { weight, bias, delta: delta.transpose()? })
        };
        let layer = |layer: usize| {
            let at = |block: &str| format!("model.layers.{layer}.{block}");
            let qk_norm = |block: &str| {
                config.qk_norm.then(|| get(&at(&format!("self_attn.{block}.weight")))).transpose()
            };
            Ok::<_, Error>(Layer {
                input_layernorm: get(&at("input_layernorm.weight"))?,
                self_attn: Attention {
                    q_proj: project(at("self_attn.q_proj"), config.qkv_bias)?,
                    k_proj: project(at("self_attn.k_proj"), config.qkv_bias)?,
                    v_proj: project(at("self_attn.v_proj"), config.qkv_bias)?,
                    o_proj: project(at("self_attn.o_proj"), config.output_bias)?,
                    q_norm: qk_norm("q_norm")?,
                    k_norm: qk_norm("k_norm")?,
                },
                post_attention_layernorm: get(&at("post_attention_layernorm.weight"))?,
                mlp: Mlp {
                    gate_proj: project(at("mlp.gate_proj"), config.mlp_bias)?,
                    up_proj: project(at("mlp.up_proj"), config.mlp_bias)?,
                    down_proj: project(at("mlp.down_proj"), config.mlp_bias)?,
                },
            })
        };
        let embed_tokens = get("model.embed_tokens.weight")?;
        let lm_head = if config.tie_word_embeddings {
            Weight::OutIn(embed_tokens.clone())
        } else {
            Weight::InOut(get("lm_head.weight")?)
        };
        let layers: std::result::Result<_, Error> =
            (0..config.num_hidden_layers).map(layer).collect();
        let norm = get("model.norm.weight")?;
        Ok(Self { layers: layers?, norm, embed_tokens, lm_head, config })
    }

    /// What it computes.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Numbers that it computes with.
    #[must_use]
    pub fn numbers(&self) -> usize {
        let count = |parameter: Parameter| parameter.shape.iter().product::<usize>();
        parameters(&self.config).into_iter().map(count).sum()
    }

    /// Where its weights are.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.embed_tokens.device()
    }

    fn dtype(&self) -> DType {
        self.embed_tokens.dtype()
    }

    /// The hidden state of every token, `[tokens, hidden]`, ready for the [head](Self::logits).
    ///
    /// # Errors
    /// Where the device fails.
    pub fn hidden(&self, batch: &Batch) -> Result<Tensor> {
        self.run(batch, None)
    }

    /// The same, for tokens that continue what `cache` holds.
    pub(super) fn hidden_after(&self, batch: &Batch, cache: &Cache) -> Result<Tensor> {
        self.run(batch, Some(cache))
    }

    /// Logits of the tokens that come next, `[rows, vocabulary]`, of hidden states `[rows, hidden]`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        linear(hidden, &self.lm_head)
    }

    /// log-probability of each of `targets`, `[targets]` in nats, after the tokens at `sources`.
    ///
    /// # Errors
    /// Where the device fails, or a target is not in the vocabulary.
    pub fn logps(&self, batch: &Batch, sources: &[u32], targets: &[u32]) -> Result<Tensor> {
        let hidden = self.hidden(batch)?;
        let sources = Tensor::from_slice(sources, sources.len(), self.device())?;
        token_logps(&self.logits(&hidden.index_select(&sources, 0)?)?, targets)
    }

    fn run(&self, batch: &Batch, cache: Option<&Cache>) -> Result<Tensor> {
        let angles = self.angles(&batch.positions)?;
        let mut x = self.embedded(batch)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = self.layer(index, layer, &x, &angles, &batch.rows, cache)?;
        }
        rms_norm(&x, &self.norm, self.config.rms_norm_eps)
    }

    fn embedded(&self, batch: &Batch) -> Result<Tensor> {
        let tokens = Tensor::from_slice(&batch.tokens, batch.tokens.len(), self.device())?;
        self.embed_tokens.index_select(&tokens, 0) // [tokens, hidden]
    }

    fn layer(
        &self,
        index: usize,
        layer: &Layer,
        x: &Tensor,
        angles: &Angles,
        rows: &Arc<[Row]>,
        cache: Option<&Cache>,
    ) -> Result<Tensor> {
        let eps = self.config.rms_norm_eps;
        let Layer { self_attn, mlp, .. } = layer;

        let normed = rms_norm(x, &layer.input_layernorm, eps)?;
        let q = self.heads(self_attn.q_proj.forward(&normed)?, self_attn.q_norm.as_ref())?;
        let k = self.heads(self_attn.k_proj.forward(&normed)?, self_attn.k_norm.as_ref())?;
        let v = self_attn.v_proj.forward(&normed)?; // [tokens, kv_heads·d]
        let q = rotary(&q, &angles.cos, &angles.sin)?; // [tokens, heads·d]
        let k = rotary(&k, &angles.cos, &angles.sin)?; // [tokens, kv_heads·d]
        let (k, v) = match cache {
            Some(cache) => cache.keep(index, &k, &v, rows)?,
            None => (k, v),
        };
        let attended = attention(&q, &k, &v, &self.attend(index, rows))?;
        let x = (x + self_attn.o_proj.forward(&attended)?)?;

        let normed = rms_norm(&x, &layer.post_attention_layernorm, eps)?;
        let gate = mlp.gate_proj.forward(&normed)?; // [tokens, inner]
        let up = mlp.up_proj.forward(&normed)?; // [tokens, inner]
        &x + mlp.down_proj.forward(&swiglu(&gate, &up)?)?
    }

    /// Normalises each head (Qwen3), or nothing.
    fn heads(&self, x: Tensor, norm: Option<&Tensor>) -> Result<Tensor> {
        let Some(norm) = norm else { return Ok(x) };
        let (tokens, width) = x.dims2()?;
        let dim = self.config.head_dim;
        let heads = x.reshape((tokens * width / dim, dim))?;
        rms_norm(&heads, norm, self.config.rms_norm_eps)?.reshape((tokens, width))
    }

    fn attend(&self, layer: usize, rows: &Arc<[Row]>) -> Attend {
        Attend {
            rows: rows.clone(),
            heads: self.config.num_attention_heads,
            kv_heads: self.config.num_key_value_heads,
            head_dim: self.config.head_dim,
            window: self.config.windows[layer],
        }
    }

    fn angles(&self, positions: &[u32]) -> Result<Angles> {
        let frequencies = &self.config.frequencies;
        let angles = positions
            .iter()
            .flat_map(|&position| frequencies.iter().map(move |f| position as f32 * f));
        let (sin, cos): (Vec<f32>, Vec<f32>) = angles.map(f32::sin_cos).unzip();
        let shape = (positions.len(), frequencies.len());
        let tensor = |numbers: Vec<f32>| {
            Tensor::from_vec(numbers, shape, self.device())?.to_dtype(self.dtype())
        };
        Ok(Angles { cos: tensor(cos)?, sin: tensor(sin)? })
    }
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = linear(x, &self.weight)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        match &self.delta {
            Some(Delta { a, b, scale }) => y + (linear(&linear(x, a)?, b)? * *scale)?,
            None => Ok(y),
        }
    }
}
