//! x·W, and the one place that calls `gemm` itself.
//!
//! candle's `matmul` asks the operating system for the number of cores on every call, and lets
//! `gemm` pick other kernels, which sum in another order, for a few rows. Here the thread pool
//! that the caller runs in decides, and a row's result does not depend on the rows beside it.

#![expect(unsafe_code, reason = "gemm takes pointers; `product` holds them to their slices")]

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;

use super::fused::{covers, for_each_real, stored, values, with_values};
use super::lanes::Real;
use super::packed::{Packed, packed_linears};

/// A matrix to multiply rows by, and which way it lies.
#[derive(Debug, Clone)]
pub(crate) enum Weight {
    /// `[inputs, outputs]`: a few rows run through it without copying it about first.
    InOut(Tensor),
    /// `[outputs, inputs]`: an embedding that is the head, too.
    OutIn(Tensor),
    /// Packed for drawing. It has no gradient.
    Packed(Arc<Packed>),
}

impl Weight {
    /// Its numbers, where they may have a gradient.
    pub(crate) const fn tensor(&self) -> Option<&Tensor> {
        match self {
            Self::InOut(w) | Self::OutIn(w) => Some(w),
            Self::Packed(_) => None,
        }
    }
}

/// `grad` `[rows, outputs]` times the transpose of `weight`, `[rows, inputs]`: the gradient of x in x·W.
pub(crate) fn linear_back(grad: &Tensor, weight: &Weight) -> Result<Tensor> {
    match weight {
        Weight::InOut(w) => linear(grad, &Weight::OutIn(w.clone())),
        Weight::OutIn(w) => linear(grad, &Weight::InOut(w.clone())),
        Weight::Packed(_) => bail!("a weight that is packed for drawing has no gradient"),
    }
}

/// `x` `[rows, inputs]` times `weight`: `[rows, outputs]`.
pub(crate) fn linear(x: &Tensor, weight: &Weight) -> Result<Tensor> {
    let (w, out_in) = match weight {
        Weight::InOut(w) => (w, false),
        Weight::OutIn(w) => (w, true),
        Weight::Packed(packed) => {
            let mut all = packed_linears(x, std::slice::from_ref(packed))?;
            return all.pop().ok_or_else(|| candle_core::Error::msg("a product has a result"));
        }
    };
    if covers(x) && covers(w) && x.dtype() == w.dtype() {
        x.apply_op2(w, Linear { out_in })
    } else if out_in {
        x.matmul(&w.t()?)
    } else {
        x.matmul(w)
    }
}

/// `x` times each of some weights.
pub(crate) fn linears(x: &Tensor, weights: &[&Weight]) -> Result<Vec<Tensor>> {
    let packed = |weight: &&Weight| match weight {
        Weight::Packed(packed) => Some(Arc::clone(packed)),
        Weight::InOut(_) | Weight::OutIn(_) => None,
    };
    match weights.iter().map(packed).collect::<Option<Vec<_>>>() {
        Some(packed) => packed_linears(x, &packed),
        None => weights.iter().map(|weight| linear(x, weight)).collect(),
    }
}

struct Linear {
    out_in: bool,
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, inputs), (w_rows, w_columns)) =
            (x_layout.shape().dims2()?, w_layout.shape().dims2()?);
        let (expected, outputs) =
            if self.out_in { (w_columns, w_rows) } else { (w_rows, w_columns) };
        if inputs != expected {
            bail!("{rows} rows of {inputs} do not fit a weight of {expected} inputs");
        }
        for_each_real!(x.dtype(), T => {
            let x = Matrix::of(values::<T>(x, x_layout)?, rows, inputs);
            let w = Matrix::of(values::<T>(w, w_layout)?, w_rows, w_columns);
            let y = product(x, if self.out_in { w.transposed() } else { w });
            Ok((stored(y), Shape::from((rows, outputs))))
        })
    }

    /// dx = g·Wᵀ, dW = xᵀ·g.
    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((rows, inputs), outputs) = (x.dims2()?, y.dim(1)?);
        let (w_rows, w_columns) = w.dims2()?;
        for_each_real!(x.dtype(), T => {
            let (dx, dw) = with_values::<T, _>(x, |x| {
                with_values::<T, _>(w, |w| {
                    with_values::<T, _>(grad, |grad| {
                        let x = Matrix::of(x, rows, inputs);
                        let w = Matrix::of(w, w_rows, w_columns);
                        let grad = Matrix::of(grad, rows, outputs);
                        Ok(if self.out_in {
                            (product(grad, w), product(grad.transposed(), x))
                        } else {
                            (product(grad, w.transposed()), product(x.transposed(), grad))
                        })
                    })
                })
            })?;
            let dx = Tensor::from_vec(dx, (rows, inputs), x.device())?;
            let dw = Tensor::from_vec(dw, (w_rows, w_columns), x.device())?;
            Ok((Some(dx), Some(dw)))
        })
    }
}

