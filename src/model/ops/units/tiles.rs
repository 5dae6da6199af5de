//! Numbers of f32 as sums of three of bf16: a number of f32 has 24 bits and one of bf16 eight, so that x = h + m + l
//! exactly, each the nearest to what the ones before leave. What is not finite comes out as NaN.

#![expect(unsafe_code, reason = "loads and stores of vectors take pointers")]

use std::arch::x86_64::{
    __m512, __m512i, _CMP_NLT_UQ, _mm512_abs_ps, _mm512_add_epi32, _mm512_and_si512,
    _mm512_castps_si512, _mm512_castsi256_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cvtepi32_epi16, _mm512_inserti64x4, _mm512_maskz_loadu_ps, _mm512_maskz_mov_ps,
    _mm512_or_si512, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_srli_epi32,
    _mm512_storeu_si512, _mm512_sub_ps,
};

use super::super::tile::{HIGH, LEAST, WIDTH};

/// Rows, or columns, that lie in one tile.
pub(super) const LANES: usize = 16;

/// Numbers along the sum that lie in one tile.
pub(super) const DEPTH: usize = 32;

/// Parts that a number of f32 is split into.
pub(super) const PARTS: usize = 3;

/// What a unit loads at once: `LANES` × `DEPTH` numbers of bf16, two to a word, the first in its lower half. Rows
/// lie lane by lane, `[LANES, DEPTH / 2]`, and columns depth by depth, `[DEPTH / 2, LANES]`.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Tile([[u32; LANES]; DEPTH / 2]);

impl Tile {
    pub(super) const ZERO: Self = Self([[0; LANES]; DEPTH / 2]);
}

/// A tile of every part.
pub(super) type Split = [Tile; PARTS];

/// The parts of a number.
pub(super) type Parts = [f32; PARTS];

/// Splits `LANES` rows of `DEPTH` numbers, or of the fewer that there are, and zeros.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn split_rows<'r>(rows: impl Iterator<Item = &'r [f32]>, split: &mut Split) {
    for (nth, numbers) in rows.enumerate() {
        let (first, second) = numbers.split_at(numbers.len().min(LANES));
        let (first, second) = (parts(load(first)), parts(load(second)));
        for part in 0..PARTS {
            let half = |bits| _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(bits));
            let words = _mm512_castsi256_si512(half(first[part]));
            let words = _mm512_inserti64x4::<1>(words, half(second[part]));
            store(words, &mut split[part].0[nth]);
        }
    }
}

/// Splits one half of the columns of `DEPTH` inputs, or of the fewer that there are, and zeros.
#[target_feature(enable = "avx512f")]
pub(super) fn split_columns(inputs: &[[f32; WIDTH]], half: usize, split: &mut Split) {
    let row = |nth: usize| {
        inputs.get(nth).map_or(_mm512_setzero_ps(), |row| load(&row[half * LANES..][..LANES]))
    };
    for word in 0..DEPTH / 2 {
        let (first, second) = (parts(row(2 * word)), parts(row(2 * word + 1)));
        for part in 0..PARTS {
            let words = _mm512_or_si512(_mm512_srli_epi32::<16>(first[part]), second[part]);
            store(words, &mut split[part].0[word]);
        }
    }
}

/// Numbers, one after the other, as their parts.
#[target_feature(enable = "avx512f")]
pub(super) fn split_each(numbers: &[f32]) -> Vec<Parts> {
    let mut each = Vec::with_capacity(numbers.len());
    for some in numbers.chunks(LANES) {
        let split = parts(load(some)).map(|part| {
            let mut numbers = [0; LANES];
            store(part, &mut numbers);
            numbers.map(f32::from_bits)
        });
        each.extend((0..some.len()).map(|nth| split.map(|numbers| numbers[nth])));
    }
    each
}

/// Numbers of f32 as the bits of three each whose lower halves are 0.
#[target_feature(enable = "avx512f")]
fn parts(x: __m512) -> [__m512i; PARTS] {
    let nearest = |x: __m512| {
        let half_up = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
        _mm512_and_si512(half_up, _mm512_set1_epi32(HIGH.cast_signed()))
    };
    let enough = _mm512_set1_ps(LEAST);
    let x = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(_mm512_abs_ps(x), enough), x);
    let high = nearest(x);
    let rest = _mm512_sub_ps(x, _mm512_castsi512_ps(high));
    let middle = nearest(rest);
    let low = _mm512_sub_ps(rest, _mm512_castsi512_ps(middle));
    [high, middle, _mm512_castps_si512(low)]
}

/// The first of some numbers, with zeros where there are none.
#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32]) -> __m512 {
    let count = numbers.len().min(LANES);
    let mask = if count == LANES { u16::MAX } else { (1 << count) - 1 };
    // SAFETY: only numbers of the slice are loaded.
    unsafe { _mm512_maskz_loadu_ps(mask, numbers.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
fn store(words: __m512i, to: &mut [u32; LANES]) {
    // SAFETY: there is room for 16 words.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), words) }
}
