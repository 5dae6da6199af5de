//! One pass over some sequences, forwards and then backwards, layer by layer. Gradients are added to sums that
//! others hold, and only weights that have one cost anything.
//!
//! The way back is written out, in the order of the way forwards: what is cheap is computed again rather than
//! kept, and with [`Keep::Inputs`] all of a layer is, so that what is kept of a token is one hidden state a layer.
//! Both add the same numbers in the same order.

use std::collections::HashMap;

use candle_core::{Result, Tensor, TensorId};

use super::{Angles, Batch, Delta, Layer, Linear, Network, Part};
use crate::model::ops::{
    Rows, Weight, add, add_bias, add_product, add_rows, add_scaled, attention_back,
    attention_in_blocks, clear, linear, linear_back, rms_norm, rms_norm_back, rotary, rotary_back,
    swiglu, swiglu_back, token_logps, token_logps_back,
};

/// Sums of the gradients of some weights.
#[derive(Debug)]
pub struct Gradients {
    sums: HashMap<TensorId, Tensor>,
}

impl Gradients {
    /// Zero for each of these weights.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn of<'w>(weights: impl IntoIterator<Item = &'w Tensor>) -> Result<Self> {
        let zero = |weight: &'w Tensor| Ok((weight.id(), weight.zeros_like()?));
        Ok(Self { sums: weights.into_iter().map(zero).collect::<Result<_>>()? })
    }

    /// The sum of a weight, where it has one.
    #[must_use]
    pub fn sum(&self, weight: &Tensor) -> Option<&Tensor> {
        self.sums.get(&weight.id())
    }

    /// Back to zero.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn clear(&self) -> Result<()> {
        self.sums.values().try_for_each(clear)
    }

    /// Adds the sums of the same weights.
    ///
    /// # Errors
    /// Where the device fails, or the weights are others.
    pub fn add(&self, more: &Self) -> Result<()> {
        self.sums.iter().try_for_each(|(weight, sum)| match more.sums.get(weight) {
            Some(more) => add(sum, more),
            None => Ok(()),
        })
    }
}

/// What is kept of the way forwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// What the way back needs.
    #[default]
    All,
    /// The input of every layer: the layer is computed again on the way back.
    Inputs,
}

impl Keep {
    /// Whether the layers' inputs alone are kept.
    #[must_use]
    pub const fn checkpointing(on: bool) -> Self {
        if on { Self::Inputs } else { Self::All }
    }
}

/// A pass that has gone forwards.
pub struct Pass<'n> {
    network: &'n Network,
    batch: &'n Batch,
    angles: Angles,
    layers: Vec<Done>,
    /// What the last layer made, at the places of `sources`.
    last: Tensor, // [targets, hidden]
    sources: &'n [u32],
    targets: &'n [u32],
    /// The only block of logits, where there is one.
    logits: Option<Tensor>,
    logps: Vec<f32>,
}

/// A layer that has gone forwards.
struct Done {
    input: Tensor, // [tokens, hidden]
    kept: Option<Kept>,
}

/// What its way back needs.
struct Kept {
    raw_q: Option<Tensor>, // before its heads are normalised
    raw_k: Option<Tensor>,
    q: Tensor,        // [tokens, heads·d], rotated
    k: Tensor,        // [tokens, kv_heads·d], rotated
    v: Tensor,        // [tokens, kv_heads·d]
    attended: Tensor, // [tokens, heads·d]
    middle: Tensor,   // [tokens, hidden], between attention and MLP
    gate: Tensor,     // [tokens, inner]
    up: Tensor,       // [tokens, inner]
}

/// Numbers of logits that there are at once.
pub const LOGITS: usize = 1 << 25;

