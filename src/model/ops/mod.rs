//! The decoder's own operations: each has a backward, and a twin made of candle's plain operations
//! for devices and types that it does not cover.
//!
//! candle's fused `rms_norm`, `rope` and `softmax_last_dim` cut the gradient without a word, and its
//! plain ones pass over memory several times each. These pass once, on CPU, in f32 and f64. All sum
//! in an order that depends on nothing but the row itself, so a row's result is the same to the
//! last bit in every batch, at every place in it, and under every number of threads.

mod attention;
mod lanes;
mod linear;
mod logps;
mod rms_norm;
mod rotary;
mod swiglu;

use std::ops::Range;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, bail};

pub(crate) use attention::{Attend, Row, attention};
pub(crate) use lanes::Real;
pub(crate) use linear::{Weight, linear};
pub(crate) use logps::token_logps;
pub(crate) use rms_norm::rms_norm;
pub(crate) use rotary::rotary;
pub(crate) use swiglu::swiglu;

/// Returns whether the fused operations take this tensor.
fn covers(tensor: &Tensor) -> bool {
    tensor.device().is_cpu()
        && matches!(tensor.dtype(), DType::F32 | DType::F64)
        && tensor.is_contiguous()
}

/// The numbers behind a contiguous tensor.
fn values<'s, T: Real>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => bail!("a fused operation was given strided values"),
    }
}

/// Hands numbers over to candle.
fn stored<T: Real>(values: Vec<T>) -> CpuStorage {
    T::to_cpu_storage_owned(values)
}

/// Lends the numbers of a contiguous CPU tensor to `read`.
fn with_values<T: Real, R>(tensor: &Tensor, read: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read(values(storage, layout)?),
        _ => bail!("a fused operation was given values that are not on the CPU"),
    }
}

/// Runs `$call` with `$T` standing for the type of the numbers.
macro_rules! for_each_real {
    ($dtype:expr, $T:ident => $call:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $call
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $call
            }
            other => candle_core::bail!("the fused operations take f32 and f64, not {other:?}"),
        }
    };
}
use for_each_real;

/// Rows that one thread takes at a time where there are several.
const ROWS_PER_TASK: usize = 32;

/// Calls `work` with every block of rows of `out` and the range of rows that it holds.
fn by_rows<T: Real>(
    out: &mut [T],
    width: usize,
    work: impl Fn(Range<usize>, &mut [T]) + Send + Sync,
) {
    use rayon::prelude::*;
    let rows = out.len() / width.max(1);
    if rayon::current_num_threads() == 1 || rows <= ROWS_PER_TASK {
        return work(0..rows, out);
    }
    out.par_chunks_mut(ROWS_PER_TASK * width).enumerate().for_each(|(block, out)| {
        let start = block * ROWS_PER_TASK;
        work(start..start + out.len() / width, out);
    });
}
