//! Loops over numbers that the compiler turns into the widest vectors that the machine has. Each
//! sums in an order that is fixed by the length alone.

use candle_core::{CpuStorage, WithDType};
use num_traits::Float;

/// Numbers that are summed side by side.
const LANES: usize = 16;

/// A type that the fused operations compute in.
pub(crate) trait Real: WithDType + Float {
    /// e to this power, within two units in the last place; 0 far below.
    fn exponential(self) -> Self;

    /// The numbers of a storage of this type, to be changed.
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

impl Real for f32 {
    /// Cephes' `expf`, without a branch: 2^n by its bits, the rest by a polynomial.
    #[inline(always)]
    #[expect(clippy::many_single_char_names, reason = "x = n·ln 2 + r, e^r = 1 + r + r²·p")]
    fn exponential(self) -> Self {
        const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it leaves the nearest integer
        let x = if self < -87.3 { -87.3 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(-0.693_359_4, x);
        let r = n.mul_add(2.121_944_4e-4, r);
        let p = 1.987_569_1e-4_f32
            .mul_add(r, 1.398_199_9e-3)
            .mul_add(r, 8.333_452e-3)
            .mul_add(r, 4.166_579_6e-2)
            .mul_add(r, 1.666_666_5e-1)
            .mul_add(r, 0.5);
        let e = (r * r).mul_add(p, r) + 1.0;
        let power = Self::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
        if self < -87.3 { 0.0 } else { e * power }
    }

    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        if let CpuStorage::F32(values) = storage { Some(values) } else { None }
    }
}

impl Real for f64 {
    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }

    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        if let CpuStorage::F64(values) = storage { Some(values) } else { None }
    }
}

/// Runs `work` compiled for this machine's vectors. What is called in it must be inlined into it,
/// closures marked so, too, or it is compiled for any machine's.
#[inline]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Σ aᵢ·bᵢ.
#[inline(always)]
pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] = a[lane].mul_add(b[lane], sums[lane]);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] = a.mul_add(*b, sums[lane]);
    }
    fold(sums, |a, b| a + b)
}

/// Σ f(aᵢ), and aᵢ becomes f(aᵢ).
#[inline(always)]
pub(super) fn map_sum<T: Real>(a: &mut [T], f: impl Fn(T) -> T) -> T {
    let mut sums = [T::zero(); LANES];
    let (lanes, rest) = a.as_chunks_mut::<LANES>();
    for a in lanes {
        for lane in 0..LANES {
            a[lane] = f(a[lane]);
            sums[lane] += a[lane];
        }
    }
    for (lane, a) in rest.iter_mut().enumerate() {
        *a = f(*a);
        sums[lane] += *a;
    }
    fold(sums, |a, b| a + b)
}

/// The largest; a NaN anywhere makes a NaN of every sum that this is subtracted in.
#[inline(always)]
pub(super) fn largest<T: Real>(a: &[T]) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let mut most = [T::neg_infinity(); LANES];
    let (lanes, rest) = a.as_chunks::<LANES>();
    for a in lanes {
        for lane in 0..LANES {
            most[lane] = larger(most[lane], a[lane]);
        }
    }
    for (lane, a) in rest.iter().enumerate() {
        most[lane] = larger(most[lane], *a);
    }
    fold(most, larger)
}

/// out += x·a.
#[inline(always)]
pub(super) fn add_scaled<T: Real>(out: &mut [T], x: T, a: &[T]) {
    for (out, a) in out.iter_mut().zip(a) {
        *out = x.mul_add(*a, *out);
    }
}

#[inline(always)]
fn fold<T: Real>(mut lanes: [T; LANES], f: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = f(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact")]
    fn the_exponential_is_within_two_units_in_the_last_place() {
        let mut worst: f64 = 0.0;
        for step in -870_000..880_000 {
            let x = step as f32 / 10_000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(x.exponential()) - exact).abs() / exact);
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "relative error {worst:e}");
        assert_eq!(f32::NEG_INFINITY.exponential(), 0.0);
        assert_eq!(0f32.exponential(), 1.0);
        assert!(f32::NAN.exponential().is_nan());
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the largest is one of them")]
    fn sums_are_those_of_the_plain_loops() {
        for length in 0..70 {
            let a: Vec<f64> = (0..length).map(|i| f64::from(i) * 0.5 - 3.0).collect();
            let b: Vec<f64> = (0..length).map(|i| f64::from(i % 7)).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((dot(&a, &b) - plain).abs() < 1e-9);
            let most = a.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(largest(&a), most);
            let mut doubled = a.clone();
            let sum = map_sum(&mut doubled, |a| 2.0 * a);
            assert!((sum - 2.0 * a.iter().sum::<f64>()).abs() < 1e-9);
        }
    }
}