impl Network {
    /// Runs a batch forwards to the log-probability of each of `targets` after the tokens at `sources`.
    ///
    /// # Errors
    /// Where the device fails, or a target is not in the vocabulary.
    pub fn forwards<'n>(
        &'n self,
        batch: &'n Batch,
        (sources, targets): (&'n [u32], &'n [u32]),
        keep: Keep,
    ) -> Result<Pass<'n>> {
        let angles = self.angles(&batch.positions)?;
        let mut x = self.embed(&batch.tokens)?;
        let mut layers = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let (out, kept) = self.layer_forwards(index, layer, &x, &angles, &batch.rows)?;
            let kept = Some(kept).filter(|_| keep == Keep::All);
            layers.push(Done { input: std::mem::replace(&mut x, out), kept });
        }
        let places = Tensor::from_slice(sources, sources.len(), self.device())?;
        let last = x.index_select(&places, 0)?;
        let mut pass = Pass {
            network: self,
            batch,
            angles,
            layers,
            last,
            sources,
            targets,
            logits: None,
            logps: Vec::new(),
        };
        pass.read()?;
        Ok(pass)
    }

    fn layer_forwards(
        &self,
        index: usize,
        layer: &Layer,
        x: &Tensor,
        angles: &Angles,
        rows: &Rows,
    ) -> Result<(Tensor, Kept)> {
        let eps = self.config.rms_norm_eps;
        let Layer { self_attn, mlp, .. } = layer;
        let normed = rms_norm(x, &layer.input_layernorm, eps)?;
        let raw_q = self_attn.q_proj.forward(&normed)?;
        let raw_k = self_attn.k_proj.forward(&normed)?;
        let v = self_attn.v_proj.forward(&normed)?;
        let q = self.heads(raw_q.clone(), self_attn.q_norm.as_ref())?;
        let k = self.heads(raw_k.clone(), self_attn.k_norm.as_ref())?;
        let q = rotary(&q, &angles.cos, &angles.sin)?;
        let k = rotary(&k, &angles.cos, &angles.sin)?;
        let attended = attention_in_blocks([&q, &k, &v], &self.attend(index, rows))?;
        let middle = (x + self_attn.o_proj.forward(&attended)?)?;
        let normed = rms_norm(&middle, &layer.post_attention_layernorm, eps)?;
        let gate = mlp.gate_proj.forward(&normed)?;
        let up = mlp.up_proj.forward(&normed)?;
        let out = (&middle + mlp.down_proj.forward(&swiglu(&gate, &up)?)?)?;
        let raw_q = self_attn.q_norm.as_ref().map(|_| raw_q);
        let raw_k = self_attn.k_norm.as_ref().map(|_| raw_k);
        Ok((out, Kept { raw_q, raw_k, q, k, v, attended, middle, gate, up }))
    }

    /// The gradient of a layer's input.
    fn layer_backwards(
        &self,
        index: usize,
        Done { input, kept }: Done,
        (angles, rows): (&Angles, &Rows),
        grad: &Tensor,
        onto: &Gradients,
    ) -> Result<Tensor> {
        let layer = &self.layers[index];
        let kept = match kept {
            Some(kept) => kept,
            None => self.layer_forwards(index, layer, &input, angles, rows)?.1,
        };
        let grad = self.mlp_backwards(layer, &kept, grad, onto)?;
        let Layer { self_attn, input_layernorm, .. } = layer;
        let normed = rms_norm(&input, input_layernorm, self.config.rms_norm_eps)?;
        let Kept { raw_q, raw_k, q, k, v, attended, .. } = kept;
        let d_attended = self_attn.o_proj.backwards(&attended, &grad, None, onto)?;
        let how = self.attend(index, rows);
        let [dq, dk, dv] = attention_back([&q, &k, &v], &how, &d_attended)?;
        let dq = rotary_back(&dq, &angles.cos, &angles.sin)?;
        let dk = rotary_back(&dk, &angles.cos, &angles.sin)?;
        let dq = self.heads_backwards(raw_q, self_attn.q_norm.as_ref(), dq, onto)?;
        let dk = self.heads_backwards(raw_k, self_attn.k_norm.as_ref(), dk, onto)?;
        let d_normed = self_attn.q_proj.backwards(&normed, &dq, None, onto)?;
        let d_normed = self_attn.k_proj.backwards(&normed, &dk, Some(d_normed), onto)?;
        let d_normed = self_attn.v_proj.backwards(&normed, &dv, Some(d_normed), onto)?;
        self.norm_backwards(&input, input_layernorm, (&d_normed, grad), onto)
    }

    /// The gradient of what is between attention and MLP.
    fn mlp_backwards(
        &self,
        layer: &Layer,
        kept: &Kept,
        grad: &Tensor,
        onto: &Gradients,
    ) -> Result<Tensor> {
        let Layer { mlp, post_attention_layernorm: norm, .. } = layer;
        let Kept { middle, gate, up, .. } = kept;
        let d_inner = mlp.down_proj.backwards(&swiglu(gate, up)?, grad, None, onto)?;
        let [d_gate, d_up] = swiglu_back(gate, up, &d_inner)?;
        let normed = rms_norm(middle, norm, self.config.rms_norm_eps)?;
        let d_normed = mlp.gate_proj.backwards(&normed, &d_gate, None, onto)?;
        let d_normed = mlp.up_proj.backwards(&normed, &d_up, Some(d_normed), onto)?;
        self.norm_backwards(middle, norm, (&d_normed, grad.clone()), onto)
    }

    /// The gradient of x, which is read by a norm and by those that `beside` is from.
    fn norm_backwards(
        &self,
        x: &Tensor,
        norm: &Tensor,
        (grad, beside): (&Tensor, Tensor),
        onto: &Gradients,
    ) -> Result<Tensor> {
        let sum = rms_norm_back(x, norm, self.config.rms_norm_eps, grad, onto.sum(norm))?;
        add(&sum, &beside)?;
        Ok(sum)
    }

    /// Back through the normalisation of each head (Qwen3), or through nothing.
    fn heads_backwards(
        &self,
        raw: Option<Tensor>,
        norm: Option<&Tensor>,
        grad: Tensor,
        onto: &Gradients,
    ) -> Result<Tensor> {
        let (Some(raw), Some(norm)) = (raw, norm) else { return Ok(grad) };
        let (tokens, width) = raw.dims2()?;
        let dim = self.config.head_dim;
        let heads = |x: &Tensor| x.reshape((tokens * width / dim, dim));
        let eps = self.config.rms_norm_eps;
        let grad = rms_norm_back(&heads(&raw)?, norm, eps, &heads(&grad)?, onto.sum(norm))?;
        grad.reshape((tokens, width))
    }
}

