//! A projection as it lies in memory for drawing: in panels of 32 outputs, in the type that its file has.
//!
//! `gemm` packs a weight again for every product, which costs as much as the product itself where it has few
//! rows; here that is done once. Each number of a result is summed along the inputs in their order, in f32,
//! whatever the rows beside it, the threads, and the type that the weights are kept in.

use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Result, Tensor, bail};
use half::f16;
use half::slice::HalfFloatSliceExt;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use safetensors::tensor::View;

use super::blocks::Blocks;
use super::fused::with_values;
use super::shares::{self, share_out};
use super::tile::{HIGH, LEAST, Pairs, Panel, Plain, WIDTH, for_registers, in_tiles, store};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::units::{self, Inputs, Units};

/// Rows that are run through all panels of a thread before the next ones: as many as stay in the cache of a
/// core beside a panel.
const ROWS_AT_A_TIME: usize = 192;

/// A projection, `[outputs, inputs]`.
#[derive(Debug)]
pub(crate) struct Packed {
    panels: Panels,
    inputs: usize,
    outputs: usize,
}

/// The numbers of panel after panel, the last filled up with zeros.
#[derive(Debug)]
enum Panels {
    /// `[inputs, WIDTH]` a panel.
    F32(Vec<f32>),
    /// `[inputs / 2, WIDTH]` a panel: of every two inputs the first in the lower half.
    Bf16(Vec<u32>),
    /// `[inputs, WIDTH]` a panel.
    F16(Vec<f16>),
    /// Blocks that share a scale, row after row.
    Blocks(Blocks),
}

impl Packed {
    /// Packs a matrix `[outputs, inputs]` as it lies in a checkpoint, in f32, bf16 or f16.
    pub(crate) fn of(weight: &Tensor) -> Result<Self> {
        let weight = weight.contiguous()?;
        Self::of_bytes(weight.dtype(), &View::data(&weight), weight.dims2()?)
    }

    /// Packs a matrix `[outputs, inputs]` from its bytes in a file, in f32, bf16 or f16.
    pub(crate) fn of_bytes(dtype: DType, bytes: &[u8], dims: (usize, usize)) -> Result<Self> {
        let (outputs, inputs) = dims;
        if bytes.len() != outputs * inputs * dtype.size_in_bytes() {
            bail!("{} bytes are not {outputs}×{inputs} numbers in {dtype:?}", bytes.len());
        }
        let panels = match dtype {
            DType::F32 => {
                let take = |row: &[[u8; 4]], k: usize| {
                    let w = f32::from_le_bytes(row[k]);
                    if w.abs() < LEAST { 0.0 } else { w }
                };
                Panels::F32(laid_out(bytes.as_chunks().0, outputs, inputs, inputs, take))
            }
            DType::F16 => {
                let take = |row: &[[u8; 2]], k: usize| f16::from_le_bytes(row[k]);
                Panels::F16(laid_out(bytes.as_chunks().0, outputs, inputs, inputs, take))
            }
            DType::BF16 => {
                let take = |row: &[[u8; 2]], k: usize| {
                    let bits = |k: usize| row.get(k).map_or(0, |w| u16::from_le_bytes(*w));
                    u32::from(bits(2 * k)) | u32::from(bits(2 * k + 1)) << 16
                };
                Panels::Bf16(laid_out(
                    bytes.as_chunks().0,
                    outputs,
                    inputs,
                    inputs.div_ceil(2),
                    take,
                ))
            }
            other => bail!("{other:?} is not a type that weights are kept in"),
        };
        Ok(Self { panels, inputs, outputs })
    }

    /// Keeps a matrix `[outputs, inputs]` in the blocks that it has in a GGUF file.
    pub(crate) fn of_blocks(kind: GgmlDType, bytes: &[u8], dims: (usize, usize)) -> Result<Self> {
        let (outputs, inputs) = dims;
        let blocks = Blocks::of(kind, bytes, inputs)?;
        Ok(Self { panels: Panels::Blocks(blocks), inputs, outputs })
    }

    /// Its shape: outputs, inputs.
    pub(crate) const fn dims(&self) -> (usize, usize) {
        (self.outputs, self.inputs)
    }