/// Numbers in row order, or (`transposed`) in column order.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'v, T> {
    values: &'v [T],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'v, T> Matrix<'v, T> {
    pub(super) fn of(values: &'v [T], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix and its numbers");
        Self { values, rows, columns, transposed: false }
    }

    pub(super) const fn transposed(self) -> Self {
        let Self { values, rows, columns, transposed } = self;
        Self { values, rows: columns, columns: rows, transposed: !transposed }
    }

    /// Steps from row to row, and from column to column.
    const fn strides(&self) -> (isize, isize) {
        if self.transposed { (1, self.rows.cast_signed()) } else { (self.columns.cast_signed(), 1) }
    }
}

/// a·b, in row order. Each number is summed along the inner dimension in one order, however many
/// rows there are: rows of zeros stand in where `gemm` would take a kernel of its own for few.
fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Vec<T> {
    assert_eq!(a.columns, b.rows, "the inner dimensions of a product");
    let least = fewest_rows(&b);
    if a.rows >= least || a.transposed {
        return multiply(a, b);
    }
    let mut padded = a.values.to_vec();
    padded.resize(least * a.columns, T::zero());
    let mut y = multiply(Matrix::of(&padded, least, a.columns), b);
    y.truncate(a.rows * b.columns);
    y
}

/// From this many rows on, `gemm` 0.19 sums every product with `b` in the same order: below, it has
/// kernels for a single row, for at most 16×16 numbers of result where both sides lie along the
/// inner dimension, and another split of inner dimensions over 512 where nothing exceeds 64.
fn fewest_rows<T>(b: &Matrix<'_, T>) -> usize {
    let small = if b.transposed { 256 / b.columns.max(1) + 1 } else { 0 };
    let split = if b.rows > 512 && b.columns <= 64 { 65 } else { 0 };
    small.max(split).max(2)
}

fn multiply<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Vec<T> {
    let mut y = vec![T::zero(); a.rows * b.columns];
    let threads = match rayon::current_num_threads() {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    multiply_onto(&mut y, Onto::Nothing, a, b, threads);
    y
}

/// What a product is written onto.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Onto {
    /// Whatever is there is forgotten.
    Nothing,
    /// The product is added to what is there.
    Sum,
}

/// Writes a·b in row order.
#[expect(clippy::many_single_char_names, reason = "the names that every gemm gives its matrices")]
pub(super) fn multiply_onto<T: Real>(
    y: &mut [T],
    onto: Onto,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    threads: Parallelism,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!((k, y.len()), (b.rows, m * n), "the shapes of a product");
    let ((a_rows, a_columns), (b_rows, b_columns)) = (a.strides(), b.strides());
    // SAFETY: `Matrix::of` checked that `a` holds m·k numbers and `b` k·n (the k are one), and
    // `strides` spans exactly those; `y` holds m·n, is written in row order, and is borrowed by
    // nobody else. gemm reads and writes within these shapes alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            y.as_mut_ptr(),
            1,
            n.cast_signed(),
            onto == Onto::Sum,
            a.values.as_ptr(),
            a_columns,
            a_rows,
            b.values.as_ptr(),
            b_columns,
            b_rows,
            T::one(),
            T::one(),
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0;
        (0..count).map(number).collect()
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        for (inputs, outputs) in [(8, 3), (32, 16), (96, 64), (600, 48), (1200, 200), (768, 64)] {
            for transposed in [false, true] {
                let w = numbers(inputs * outputs, 1);
                let w = if transposed {
                    Matrix::of(&w, outputs, inputs).transposed()
                } else {
                    Matrix::of(&w, inputs, outputs)
                };
                let x = numbers(130 * inputs, 2);
                let all = product(Matrix::of(&x, 130, inputs), w);
                for rows in [1, 2, 3, 5, 17, 64, 65, 100] {
                    for first in [0, 30] {
                        let some = &x[first * inputs..(first + rows) * inputs];
                        let some = product(Matrix::of(some, rows, inputs), w);
                        let same = &all[first * outputs..(first + rows) * outputs];
                        let at = format!("{inputs}×{outputs}, {rows} rows from {first}");
                        assert_eq!(some, same, "{at}, transposed: {transposed}");
                    }
                }
            }
        }
    }

    #[test]
    fn products_are_those_of_the_plain_loops() {
        let (a, b) = (numbers(5 * 7, 3), numbers(7 * 4, 4));
        let y = product(Matrix::of(&a, 5, 7), Matrix::of(&b, 7, 4));
        for row in 0..5 {
            for column in 0..4 {
                let exact: f32 = (0..7).map(|i| a[row * 7 + i] * b[i * 4 + column]).sum();
                assert!((y[row * 4 + column] - exact).abs() < 1e-5);
            }
        }
        let transposed =
            product(Matrix::of(&b, 7, 4).transposed(), Matrix::of(&a, 5, 7).transposed());
        for row in 0..5 {
            for column in 0..4 {
                assert!((transposed[column * 5 + row] - y[row * 4 + column]).abs() < 1e-5);
            }
        }
    }
}
