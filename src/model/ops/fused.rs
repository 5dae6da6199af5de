//! What the fused operations share: which tensors they take, and the way to the numbers behind one.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::lanes::Real;

/// Returns whether the fused operations take this tensor.
pub(super) fn covers(tensor: &Tensor) -> bool {
    tensor.device().is_cpu()
        && matches!(tensor.dtype(), DType::F32 | DType::F64)
        && tensor.is_contiguous()
}

/// The numbers behind a contiguous tensor.
pub(super) fn values<'s, T: Real>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => bail!("a fused operation was given strided values"),
    }
}

/// Hands numbers over to candle.
pub(super) fn stored<T: Real>(values: Vec<T>) -> CpuStorage {
    T::to_cpu_storage_owned(values)
}

/// Lends the numbers of a CPU tensor to `read`, in their order.
pub(crate) fn with_values<T: Real, R>(
    tensor: &Tensor,
    read: impl FnOnce(&[T]) -> Result<R>,
) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read(values(storage, layout)?),
        _ => bail!("a fused operation was given values that are not on the CPU"),
    }
}

/// Lends the numbers of a contiguous CPU tensor to `change`: all that share them see what they become.
pub(crate) fn with_values_mut<T: Real, R>(
    tensor: &Tensor,
    change: impl FnOnce(&mut [T]) -> Result<R>,
) -> Result<R> {
    let lent =
        Lent { change: RefCell::new(Some(change)), returned: RefCell::new(None), of: PhantomData };
    tensor.inplace_op1(&lent)?;
    lent.returned.into_inner().unwrap_or_else(|| bail!("nothing was lent"))
}

struct Lent<T, R, F> {
    change: RefCell<Option<F>>,
    returned: RefCell<Option<Result<R>>>,
    of: PhantomData<T>,
}

impl<T: Real, R, F: FnOnce(&mut [T]) -> Result<R>> InplaceOp1 for Lent<T, R, F> {
    fn name(&self) -> &'static str {
        "lent"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (Some((start, end)), Some(values)) =
            (layout.contiguous_offsets(), T::slice_mut(storage))
        else {
            bail!("values of another type, or strided ones, cannot be changed in place")
        };
        let change = self.change.borrow_mut().take();
        self.returned.replace(change.map(|change| change(&mut values[start..end])));
        Ok(())
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
pub(super) use for_each_real;

/// Rows that one thread takes at a time where there are several.
const ROWS_PER_TASK: usize = 32;

/// Calls `work` with every block of rows of `out` and the range of rows that it holds.
pub(super) fn by_rows<T: Real>(
    out: &mut [T],
    width: usize,
    work: impl Fn(Range<usize>, &mut [T]) + Send + Sync,
) {
    let rows = out.len() / width.max(1);
    if rayon::current_num_threads() == 1 || rows <= ROWS_PER_TASK {
        return work(0..rows, out);
    }
    out.par_chunks_mut(ROWS_PER_TASK * width).enumerate().for_each(|(block, out)| {
        let start = block * ROWS_PER_TASK;
        work(start..start + out.len() / width, out);
    });
}

/// The same of two outputs of one shape.
pub(super) fn by_rows_of_two<T: Real>(
    one: &mut [T],
    two: &mut [T],
    width: usize,
    work: impl Fn(Range<usize>, &mut [T], &mut [T]) + Send + Sync,
) {
    let rows = one.len() / width.max(1);
    if rayon::current_num_threads() == 1 || rows <= ROWS_PER_TASK {
        return work(0..rows, one, two);
    }
    let blocks = one.par_chunks_mut(ROWS_PER_TASK * width);
    blocks.zip(two.par_chunks_mut(ROWS_PER_TASK * width)).enumerate().for_each(
        |(block, (one, two))| {
            let start = block * ROWS_PER_TASK;
            work(start..start + one.len() / width, one, two);
        },
    );
}