    /// The weights of some outputs, `[rows, inputs]` in f32: an embedding that is the head, too.
    pub(crate) fn rows(&self, rows: &[u32]) -> Result<Vec<f32>> {
        let mut numbers = Vec::with_capacity(rows.len() * self.inputs);
        for &row in rows {
            let row = row as usize;
            if row >= self.outputs {
                bail!("there is no row {row} in a table of {}", self.outputs);
            }
            if let Panels::Blocks(blocks) = &self.panels {
                numbers.extend(blocks.row(row));
                continue;
            }
            let (panel, lane) = (row / WIDTH, row % WIDTH);
            let at = |per_panel: usize, k: usize| (panel * per_panel + k) * WIDTH + lane;
            numbers.extend((0..self.inputs).map(|k| match &self.panels {
                Panels::F32(w) => w[at(self.inputs, k)],
                Panels::F16(w) => w[at(self.inputs, k)].to_f32(),
                Panels::Bf16(w) => {
                    let pair = w[at(self.inputs.div_ceil(2), k / 2)];
                    f32::from_bits(if k % 2 == 0 { pair << 16 } else { pair & HIGH })
                }
                Panels::Blocks(_) => f32::NAN,
            }));
        }
        Ok(numbers)
    }

    /// `x` `[rows, inputs]` times this, `[rows, outputs]`, written over `y`.
    pub(crate) fn times(&self, x: &[f32], y: &mut [f32]) {
        times_all(x, [(self, y)]);
    }

    /// Runs all rows through some panels: `y` has of each row the columns of these.
    fn run(&self, x: &[f32], panels: Range<usize>, y: &mut [&mut [f32]]) {
        let inputs = self.inputs;
        match &self.panels {
            Panels::F32(w) => {
                let panels = some(w, inputs * WIDTH, panels).map(Plain::of).collect();
                Arch::new().dispatch(Product { x, inputs, panels, y });
            }
            Panels::Bf16(w) => {
                let panels = some(w, inputs.div_ceil(2) * WIDTH, panels).map(Pairs).collect();
                Arch::new().dispatch(Product { x, inputs, panels, y });
            }
            Panels::F16(w) => {
                let size = inputs * WIDTH;
                let widen = |panel, wide: &mut [f32]| {
                    w[panel * size..][..size].convert_to_f32_slice(wide);
                };
                run_widened((x, inputs), panels, y, widen);
            }
            Panels::Blocks(blocks) => {
                run_widened((x, inputs), panels, y, |panel, wide| blocks.widen(panel, wide));
            }
        }
    }
}

impl shares::Panels for Packed {
    fn outputs(&self) -> usize {
        self.outputs
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
impl units::SplitPanels for Packed {
    fn is_bf16(&self) -> bool {
        matches!(self.panels, Panels::Bf16(_))
    }

    fn inputs<'r>(
        &'r self,
        panel: usize,
        inputs: Range<usize>,
        room: &'r mut Vec<f32>,
    ) -> Inputs<'r> {
        let words = |inputs: &Range<usize>| inputs.start * WIDTH..inputs.end * WIDTH;
        let size = self.inputs * WIDTH;
        match &self.panels {
            Panels::F32(w) => Inputs::Numbers(&w[panel * size..][words(&inputs)]),
            Panels::Bf16(w) => {
                let size = self.inputs.div_ceil(2) * WIDTH;
                let pairs = inputs.start / 2..inputs.end.div_ceil(2);
                Inputs::Pairs(&w[panel * size..][words(&pairs)])
            }
            Panels::F16(w) => {
                room.resize(inputs.len() * WIDTH, 0.0);
                w[panel * size..][words(&inputs)].convert_to_f32_slice(room);
                Inputs::Numbers(room)
            }
            Panels::Blocks(blocks) => {
                room.resize(size, 0.0);
                blocks.widen(panel, room);
                Inputs::Numbers(&room[words(&inputs)])
            }
        }
    }
}

