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

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use super::adapter::Adapter;
use super::cache::Cache;
use super::config::Config;
use super::error::Error;
use super::lora::name_of;
use super::ops::{
    Attend, Packed, Placed, Row, Rows, Weight, attention, linear, linears, rms_norm, rotary,
    swiglu, token_logps, wide, with_values,
};
use super::parameters::{Parameter, parameters};
use super::weights::Weights;

/// A decoder with its weights.
#[derive(Debug, Clone)]
pub struct Network {
    config: Arc<Config>,
    embed_tokens: Part, // [vocabulary, hidden]
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

/// A weight as a network holds it.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Numbers to compute with as they are; a projection `[inputs, outputs]`.
    Tensor(Tensor),
    /// A projection, or an embedding that is the head, too, packed for drawing.
    Packed(Arc<Packed>),
}

/// Tokens to run, end to end, and what they attend to.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    rows: Rows,
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

    /// Says what the tokens attend to, where that is not what a cache holds.
    fn with_rows(self, rows: Vec<Row>) -> Self {
        Self { rows: rows.into(), ..self }
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
        let part =
            |(name, tensor): (&String, &Tensor)| (name.clone(), Part::Tensor(tensor.clone()));
        Self::of(config, &weights.iter().map(part).collect(), adapter)
    }

    /// Puts a network together from its parts, by their names in a checkpoint.
    pub(super) fn of(
        config: Arc<Config>,
        parts: &BTreeMap<String, Part>,
        adapter: Option<&Adapter>,
    ) -> std::result::Result<Self, Error> {
        let part = |name: &str| {
            let missing = || Error::MissingTensor { name: name.to_owned() };
            parts.get(name).cloned().ok_or_else(missing)
        };
        let get = |name: &str| match part(name)? {
            Part::Tensor(tensor) => Ok(tensor),
            Part::Packed(_) => Err(Error::MissingTensor { name: name.to_owned() }),
        };
        let weight = |name: &str| match part(name)? {
            Part::Tensor(tensor) => Ok::<_, Error>(Weight::InOut(tensor)),
            Part::Packed(packed) => Ok(Weight::Packed(packed)),
        };
        let project = |name: String, bias: bool| {
            let weight = weight(&format!("{name}.weight"))?;
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
        let embed_tokens = part("model.embed_tokens.weight")?;
        let lm_head = match &embed_tokens {
            _ if !config.tie_word_embeddings => weight("lm_head.weight")?,
            Part::Tensor(table) => Weight::OutIn(table.clone()),
            Part::Packed(table) => Weight::Packed(Arc::clone(table)),
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
        self.norm.device()
    }

    /// The type of what it computes, and where.
    pub(super) fn numbers_on(&self) -> (DType, &Device) {
        (self.dtype(), self.device())
    }

    fn dtype(&self) -> DType {
        self.norm.dtype()
    }

    /// The hidden state of every token, `[tokens, hidden]`, ready for the [head](Self::logits).
    ///
    /// # Errors
    /// Where the device fails.
    pub fn hidden(&self, batch: &Batch) -> Result<Tensor> {
        self.run(batch, None)
    }

    /// The same, for tokens that continue what `cache` holds, and are kept there as `rows` say.
    pub(super) fn hidden_after(
        &self,
        batch: &Batch,
        rows: &[Placed],
        cache: &mut Cache,
    ) -> Result<Tensor> {
        self.run(batch, Some((cache, rows)))
    }

    /// Logits of the tokens that come next, `[rows, vocabulary]`, of hidden states `[rows, hidden]`; in f32
    /// where those are in 16 bits.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        wide(&linear(hidden, &self.lm_head)?)
    }

    /// The same, in room that is used again: logits of many rows are the largest thing that is computed.
    pub(super) fn logits_to(&self, hidden: &Tensor, to: &mut Vec<f32>) -> Result<()> {
        to.clear();
        match &self.lm_head {
            Weight::Packed(head) => with_values::<f32, _>(hidden, |hidden| {
                to.resize(hidden.len() / head.dims().1.max(1) * head.dims().0, 0.0);
                head.times(hidden, to);
                Ok(())
            }),
            head => {
                to.extend(wide(&linear(hidden, head)?)?.flatten_all()?.to_vec1::<f32>()?);
                Ok(())
            }
        }
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

    fn run(&self, batch: &Batch, mut after: Option<(&mut Cache, &[Placed])>) -> Result<Tensor> {
        let angles = self.angles(&batch.positions)?;
        let mut x = self.embed(&batch.tokens)?; // [tokens, hidden]
        let rows = match &after {
            Some((cache, rows)) => cache.rows(rows),
            None => batch.rows.clone(),
        };
        for (index, layer) in self.layers.iter().enumerate() {
            let after = after.as_mut().map(|(cache, rows)| (&mut **cache, *rows));
            x = self.layer((index, layer), &x, &angles, &rows, after)?;
        }
        rms_norm(&x, &self.norm, self.config.rms_norm_eps)
    }

    fn embed(&self, tokens: &[u32]) -> Result<Tensor> {
        match &self.embed_tokens {
            Part::Tensor(table) => {
                let tokens = Tensor::from_slice(tokens, tokens.len(), self.device())?;
                table.index_select(&tokens, 0)?.to_dtype(self.dtype())
            }
            Part::Packed(table) => {
                Tensor::from_vec(table.rows(tokens)?, (tokens.len(), table.dims().1), self.device())
            }
        }
    }

    fn layer(
        &self,
        (index, layer): (usize, &Layer),
        x: &Tensor,
        angles: &Angles,
        rows: &Rows,
        after: Option<(&mut Cache, &[Placed])>,
    ) -> Result<Tensor> {
        let eps = self.config.rms_norm_eps;
        let Layer { self_attn, mlp, .. } = layer;

        let normed = rms_norm(x, &layer.input_layernorm, eps)?;
        let Attention { q_proj, k_proj, v_proj, .. } = self_attn;
        let [q, k, v] = Linear::forward_all([q_proj, k_proj, v_proj], &normed)?;
        let q = self.heads(q, self_attn.q_norm.as_ref())?;
        let k = self.heads(k, self_attn.k_norm.as_ref())?;
        let q = rotary(&q, &angles.cos, &angles.sin)?; // [tokens, heads·d]
        let k = rotary(&k, &angles.cos, &angles.sin)?; // [tokens, kv_heads·d]
        let attended = match after {
            Some((cache, placed)) => {
                cache.keep(index, &k, &v, placed)?;
                cache.attend(index, &q, placed, rows)?
            }
            None => attention(&q, &k, &v, &self.attend(index, rows))?,
        };
        let x = (x + self_attn.o_proj.forward(&attended)?)?;

        let normed = rms_norm(&x, &layer.post_attention_layernorm, eps)?;
        let [gate, up] = Linear::forward_all([&mlp.gate_proj, &mlp.up_proj], &normed)?; // [tokens, inner]
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

    fn attend(&self, layer: usize, rows: &Rows) -> Attend {
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
        // An angle in 16 bits would be another one.
        let dtype = if self.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let tensor =
            |numbers: Vec<f32>| Tensor::from_vec(numbers, shape, self.device())?.to_dtype(dtype);
        Ok(Angles { cos: tensor(cos)?, sin: tensor(sin)? })
    }
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.added(x, linear(x, &self.weight)?)
    }

    /// The same of some that read the same.
    fn forward_all<const N: usize>(all: [&Self; N], x: &Tensor) -> Result<[Tensor; N]> {
        let mut ys = linears(x, &all.map(|linear| &linear.weight))?;
        for (linear, y) in all.iter().zip(&mut ys) {
            *y = linear.added(x, y.clone())?;
        }
        ys.try_into().map_err(|_| candle_core::Error::msg("as many results as weights"))
    }

    /// Adds what stands beside the weight.
    fn added(&self, x: &Tensor, y: Tensor) -> Result<Tensor> {
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
