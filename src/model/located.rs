//! A tensor of a file of weights, and where it lies there.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;

use super::error::Error;
use super::mapped::Mapped;

/// How a tensor's numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One by one, as safetensors names it.
    Plain(Dtype),
    /// In blocks that share a scale, along the rows, as GGML names it.
    Blocks(GgmlDType),
}

/// Where a tensor lies.
#[derive(Debug, Clone)]
pub(super) struct Located {
    file: Arc<Mapped>,
    name: String,
    shape: Vec<usize>,
    form: Form,
    range: Range<usize>,
    /// In how many heads the two halves of its rows lie row by row in turns.
    interleaved: Option<usize>,
}

impl Located {
    /// A tensor whose numbers are at `range` of a file: within it, and as many as its shape says.
    pub(super) const fn new(
        file: Arc<Mapped>,
        name: String,
        shape: Vec<usize>,
        form: Form,
        range: Range<usize>,
    ) -> Self {
        Self { file, name, shape, form, range, interleaved: None }
    }

    /// The same, of rows that lie as rotary embeddings over neighbours want them: those of each head's first half
    /// and of its second in turns.
    pub(super) fn interleaved(self, heads: usize) -> Self {
        Self { interleaved: Some(heads), ..self }
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How it is written; `None` where that is number by number.
    pub(super) const fn blocks(&self) -> Option<GgmlDType> {
        match self.form {
            Form::Plain(_) => None,
            Form::Blocks(blocks) => Some(blocks),
        }
    }

    /// Its type, one that is read; f32 where it lies in blocks.
    pub(super) fn dtype(&self) -> Result<DType, Error> {
        match self.form {
            Form::Plain(Dtype::F32) | Form::Blocks(_) => Ok(DType::F32),
            Form::Plain(Dtype::F64) => Ok(DType::F64),
            Form::Plain(Dtype::F16) => Ok(DType::F16),
            Form::Plain(Dtype::BF16) => Ok(DType::BF16),
            Form::Plain(other) => {
                let reason = format!("`{}` is {other:?}: not a type that is read", self.name);
                Err(Error::Weights { path: self.path().to_owned(), reason })
            }
        }
    }

    /// Its bytes as a checkpoint has them, row after row: those of the file itself, but for rows that lie in
    /// another order.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        let bytes = self.file.bytes().get(self.range.clone()).unwrap_or_default();
        match self.interleaved {
            None => Cow::Borrowed(bytes),
            Some(heads) => Cow::Owned(in_halves(bytes, self.shape[0], heads)),
        }
    }

    /// Reads it as it lies, as `dtype`.
    pub(super) fn tensor(&self, dtype: DType, device: &Device) -> Result<Tensor, Error> {
        let bytes = self.bytes();
        let Form::Blocks(blocks) = self.form else {
            let tensor = Tensor::from_raw_buffer(&bytes, self.dtype()?, &self.shape, device)?;
            return Ok(tensor.to_dtype(dtype)?);
        };
        let storage = QStorage::from_data(bytes, &Device::Cpu, blocks)?;
        let tensor = QTensor::new(storage, self.shape.as_slice())?.dequantize(&Device::Cpu)?;
        Ok(tensor.to_dtype(dtype)?.to_device(device)?)
    }
}

/// Rows of which each head's two halves lie in turns, one half after the other.
fn in_halves(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let (row, half) = (bytes.len() / rows.max(1), rows / heads.max(1) / 2);
    let mut ordered = Vec::with_capacity(bytes.len());
    for head in bytes.chunks_exact((2 * half * row).max(1)) {
        for first in 0..2 {
            let rows = (0..half).map(|pair| (2 * pair + first) * row);
            rows.for_each(|at| ordered.extend_from_slice(&head[at..at + row]));
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_lie_in_turns_are_put_one_half_after_the_other() {
        // Two heads of four rows of two bytes.
        let bytes: Vec<u8> = (0..16).collect();
        let ordered = in_halves(&bytes, 8, 2);
        assert_eq!(ordered, [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
    }
}
