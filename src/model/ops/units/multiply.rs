//! The instructions themselves, and that they are there.

#![expect(unsafe_code, reason = "the instructions have no stable name in the language")]

use std::arch::asm;
use std::sync::OnceLock;

use super::one_row;
use super::tiles::{self, DEPTH, LANES, Parts, Split};

/// Rows, and columns, of a product: two tiles of each.
pub(super) const SIDE: usize = 2 * LANES;

/// That there are such units, and that this process may use them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Units(());

/// What a product comes to.
#[repr(C, align(64))]
pub(super) struct Sums(pub(super) [[f32; SIDE]; SIDE]);

/// Columns as they lie in memory.
#[derive(Clone, Copy)]
pub(super) enum Columns<'c> {
    /// Split: two strips of `[steps]`.
    Split([&'c [Split]; 2]),
    /// Of bf16, which is its own leading part: `[steps, DEPTH / 2, SIDE]`.
    Whole(&'c [[[u32; SIDE]; DEPTH / 2]]),
}

/// What is fetched for the product after this one.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    pub(super) at: *const u8,
    /// Lines of 64 bytes with each step.
    pub(super) lines: usize,
}

#[repr(C, align(64))]
struct Shape {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// All eight registers are full tiles.
static SHAPE: Shape = Shape {
    palette: 1,
    start: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

#[expect(clippy::unused_self, reason = "whoever has it knows that the units are there")]
impl Units {
    /// Those of this machine, where it has any.
    pub(crate) fn here() -> Option<Self> {
        static HERE: OnceLock<bool> = OnceLock::new();
        HERE.get_or_init(granted).then_some(Self(()))
    }

    /// Splits 16 rows of 32 numbers, or of the fewer that there are, and zeros.
    pub(super) fn split_rows<'r>(self, rows: impl Iterator<Item = &'r [f32]>, split: &mut Split) {
        // SAFETY: where there are such units (`self`), there are these vectors.
        unsafe { tiles::split_rows(rows, split) }
    }

    /// Splits one half of the columns of 32 inputs, or of the fewer that there are, and zeros.
    pub(super) fn split_columns(self, inputs: &[[f32; SIDE]], half: usize, split: &mut Split) {
        // SAFETY: as above.
        unsafe { tiles::split_columns(inputs, half, split) }
    }

    /// The parts of each number.
    pub(super) fn split_each(self, numbers: &[f32]) -> Vec<Parts> {
        // SAFETY: as above.
        unsafe { tiles::split_each(numbers) }
    }

    /// One row, by its parts, times columns `[inputs, 32]`, without the units.
    pub(super) fn one_row(self, row: &[Parts], columns: &[f32], sums: &mut [f32; SIDE]) {
        // SAFETY: as above.
        unsafe { one_row::times(row, columns, sums) }
    }

    /// Does work that multiplies, on this thread alone.
    pub(super) fn within<R>(self, work: impl FnOnce(&Within) -> R) -> R {
        // SAFETY: there are such units (`self`), and the shape is 64 bytes of a valid palette.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPE, options(nostack, readonly)) };
        let result = work(&Within(()));
        // SAFETY: there are such units; what the registers hold is not looked at again.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
        result
    }
}

/// Whether the processor has them, and the kernel lets this process use them.
fn granted() -> bool {
    const BF16: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    const REQUEST: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    let has = std::arch::x86_64::__cpuid_count(7, 0).edx & (BF16 | TILES) == BF16 | TILES;
    // SAFETY: the call takes two numbers, and changes what the kernel saves of this process's threads alone.
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && has
        && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) } == 0
}

/// That this thread's registers are set up.
pub(super) struct Within(());

/// `tmm0`..`tmm3` += the rows in `tmm4` and `tmm5` times the columns in `tmm6` and `tmm7`.
macro_rules! multiply {
    (both) => {
        concat!(
            "tdpbf16ps tmm0, tmm4, tmm6\n",
            "tdpbf16ps tmm1, tmm4, tmm7\n",
            "tdpbf16ps tmm2, tmm5, tmm6\n",
            "tdpbf16ps tmm3, tmm5, tmm7\n",
        )
    };
    (one) => {
        concat!("tdpbf16ps tmm0, tmm4, tmm6\n", "tdpbf16ps tmm1, tmm4, tmm7\n")
    };
}

/// Loads a part of the rows.
macro_rules! rows {
    (both, $part:literal) => {
        concat!(rows!(one, $part), "tileloadd tmm5, [{a1} + {ea}*1 + 1024*", $part, "]\n")
    };
    (one, $part:literal) => {
        concat!("tileloadd tmm4, [{a0} + {ea}*1 + 1024*", $part, "]\n")
    };
}