impl Pass<'_> {
    /// The log-probabilities, in nats.
    #[must_use]
    pub fn logps(&self) -> &[f32] {
        &self.logps
    }

    /// The places of each block of targets whose logits there are at once.
    fn blocks(&self) -> Vec<(usize, usize)> {
        let (all, most) = (self.targets.len(), LOGITS / self.network.config.vocab_size.max(1));
        let most = most.max(1);
        (0..all).step_by(most).map(|start| (start, most.min(all - start))).collect()
    }

    fn normed(&self, (start, count): (usize, usize)) -> Result<Tensor> {
        let Network { norm, config, .. } = self.network;
        rms_norm(&self.last.narrow(0, start, count)?, norm, config.rms_norm_eps)
    }

    fn read(&mut self) -> Result<()> {
        for block in self.blocks() {
            let logits = self.network.logits(&self.normed(block)?)?;
            let targets = &self.targets[block.0..block.0 + block.1];
            let logps = token_logps(&logits, targets)?.to_dtype(candle_core::DType::F32)?;
            self.logps.extend(logps.to_vec1::<f32>()?);
            self.logits = Some(logits).filter(|_| block.1 == self.targets.len());
        }
        Ok(())
    }

    /// Runs backwards from d loss / d log-probability of each target, and adds to `onto` what the weights that
    /// have a sum there come to.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn backwards(mut self, slopes: &[f64], onto: &Gradients) -> Result<()> {
        let mut grad = self.head_backwards(slopes, onto)?;
        let (angles, rows) = (&self.angles, &self.batch.rows);
        while let Some(done) = self.layers.pop() {
            let index = self.layers.len();
            grad = self.network.layer_backwards(index, done, (angles, rows), &grad, onto)?;
        }
        let Part::Tensor(table) = &self.network.embed_tokens else { return Ok(()) };
        match onto.sum(table) {
            Some(sum) => add_rows(sum, &self.batch.tokens, &grad),
            None => Ok(()),
        }
    }

    /// The gradient of what the last layer made, of every token.
    fn head_backwards(&mut self, slopes: &[f64], onto: &Gradients) -> Result<Tensor> {
        let Network { norm, lm_head, config, .. } = self.network;
        let shape = (self.batch.len(), config.hidden_size);
        let all = Tensor::zeros(shape, self.last.dtype(), self.last.device())?;
        for (start, count) in self.blocks() {
            let normed = self.normed((start, count))?;
            let logits = match self.logits.take() {
                Some(logits) => logits,
                None => self.network.logits(&normed)?,
            };
            let own = start..start + count;
            let grad = Tensor::from_slice(&slopes[own.clone()], count, self.last.device())?;
            let grad = grad.to_dtype(self.last.dtype())?;
            let d_logits = token_logps_back(&logits, &self.targets[own.clone()], &grad)?;
            drop(logits);
            if let Some(sum) = lm_head.tensor().and_then(|head| onto.sum(head)) {
                add_product(sum, lm_head, &normed, &d_logits)?;
            }
            let d_normed = linear_back(&d_logits, lm_head)?;
            let last = self.last.narrow(0, start, count)?;
            let eps = config.rms_norm_eps;
            let grad = rms_norm_back(&last, norm, eps, &d_normed, onto.sum(norm))?;
            add_rows(&all, &self.sources[own], &grad)?;
        }
        Ok(all)
    }
}

