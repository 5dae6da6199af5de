//! Which weights a network has, and how each lies in a checkpoint and here.
//!
//! A projection lies `[outputs, inputs]` in a checkpoint and `[inputs, outputs]` here, so that a few
//! rows run through it as it lies. It is transposed on the way in and on the way out.

use candle_core::Tensor;

use super::config::Config;

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

impl Kind {
    /// From the checkpoint's order to ours, and back: the same move.
    pub(super) fn transposed(self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Projection => tensor.t()?.contiguous(),
            Self::Table | Self::Scale | Self::Bias => Ok(tensor.clone()),
        }
    }
}
