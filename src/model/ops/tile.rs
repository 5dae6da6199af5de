//! Rows times a panel, with the sums in registers: what every product for drawing comes down to.
//!
//! A number of the result is summed along the inputs in their order, each added to the sum before it. So it
//! is the same beside any other rows, in any part of the work, and on any number of threads.

use pulp::Simd;

/// Columns of a panel.
pub(super) const WIDTH: usize = 32;

/// Weights smaller than this are packed as 0: not all of their parts would be normal numbers.
pub(super) const LEAST: f32 = f32::from_bits((127 - 100) << 23);

/// A panel `[inputs, WIDTH]`, in any type that widens to f32.
pub(super) trait Panel: Copy {
    /// Adds `x[r]`·panel to `sums[r]`, `[V·lanes]` = `[WIDTH]` each, in the order of the inputs.
    fn add<S: Simd, const V: usize, const R: usize>(
        self,
        simd: S,
        x: [&[f32]; R],
        sums: [[S::f32s; V]; R],
    ) -> [[S::f32s; V]; R];
}

/// A panel of f32.
#[derive(Clone, Copy)]
pub(super) struct Plain<'p> {
    pub(super) panel: &'p [f32],
    /// What will be read after it: memory is asked for that meanwhile.
    pub(super) next: &'p [f32],
}

impl<'p> Plain<'p> {
    /// A panel whose next one lies behind it, where a processor looks by itself.
    pub(super) const fn of(panel: &'p [f32]) -> Self {
        Self { panel, next: &[] }
    }
}

impl Panel for Plain<'_> {
    #[inline(always)]
    fn add<S: Simd, const V: usize, const R: usize>(
        self,
        simd: S,
        x: [&[f32]; R],
        mut sums: [[S::f32s; V]; R],
    ) -> [[S::f32s; V]; R] {
        let (vectors, _) = S::as_simd_f32s(self.panel);
        let (inputs, _) = vectors.as_chunks::<V>();
        for k in 0..inputs.len().min(x[0].len()) {
            if let Some(next) = self.next.get(k * WIDTH..(k + 1) * WIDTH) {
                fetch(next);
            }
            let panel = inputs[k];
            for r in 0..R {
                let x = simd.splat_f32s(x[r][k]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_e_f32s(x, panel[v], sums[r][v]);
                }
            }
        }
        sums
    }
}

/// Asks for numbers that are read soon.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the hint takes a pointer"))]
#[inline(always)]
fn fetch(numbers: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it changes nothing, and the numbers are there.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(numbers.as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(numbers.as_ptr().wrapping_add(16).cast());
        }
    }
}

/// A panel of bf16: of every two inputs the first in the lower half of a word.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'p>(pub(super) &'p [u32]);

/// The upper of two numbers in a word.
pub(super) const HIGH: u32 = 0xffff_0000;

impl Panel for Pairs<'_> {
    #[inline(always)]
    fn add<S: Simd, const V: usize, const R: usize>(
        self,
        simd: S,
        x: [&[f32]; R],
        mut sums: [[S::f32s; V]; R],
    ) -> [[S::f32s; V]; R] {
        let (vectors, _) = S::as_simd_u32s(self.0);
        let (pairs, _) = vectors.as_chunks::<V>();
        let (half, high) = (simd.splat_u32s(16), simd.splat_u32s(HIGH));
        for k in 0..x[0].len() {
            let pair = pairs[k / 2];
            let mut panel = [simd.splat_f32s(0.0); V];
            for v in 0..V {
                let number = if k % 2 == 0 {
                    simd.wrapping_dyn_shl_u32s(pair[v], half)
                } else {
                    simd.and_u32s(pair[v], high)
                };
                panel[v] = simd.transmute_f32s_u32s(number);
            }
            for r in 0..R {
                let x = simd.splat_f32s(x[r][k]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_e_f32s(x, panel[v], sums[r][v]);
                }
            }
        }
        sums
    }
}

/// Writes the sums of a row over the first `WIDTH` numbers of a slice, or over all that it has.
#[inline(always)]
pub(super) fn store<S: Simd, const V: usize>(sums: [S::f32s; V], to: &mut [f32]) {
    let (vectors, _) = S::as_mut_simd_f32s(to);
    if let Some((whole, _)) = vectors.split_first_chunk_mut::<V>() {
        *whole = sums;
        return;
    }
    let mut room = [0.0; WIDTH];
    store::<S, V>(sums, &mut room);
    let count = to.len();
    to.copy_from_slice(&room[..count]);
}

/// The first `WIDTH` numbers of a slice, or all that it has and zeros.
#[inline(always)]
pub(super) fn load<S: Simd, const V: usize>(from: &[f32]) -> [S::f32s; V] {
    let (vectors, _) = S::as_simd_f32s(from);
    if let Some(whole) = vectors.first_chunk::<V>() {
        return *whole;
    }
    let mut room = [0.0; WIDTH];
    room[..from.len()].copy_from_slice(from);
    load::<S, V>(&room)
}

/// Takes `$rows` in tiles of as many as fit beside a panel in this machine's registers (`$most`): calls
/// `$tile::<R>(first)` for each.
macro_rules! in_tiles {
    ($most:expr, $rows:expr, |$first:ident, $R:ident| $body:expr) => {{
        let (mut $first, rows): (usize, std::ops::Range<usize>) = ($rows.start, $rows);
        super::tile::in_tiles!(@ $most, rows, $first, $R, $body, 12, 6, 3, 1);
    }};
    (@ $most:expr, $rows:ident, $first:ident, $R:ident, $body:expr, $($size:literal),*) => {$(
        if $most >= $size {
            const $R: usize = $size;
            while $rows.end - $first >= $R {
                $body;
                $first += $R;
            }
        }
    )*};
}
pub(super) use in_tiles;

/// Runs `$call` with the numbers of vectors a panel and of rows a tile that fit this machine's registers.
macro_rules! for_registers {
    ($S:ident, $V:ident, $R:ident => $call:expr) => {
        match $S::F32_LANES {
            16 => super::tile::for_registers!(@ 2, 12, $V, $R, $call),
            8 => super::tile::for_registers!(@ 4, 3, $V, $R, $call),
            #[cfg(not(target_arch = "x86_64"))]
            4 => super::tile::for_registers!(@ 8, 3, $V, $R, $call),
            _ => super::tile::for_registers!(@ 32, 1, $V, $R, $call),
        }
    };
    (@ $v:literal, $r:literal, $V:ident, $R:ident, $call:expr) => {{
        const $V: usize = $v;
        const $R: usize = $r;
        $call
    }};
}
pub(super) use for_registers;