impl Linear {
    /// The gradient of `x`, added to `sum` where there is one.
    fn backwards(
        &self,
        x: &Tensor,
        grad: &Tensor,
        sum: Option<Tensor>,
        onto: &Gradients,
    ) -> Result<Tensor> {
        if let Some(own) = self.weight.tensor().and_then(|weight| onto.sum(weight)) {
            add_product(own, &self.weight, x, grad)?;
        }
        if let Some(own) = self.bias.as_ref().and_then(|bias| onto.sum(bias)) {
            add_bias(own, grad)?;
        }
        let dx = linear_back(grad, &self.weight)?;
        if let Some(delta) = &self.delta {
            delta.backwards(x, grad, &dx, onto)?;
        }
        match sum {
            Some(sum) => {
                add(&sum, &dx)?;
                Ok(sum)
            }
            None => Ok(dx),
        }
    }
}

impl Delta {
    /// Adds to `dx` what the adapter's part makes of it.
    fn backwards(&self, x: &Tensor, grad: &Tensor, dx: &Tensor, onto: &Gradients) -> Result<()> {
        let grad = (grad * self.scale)?;
        let inner = linear(x, &self.a)?; // [rows, rank]
        let d_inner = linear_back(&grad, &self.b)?;
        let sum_of = |weight: &Weight| weight.tensor().and_then(|weight| onto.sum(weight));
        if let Some(sum) = sum_of(&self.b) {
            add_product(sum, &self.b, &inner, &grad)?;
        }
        if let Some(sum) = sum_of(&self.a) {
            add_product(sum, &self.a, x, &d_inner)?;
        }
        add_scaled(dx, &linear_back(&d_inner, &self.a)?, 1.0)
    }
}
