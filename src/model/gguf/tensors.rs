//! Where the tensors of a GGUF file are, by the names that a checkpoint of Hugging Face has for them.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::TensorInfo;
use safetensors::Dtype;

use super::metadata::Gguf;
use crate::model::error::Error;
use crate::model::located::{Form, Located};

/// What Llama 3.1 divides its rotary frequencies by: part of what is computed, not of what is learned.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The blocks of a layer, by their names there and here.
const BLOCKS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

impl Gguf {
    /// Finds every tensor. One whose name says nothing keeps it.
    ///
    /// # Errors
    /// Where one ends past the file, or is not of whole blocks.
    pub(in crate::model) fn places(&self) -> Result<BTreeMap<String, Located>, Error> {
        let mut places = BTreeMap::new();
        for (name, info) in &self.content.tensor_infos {
            if name == ROPE_FACTORS {
                continue;
            }
            let place = self.place(name, info)?;
            let named = renamed(name).unwrap_or_else(|| name.clone());
            places.insert(named, place);
        }
        Ok(places)
    }

    /// The numbers of a small tensor, where there is one.
    pub(super) fn numbers(&self, name: &str) -> Result<Option<Vec<f32>>, Error> {
        let Some(info) = self.content.tensor_infos.get(name) else { return Ok(None) };
        let place = self.place(name, info)?;
        let tensor = place.tensor(candle_core::DType::F32, &candle_core::Device::Cpu)?;
        Ok(Some(tensor.flatten_all()?.to_vec1()?))
    }

    fn place(&self, name: &str, info: &TensorInfo) -> Result<Located, Error> {
        let range = self.range(info).map_err(|reason| Error::Weights {
            path: self.file.path().to_owned(),
            reason: format!("`{name}` {reason}"),
        })?;
        let (shape, form) = (info.shape.dims().to_vec(), form_of(info.ggml_dtype));
        let place = Located::new(self.file.clone(), name.to_owned(), shape, form, range);
        Ok(match self.heads_in_turns(name)? {
            Some(heads) => place.interleaved(heads),
            None => place,
        })
    }

    /// Where its bytes are.
    fn range(&self, info: &TensorInfo) -> Result<Range<usize>, String> {
        let (dims, blocks) = (info.shape.dims(), info.ggml_dtype);
        let (row, block) = (dims.last().copied().unwrap_or(1), blocks.block_size());
        if !row.is_multiple_of(block) {
            return Err(format!("has rows of {row} in blocks of {block}"));
        }
        let count = dims.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        let bytes = count.and_then(|count| (count / block).checked_mul(blocks.type_size()));
        let start = self.content.tensor_data_offset.checked_add(info.offset);
        let start = start.and_then(|start| usize::try_from(start).ok());
        let length = self.file.bytes().len();
        let end = start.zip(bytes).and_then(|(start, bytes)| start.checked_add(bytes));
        match start.zip(end) {
            Some((start, end)) if end <= length && start.is_multiple_of(8) => Ok(start..end),
            Some((start, end)) if end <= length => Err(format!("is at {start}, between words")),
            Some((_, end)) => Err(format!("ends at byte {end}, the file at {length}")),
            None => Err(format!("does not end within the {length} bytes of the file")),
        }
    }

    /// In how many heads llama.cpp turned the rows of a tensor about, where it did: those of queries and keys,
    /// where its rotary embedding is over neighbours.
    fn heads_in_turns(&self, name: &str) -> Result<Option<usize>, Error> {
        if self.architecture()? != "llama" || !name.starts_with("blk.") {
            return Ok(None);
        }
        match name.split('.').nth(2) {
            Some("attn_q") => Ok(Some(self.heads()?)),
            Some("attn_k") => Ok(Some(self.kv_heads()?)),
            _ => Ok(None),
        }
    }
}

/// Numbers that stand by themselves are no blocks.
const fn form_of(kind: GgmlDType) -> Form {
    match kind {
        GgmlDType::F32 => Form::Plain(Dtype::F32),
        GgmlDType::F16 => Form::Plain(Dtype::F16),
        GgmlDType::BF16 => Form::Plain(Dtype::BF16),
        blocks => Form::Blocks(blocks),
    }
}

/// `blk.3.attn_q.weight` as `model.layers.3.self_attn.q_proj.weight`.
fn renamed(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".to_owned()),
        "output_norm.weight" => return Some("model.norm.weight".to_owned()),
        "output.weight" => return Some("lm_head.weight".to_owned()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (block, part) = rest.split_once('.')?;
    let (_, block) = BLOCKS.into_iter().find(|(there, _)| *there == block)?;
    Some(format!("model.layers.{layer}.{block}.{part}"))
}