/// Runs all rows through panels that are widened to f32 one at a time.
fn run_widened(
    (x, inputs): (&[f32], usize),
    panels: Range<usize>,
    y: &mut [&mut [f32]],
    widen: impl Fn(usize, &mut [f32]),
) {
    let mut wide = vec![0.0; inputs * WIDTH];
    for (nth, panel) in panels.enumerate() {
        widen(panel, &mut wide);
        let mut y: Vec<&mut [f32]> = y.iter_mut().map(|y| columns(y, nth)).collect();
        Arch::new().dispatch(Product { x, inputs, panels: vec![Plain::of(&wide)], y: &mut y });
    }
}

/// `x` `[rows, inputs]` times each of some weights, `[rows, outputs]`, written over its `y`.
fn times_all<'y>(x: &[f32], products: impl IntoIterator<Item = (&'y Packed, &'y mut [f32])>) {
    let products: Vec<_> = products.into_iter().collect();
    let Some(inputs) = products.first().map(|(weight, _)| weight.inputs) else { return };
    for (weight, y) in &products {
        let rows = x.len() / inputs.max(1);
        let sizes = (inputs, rows * inputs, rows * weight.outputs);
        assert_eq!((weight.inputs, x.len(), y.len()), sizes, "sizes of a product");
    }
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if let Some(here) = Units::here() {
        return units::times_all(here, x, inputs, products);
    }
    share_out(products, |weight, panels, y| weight.run(x, panels, y));
}

/// `x` `[rows, inputs]` times each of some packed weights.
pub(super) fn packed_linears(x: &Tensor, weights: &[Arc<Packed>]) -> Result<Vec<Tensor>> {
    let (rows, inputs) = x.dims2()?;
    if let Some(other) = weights.iter().find(|weight| weight.inputs != inputs) {
        bail!("{rows} rows of {inputs} do not fit a weight of {} inputs", other.inputs);
    }
    let mut ys: Vec<Vec<f32>> = weights.iter().map(|w| vec![0.0; rows * w.outputs]).collect();
    with_values::<f32, _>(x, |x| {
        times_all(x, weights.iter().zip(&mut ys).map(|(weight, y)| (&**weight, y.as_mut_slice())));
        Ok(())
    })?;
    let tensor = |(weight, y): (&Arc<Packed>, Vec<f32>)| {
        Tensor::from_vec(y, (rows, weight.outputs), x.device())
    };
    weights.iter().zip(ys).map(tensor).collect()
}

/// Some of the panels of `size` words each.
fn some<W>(words: &[W], size: usize, panels: Range<usize>) -> impl Iterator<Item = &[W]> {
    words[panels.start * size..panels.end * size].chunks_exact(size.max(1))
}

/// Lays rows out in panels: `take` gives the word number `k` of a row.
fn laid_out<T: Sync, W: Default + Clone + Send>(
    weight: &[T],
    outputs: usize,
    inputs: usize,
    words: usize,
    take: impl Fn(&[T], usize) -> W + Sync,
) -> Vec<W> {
    let mut panels = vec![W::default(); outputs.div_ceil(WIDTH) * words * WIDTH];
    let size = (words * WIDTH).max(1);
    let rows = weight[..outputs * inputs].par_chunks(WIDTH * inputs.max(1));
    panels.par_chunks_mut(size).zip(rows).for_each(|(panel, rows)| {
        let rows: Vec<&[T]> = rows.chunks(inputs).collect();
        for (k, lanes) in panel.chunks_exact_mut(WIDTH).enumerate() {
            for (lane, row) in lanes.iter_mut().zip(&rows) {
                *lane = take(row, k);
            }
        }
    });
    panels
}

/// Rows through panels.
struct Product<'r, 'y, P> {
    x: &'r [f32],
    inputs: usize,
    panels: Vec<P>,
    /// Of each row the columns of these panels.
    y: &'r mut [&'y mut [f32]],
}

impl<P: Panel> WithSimd for Product<'_, '_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for_registers!(S, V, R => self.run::<S, V, R>(simd));
    }
}

