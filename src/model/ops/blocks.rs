//! A projection in blocks that share a scale, as GGUF files have them: kept so in memory, and widened to f32 a
//! panel at a time.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QuantizedType};
use candle_core::{CpuStorage, Result, bail};

use super::tile::WIDTH;

/// Inputs that are turned about at a time: as many as stay in the nearest cache.
const TURNED_AT_A_TIME: usize = 32;

/// A projection `[outputs, inputs]`, the blocks of `WIDTH` outputs a panel.
pub(super) struct Blocks {
    panels: Vec<Box<dyn QuantizedType>>,
    kind: GgmlDType,
    inputs: usize,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} panels of {:?}", self.panels.len(), self.kind)
    }
}

impl Blocks {
    /// Takes rows of `inputs` numbers each, as they lie in a file.
    pub(super) fn of(kind: GgmlDType, bytes: &[u8], inputs: usize) -> Result<Self> {
        let row = inputs / kind.block_size() * kind.type_size();
        if row == 0 || !inputs.is_multiple_of(kind.block_size()) || !bytes.len().is_multiple_of(row)
        {
            bail!("{} bytes of {kind:?} are not rows of {inputs} numbers", bytes.len());
        }
        let panels = bytes.chunks(row * WIDTH).map(|rows| kind.from_data(Cow::Borrowed(rows)));
        Ok(Self { panels: panels.collect(), kind, inputs })
    }

    /// The rows of a panel in f32, one after the other.
    fn rows_of(&self, panel: usize) -> Vec<f32> {
        let panel = &self.panels[panel];
        let blocks = panel.storage_size_in_bytes() / self.kind.type_size();
        match panel.dequantize(blocks * self.kind.block_size()) {
            Ok(CpuStorage::F32(rows)) => rows,
            other => unreachable!("blocks in memory are widened to f32, not to {other:?}"),
        }
    }

    /// Writes a panel as `[inputs, WIDTH]` over `wide`.
    pub(super) fn widen(&self, panel: usize, wide: &mut [f32]) {
        let rows = self.rows_of(panel);
        for (nth, wide) in wide.chunks_mut(TURNED_AT_A_TIME * WIDTH).enumerate() {
            for (lane, row) in rows.chunks_exact(self.inputs).enumerate() {
                let row = &row[nth * TURNED_AT_A_TIME..];
                for (lanes, number) in wide.chunks_exact_mut(WIDTH).zip(row) {
                    lanes[lane] = *number;
                }
            }
        }
    }

    /// One row in f32.
    pub(super) fn row(&self, row: usize) -> Vec<f32> {
        let rows = self.rows_of(row / WIDTH);
        rows[row % WIDTH * self.inputs..][..self.inputs].to_vec()
    }
}
