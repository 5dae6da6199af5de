//! The decoder's own operations: each has a backward, and a twin made of candle's plain operations
//! for devices and types that it does not cover.
//!
//! candle's fused `rms_norm`, `rope` and `softmax_last_dim` cut the gradient without a word, and its
//! plain ones pass over memory several times each. These pass once, on CPU, in f32 and f64. All sum
//! in an order that depends on nothing but the row itself, so a row's result is the same to the
//! last bit in every batch, at every place in it, and under every number of threads.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined into a vectorised loop is compiled for any machine"
)]

mod attend_blocks;
mod attention;
mod back;
mod blocks;
mod fused;
mod lanes;
mod linear;
mod logps;
mod packed;
mod paged;
mod plain;
mod rms_norm;
mod rotary;
mod rows;
mod shares;
mod swiglu;
mod tile;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod units;
mod weigh;

pub(crate) use attend_blocks::attention_in_blocks;
pub(crate) use attention::{Attend, Row, Rows, attention, attention_back};
pub(crate) use back::{add, add_bias, add_product, add_rows, add_scaled, clear};
pub(crate) use fused::{with_values, with_values_mut};
pub(crate) use lanes::vectorised;
pub(crate) use linear::{Weight, linear, linear_back, linears};
pub(crate) use logps::{token_logps, token_logps_back};
pub(crate) use packed::Packed;
pub(crate) use paged::{Attention, BLOCK, Heads, Placed};
pub(crate) use plain::wide;
pub(crate) use rms_norm::{rms_norm, rms_norm_back};
pub(crate) use rotary::{rotary, rotary_back};
pub(crate) use swiglu::{swiglu, swiglu_back};
pub(crate) use weigh::{OnDevice, STRETCH, Stretches, Weighed, exp_sum};

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use candle_core::{DType, Device, Result, Tensor, Var};

    use super::fused::covers;
    use super::*;

    fn numbers(rows: usize, columns: usize, seed: usize) -> Var {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f64 / 700.0 - 1.4;
        let numbers: Vec<f64> = (0..rows * columns).map(number).collect();
        Var::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap()
    }

    /// The same numbers, strided: the fused operations do not take them.
    fn strided(var: &Var) -> Tensor {
        let transposed = var.t().unwrap().contiguous().unwrap().t().unwrap();
        assert!(!covers(&transposed));
        transposed
    }

    /// Compares values and gradients of the fused operation with those of candle's plain ones.
    fn compare(name: &str, vars: &[Var], run: impl Fn(&[Tensor]) -> Result<Tensor>) {
        let fused: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let plain: Vec<Tensor> = vars.iter().map(strided).collect();
        let results = [run(&fused).unwrap(), run(&plain).unwrap()];
        let scale = numbers(results[0].elem_count(), 1, 9).flatten_all().unwrap();
        let gradients = results.clone().map(|result| {
            let loss = (result.flatten_all().unwrap() * &scale).unwrap().sum_all().unwrap();
            loss.backward().unwrap()
        });
        close(name, &results[0], &results[1]);
        for var in vars {
            let [fused, plain] = &gradients;
            close(name, fused.get(var).unwrap(), plain.get(var).unwrap());
        }
    }

    fn close(name: &str, a: &Tensor, b: &Tensor) {
        assert_eq!(a.dims(), b.dims(), "{name}");
        let [a, b] = [a, b].map(|x| x.flatten_all().unwrap().to_vec1::<f64>().unwrap());
        let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "{name}: {worst}");
    }

    #[test]
    fn fused_operations_are_candles_plain_ones_with_their_gradients() {
        compare("rms-norm", &[numbers(5, 24, 1)], |x| {
            rms_norm(&x[0], &Tensor::ones(24, DType::F64, &Device::Cpu)?, 1e-5)
        });
        compare("swiglu", &[numbers(5, 24, 1), numbers(5, 24, 2)], |x| swiglu(&x[0], &x[1]));
        compare("logps", &[numbers(5, 24, 1)], |x| token_logps(&x[0], &[0, 23, 5, 5, 7]));
        compare("linear", &[numbers(5, 24, 1), numbers(24, 6, 2)], |x| {
            linear(&x[0], &Weight::InOut(x[1].clone()))
        });
        compare("linear, transposed", &[numbers(5, 24, 1), numbers(6, 24, 2)], |x| {
            linear(&x[0], &Weight::OutIn(x[1].clone()))
        });
        let angles = numbers(5, 4, 3).as_detached_tensor();
        compare("rotary", &[numbers(5, 24, 1)], |x| rotary(&x[0], &angles.cos()?, &angles.sin()?));
    }

    #[test]
    fn fused_attention_is_the_plain_one_with_its_gradients() {
        // Two sequences, the second with a continuation of its own and one that shares its start.
        let row =
            |queries: Range<usize>, keys: &[Range<usize>]| Row { queries, keys: keys.to_vec() };
        let own = |queries: Range<usize>| row(queries.clone(), std::slice::from_ref(&queries));
        let rows = [
            own(0..4),
            own(4..9),
            row(9..11, &[4..9, 9..11]),
            row(11..14, &[4..7, 11..14]),
            row(14..15, &[4..9, 14..15]),
            row(15..16, &[0..2, 15..16]),
        ];
        for window in [None, Some(3)] {
            for kv_heads in [1, 2, 4] {
                let how =
                    Attend { rows: rows.to_vec().into(), heads: 4, kv_heads, head_dim: 6, window };
                let vars = [
                    numbers(16, 24, 1),
                    numbers(16, 6 * kv_heads, 2),
                    numbers(16, 6 * kv_heads, 3),
                ];
                let name = format!("{kv_heads} heads of keys, {window:?}");
                compare(&name, &vars, |x| attention(&x[0], &x[1], &x[2], &how));
            }
        }
    }

    /// What numbers of 16 bits come to, beside what the same numbers come to in f64.
    fn halved(name: &str, inputs: &[Var], run: impl Fn(&[Tensor]) -> Result<Tensor>) {
        let half: Vec<Tensor> = inputs.iter().map(|x| x.to_dtype(DType::F16).unwrap()).collect();
        let exact: Vec<Tensor> = half.iter().map(|x| x.to_dtype(DType::F64).unwrap()).collect();
        let [half, exact] = [half, exact].map(|inputs| {
            let y = run(&inputs).unwrap().to_dtype(DType::F64).unwrap();
            y.flatten_all().unwrap().to_vec1::<f64>().unwrap()
        });
        // A number is rounded once or twice on its way out, and the sum of a row in f32 is not.
        let most = exact.iter().fold(0.0_f64, |most, y| most.max(y.abs()));
        for (half, exact) in half.iter().zip(&exact) {
            assert!((half - exact).abs() < 2e-3 * most.max(1.0), "{name}: {half} and {exact}");
        }
    }

    #[test]
    fn operations_on_16_bits_sum_in_32() {
        halved("swiglu", &[numbers(5, 24, 1), numbers(5, 24, 2)], |x| swiglu(&x[0], &x[1]));
        halved("logps", &[numbers(3, 3000, 1)], |x| token_logps(&x[0], &[0, 23, 2999]));
        let angles = numbers(5, 4, 3).as_detached_tensor();
        let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
        halved("rotary", &[numbers(5, 24, 1)], |x| {
            let wide = if x[0].dtype() == DType::F64 { DType::F64 } else { DType::F32 };
            rotary(&x[0], &cos.to_dtype(wide)?, &sin.to_dtype(wide)?)
        });
        let scale = Tensor::ones(24, DType::F64, &Device::Cpu).unwrap();
        halved("rms-norm", &[numbers(5, 24, 1)], |x| {
            rms_norm(&x[0], &scale.to_dtype(x[0].dtype())?, 1e-5)
        });
        let row = |queries: Range<usize>, keys: Range<usize>| Row { queries, keys: vec![keys] };
        let keys = 700;
        let rows = vec![row(0..5, 0..keys), row(5..6, 0..keys), row(6..7, 3..9)];
        let how = Attend { rows: rows.into(), heads: 4, kv_heads: 2, head_dim: 6, window: None };
        let inputs = [numbers(7, 24, 1), numbers(keys, 12, 2), numbers(keys, 12, 3)];
        halved("attention", &inputs, |x| attention(&x[0], &x[1], &x[2], &how));
        // More equal shares than the largest number of 16 bits.
        let zeros = Tensor::zeros((1, 70_000), DType::F16, &Device::Cpu).unwrap();
        let logp = token_logps(&zeros, &[7]).unwrap().to_vec1::<f32>().unwrap()[0];
        assert!((logp + 70_000_f32.ln()).abs() < 1e-4, "{logp}");
    }

    #[test]
    fn attention_block_by_block_is_the_same_over_many_blocks() {
        let row =
            |queries: Range<usize>, keys: &[Range<usize>]| Row { queries, keys: keys.to_vec() };
        let first = 0..700;
        let rows = [
            row(first.clone(), std::slice::from_ref(&first)),
            row(700..1000, &[0..700, 700..1000]),
        ];
        for window in [None, Some(300)] {
            let how =
                Attend { rows: rows.to_vec().into(), heads: 4, kv_heads: 2, head_dim: 4, window };
            let vars = [numbers(1000, 16, 1), numbers(1000, 8, 2), numbers(1000, 8, 3)];
            let [q, k, v] = vars.each_ref().map(Var::as_tensor);
            let in_blocks = attention_in_blocks([q, k, v], &how).unwrap();
            close("in blocks", &in_blocks, &attention(q, k, v, &how).unwrap());
            compare("back", &vars, |x| attention(&x[0], &x[1], &x[2], &how));
        }
    }
}