impl<P: Panel> Product<'_, '_, P> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MOST: usize>(self, simd: S) {
        let Self { x, inputs, panels, y } = self;
        for start in (0..y.len()).step_by(ROWS_AT_A_TIME) {
            let end = y.len().min(start + ROWS_AT_A_TIME);
            for (nth, panel) in panels.iter().enumerate() {
                in_tiles!(MOST, start..end, |first, R| {
                    let mut rows = [&x[..0]; R];
                    for r in 0..R {
                        rows[r] = &x[(first + r) * inputs..][..inputs];
                    }
                    let zero = [[simd.splat_f32s(0.0); V]; R];
                    let sums = panel.add(simd, rows, zero);
                    for r in 0..R {
                        store::<S, V>(sums[r], columns(y[first + r], nth));
                    }
                });
            }
        }
    }
}

/// The columns of one panel in those of a row.
#[inline(always)]
fn columns(row: &mut [f32], panel: usize) -> &mut [f32] {
    let end = row.len().min((panel + 1) * WIDTH);
    &mut row[panel * WIDTH..end]
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use candle_core::quantized::QTensor;

    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0;
        (0..count).map(number).collect()
    }

    fn product(packed: &Packed, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len() / packed.inputs * packed.outputs];
        packed.times(x, &mut y);
        y
    }

    /// The same without matrix units.
    fn by_vectors(packed: &Packed, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len() / packed.inputs * packed.outputs];
        share_out(vec![(packed, &mut y[..])], |weight, panels, y| weight.run(x, panels, y));
        y
    }

    /// Every row of `x` and of `w`, summed somehow.
    fn all(x: &[f32], w: &[f32], inputs: usize, sum: impl Fn(&[f32], &[f32]) -> f32) -> Vec<f32> {
        let row = |x| w.chunks_exact(inputs).map(|w| sum(x, w)).collect::<Vec<_>>();
        x.chunks_exact(inputs).flat_map(row).collect()
    }

    /// Σ x·w in the order of the inputs.
    fn plainly(x: &[f32], w: &[f32]) -> f32 {
        x.iter().zip(w).fold(0.0, |sum, (x, w)| x.mul_add(*w, sum))
    }

    /// A number as three whose lower halves are 0.
    fn parts(x: f32) -> [f32; 3] {
        let nearest = |x: f32| f32::from_bits((x.to_bits() + 0x8000) & HIGH);
        let (high, middle) = (nearest(x), nearest(x - nearest(x)));
        [high, middle, x - high - middle]
    }

    /// The same as matrix units sum it: 32 inputs at a time, each product of parts for itself, the even and
    /// the odd inputs apart.
    fn as_units(x: &[f32], w: &[f32], products: &[(usize, usize)]) -> f32 {
        let mut sums = Vec::new();
        for (x, w) in x.chunks(64 * 32).zip(w.chunks(64 * 32)) {
            let mut sum = 0.0;
            for (x, w) in x.chunks(32).zip(w.chunks(32)) {
                for (row, column) in products {
                    let mut halves = [0.0; 2];
                    for (nth, (x, w)) in x.iter().zip(w).enumerate() {
                        let half = &mut halves[nth % 2];
                        *half = parts(*x)[*row].mul_add(parts(*w)[*column], *half);
                    }
                    sum += halves[0] + halves[1];
                }
            }
            sums.push(sum);
        }
        sums.into_iter().reduce(|all, sum| all + sum).unwrap()
    }

    const SIX: [(usize, usize); 6] = [(0, 2), (0, 1), (0, 0), (1, 0), (1, 1), (2, 0)];
    const THREE: [(usize, usize); 3] = [(0, 0), (1, 0), (2, 0)];

    #[test]
    fn each_number_is_summed_in_one_order_in_whatever_type_weights_are_kept() {
        for (inputs, outputs) in [(1, 1), (7, 5), (32, 32), (65, 100), (96, 33), (2080, 3)] {
            for dtype in [DType::F32, DType::BF16, DType::F16] {
                let w =
                    Tensor::from_vec(numbers(inputs * outputs, 1), (outputs, inputs), &Device::Cpu);
                let w = w.unwrap().to_dtype(dtype).unwrap();
                let packed = Packed::of(&w).unwrap();
                let bytes = safetensors::View::data(&w).into_owned();
                let from_bytes = Packed::of_bytes(dtype, &bytes, (outputs, inputs)).unwrap();
                let wide = w.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
                let wide = wide.to_vec1::<f32>().unwrap();
                for rows in [0, 1, 2, 5, 12, 13, 29, 33, 200] {
                    let x = numbers(rows * inputs, 2);
                    let at = format!("{inputs}×{outputs} {dtype:?} {rows}");
                    let plain = all(&x, &wide, inputs, plainly);
                    assert_eq!(by_vectors(&packed, &x), plain, "{at}");
                    let products = if dtype == DType::BF16 { &THREE[..] } else { &SIX };
                    let expected = match Units::here() {
                        Some(_) => all(&x, &wide, inputs, |x, w| as_units(x, w, products)),
                        None => plain,
                    };
                    assert_eq!(product(&from_bytes, &x), expected, "{at}");
                    assert_eq!(product(&packed, &x), expected, "{at}");
                }
                let count = u32::try_from(outputs).unwrap();
                let some = [count - 1, 0];
                let rows = [&wide[(outputs - 1) * inputs..], &wide[..inputs]].concat();
                assert_eq!(packed.rows(&some).unwrap(), rows);
                assert!(packed.rows(&[count]).is_err());
            }
        }
    }

    #[test]
    fn matrix_units_lose_less_than_sums_of_f32() {
        let (inputs, outputs, rows) = (576, 96, 40);
        let (x, w) = (numbers(rows * inputs, 1), numbers(outputs * inputs, 2));
        let weight = Tensor::from_slice(&w, (outputs, inputs), &Device::Cpu).unwrap();
        let packed = Packed::of(&weight).unwrap();
        let exactly = |x: &[f32], w: &[f32]| -> f64 {
            x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
        };
        let off = |y: Vec<f32>| -> f64 {
            let exact = x.chunks_exact(inputs);
            let exact = exact.flat_map(|x| w.chunks_exact(inputs).map(move |w| exactly(x, w)));
            y.iter().zip(exact).map(|(y, exact)| (f64::from(*y) - exact).powi(2)).sum()
        };
        assert!(off(product(&packed, &x)) <= off(by_vectors(&packed, &x)));
    }

    #[test]
    fn numbers_that_units_would_take_as_none_are_0_and_what_is_not_finite_stays_so() {
        let weight = |w: f32| {
            let w = Tensor::from_vec(vec![w; 32], (1, 32), &Device::Cpu).unwrap();
            Packed::of(&w).unwrap()
        };
        for rows in [1, 3] {
            let times = |w: f32, x: f32| product(&weight(w), &vec![x; 32 * rows]);
            assert_eq!(times(1e-35, 1e4), vec![0.0; rows]);
            assert_eq!(times(f32::MIN_POSITIVE / 8.0, 1.0), vec![0.0; rows]);
            for (w, x) in [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::INFINITY, 1.0)] {
                assert!(times(w, x).iter().all(|y| !y.is_finite()), "{w} {x}");
            }
            assert!(times(1e30, 1e30).iter().all(|y| !y.is_finite()));
        }
    }

    #[test]
    fn blocks_are_the_numbers_that_they_widen_to() {
        use GgmlDType::{Q4_0, Q4_1, Q4K, Q6K, Q8_0};
        let inputs = 512;
        for outputs in [1, 32, 70] {
            for kind in [Q8_0, Q4_0, Q4_1, Q4K, Q6K] {
                let w =
                    Tensor::from_vec(numbers(inputs * outputs, 1), (outputs, inputs), &Device::Cpu);
                let blocks = QTensor::quantize(&w.unwrap(), kind).unwrap();
                let wide = Packed::of(&blocks.dequantize(&Device::Cpu).unwrap()).unwrap();
                let bytes = blocks.data().unwrap();
                let packed = Packed::of_blocks(kind, &bytes, (outputs, inputs)).unwrap();
                for rows in [1, 13] {
                    let x = numbers(rows * inputs, 2);
                    assert_eq!(product(&packed, &x), product(&wide, &x), "{kind:?} {outputs}");
                }
                let count = u32::try_from(outputs).unwrap();
                let some = [count - 1, 0];
                assert_eq!(packed.rows(&some).unwrap(), wide.rows(&some).unwrap());
                assert!(Packed::of_blocks(kind, &bytes[1..], (outputs, inputs)).is_err());
            }
        }
    }
}