/// Loads a part of the columns.
macro_rules! columns {
    ($part:literal) => {
        concat!(
            "tileloadd tmm6, [{b0} + {eb}*1 + 1024*",
            $part,
            "]\n",
            "tileloadd tmm7, [{b1} + {eb}*1 + 1024*",
            $part,
            "]\n",
        )
    };
}

/// What six of the nine products of parts come to, in a step.
macro_rules! of_split {
    ($strips:ident) => {
        concat!(
            rows!($strips, 0),
            columns!(2),
            multiply!($strips),
            columns!(1),
            multiply!($strips),
            columns!(0),
            multiply!($strips),
            rows!($strips, 1),
            multiply!($strips),
            columns!(1),
            multiply!($strips),
            rows!($strips, 2),
            columns!(0),
            multiply!($strips),
        )
    };
}

/// The same where a number of the columns is its own first part.
macro_rules! of_whole {
    ($strips:ident) => {
        concat!(
            columns!(0),
            rows!($strips, 0),
            multiply!($strips),
            rows!($strips, 1),
            multiply!($strips),
            rows!($strips, 2),
            multiply!($strips),
        )
    };
}

/// Zeros, all steps, and where the sums go.
macro_rules! sum {
    ($product:ident, $step:expr) => {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            $step,
            "mov {i}, {lines}",
            "test {i}, {i}",
            "jz 4f",
            "3:",
            "prefetcht1 [{ahead}]",
            "add {ahead}, 64",
            "dec {i}",
            "jnz 3b",
            "4:",
            "add {a0}, 3072",
            "add {a1}, 3072",
            "add {b0}, {step}",
            "add {b1}, {step}",
            "dec {steps}",
            "jnz 2b",
            "mov {ea:e}, 128",
            "tilestored [{to} + {ea}*1], tmm0",
            "tilestored [{to} + {ea}*1 + 64], tmm1",
            "tilestored [{to} + {ea}*1 + 2048], tmm2",
            "tilestored [{to} + {ea}*1 + 2112], tmm3",
            a0 = inout(reg) $product.rows[0] => _,
            a1 = inout(reg) $product.rows[1] => _,
            ea = inout(reg) 64_usize => _,
            b0 = inout(reg) $product.columns[0] => _,
            b1 = inout(reg) $product.columns[1] => _,
            eb = in(reg) $product.row,
            step = in(reg) $product.step,
            steps = inout(reg) $product.steps => _,
            ahead = inout(reg) $product.ahead.at => _,
            lines = in(reg) $product.ahead.lines,
            i = out(reg) _,
            to = in(reg) $product.to,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// A product as its instructions take it.
struct Product {
    rows: [*const Split; 2],
    columns: [*const u8; 2],
    /// Bytes from row to row of a tile of columns.
    row: usize,
    /// Bytes from step to step of the columns.
    step: usize,
    steps: usize,
    ahead: Ahead,
    to: *mut [f32; SIDE],
}

#[expect(clippy::unused_self, reason = "whoever has it knows that the registers are set up")]
impl Within {
    /// One strip of rows or two times two of columns, written over `sums`: over half of them, or all.
    pub(super) fn multiply(
        &self,
        rows: &[&[Split]],
        b: Columns<'_>,
        ahead: Ahead,
        sums: &mut Sums,
    ) {
        let (first, second) = (rows[0], rows[rows.len() - 1]);
        let steps = first.len();
        let (columns, row, step) = match b {
            Columns::Split(strips) => {
                assert!(strips.iter().all(|strip| strip.len() == steps), "steps of a product");
                (strips.map(|strip| strip.as_ptr().cast()), 64, size_of::<Split>())
            }
            Columns::Whole(words) => {
                assert_eq!(words.len(), steps, "steps of a product");
                let at: *const u8 = words.as_ptr().cast();
                ([at, at.wrapping_add(64)], 128, size_of_val(&words[0]))
            }
        };
        assert!(steps > 0 && second.len() == steps, "steps of a product");
        let rows_at = [first.as_ptr(), second.as_ptr()];
        let to = sums.0.as_mut_ptr();
        let product = Product { rows: rows_at, columns, row, step, steps, ahead, to };
        // SAFETY: the registers are set up (`self`). Each operand has `steps` steps, of three tiles or, where it
        // is whole, of 16 rows of 128 bytes, as was asserted, and no more is loaded; the results are 32 × 32
        // numbers, 128 bytes a row. What is fetched ahead is only a hint, and the stack is not touched.
        unsafe {
            match (b, rows.len()) {
                (Columns::Split(_), 1) => sum!(product, of_split!(one)),
                (Columns::Split(_), _) => sum!(product, of_split!(both)),
                (Columns::Whole(_), 1) => sum!(product, of_whole!(one)),
                (Columns::Whole(_), _) => sum!(product, of_whole!(both)),
            }
        }
    }
}
