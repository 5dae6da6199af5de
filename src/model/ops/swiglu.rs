//! silu(gate) · up, silu(g) = g / (1 + e^−g) (Shazeer, 2020).

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::back::{both, plain_back};
use super::fused::{by_rows, by_rows_of_two, covers, for_each_real, stored, values, with_values};
use super::lanes::{Real, vectorised};
use super::plain;

/// silu(`gate`)·`up`, number by number; both of one shape.
pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if covers(gate) && covers(up) && gate.shape() == up.shape() {
        gate.apply_op2(up, SwiGlu)
    } else {
        plain::swiglu(gate, up)
    }
}

/// The gradients of `gate` and of `up`.
pub(crate) fn swiglu_back(gate: &Tensor, up: &Tensor, grad: &Tensor) -> Result<[Tensor; 2]> {
    if [gate, up, grad].into_iter().all(covers) {
        let (d_gate, d_up) = SwiGlu.bwd(gate, up, gate, grad)?;
        both(d_gate, d_up)
    } else {
        plain_back([gate, up], grad, |[gate, up]| swiglu(gate, up))
    }
}

struct SwiGlu;

/// Numbers in a "row": any length does, for no sum crosses them.
const WIDTH: usize = 64;

fn forward<T: Real>(gate: &[T], up: &[T]) -> Vec<T> {
    let mut y = vec![T::zero(); gate.len()];
    by_rows(&mut y, WIDTH, |rows, y| {
        let from = rows.start * WIDTH;
        let (gate, up) = (&gate[from..from + y.len()], &up[from..from + y.len()]);
        vectorised(
            #[inline(always)]
            || {
                for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
                    *y = *g * *u / (T::one() + (-*g).exponential());
                }
            },
        );
    });
    y
}

/// With σ = 1 / (1 + e^−g): d up = grad·g·σ, d gate = grad·up·σ·(1 + g·(1 − σ)).
fn backward<T: Real>(gate: &[T], up: &[T], grad: &[T]) -> (Vec<T>, Vec<T>) {
    let mut d_gate = vec![T::zero(); gate.len()];
    let mut d_up = vec![T::zero(); gate.len()];
    by_rows_of_two(&mut d_gate, &mut d_up, WIDTH, |rows, d_gate, d_up| {
        let own = rows.start * WIDTH..rows.start * WIDTH + d_gate.len();
        let (gate, up, grad) = (&gate[own.clone()], &up[own.clone()], &grad[own]);
        vectorised(
            #[inline(always)]
            || {
                let given = gate.iter().zip(up).zip(grad);
                for (((g, u), grad), (dg, du)) in given.zip(d_gate.iter_mut().zip(d_up)) {
                    let sigma = (T::one() + (-*g).exponential()).recip();
                    let silu = *g * sigma;
                    *du = *grad * silu;
                    *dg = *grad * *u * (sigma + silu * (T::one() - sigma));
                }
            },
        );
    });
    (d_gate, d_up)
}

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_each_real!(gate.dtype(), T => {
            let y = forward::<T>(values(gate, gate_layout)?, values(up, up_layout)?);
            Ok((stored(y), gate_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        for_each_real!(gate.dtype(), T => {
            let (d_gate, d_up) = with_values::<T, _>(gate, |gate| {
                with_values::<T, _>(up, |up| {
                    with_values::<T, _>(grad, |grad| Ok(backward(gate, up, grad)))
                })
            })?;
            let d_gate = Tensor::from_vec(d_gate, gate.shape(), gate.device())?;
            let d_up = Tensor::from_vec(d_up, gate.shape(), gate.device())?;
            Ok((Some(d_gate), Some(d_up)))
        })
    }
}
