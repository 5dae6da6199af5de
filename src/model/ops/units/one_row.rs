//! One row times columns, to the last bit as the matrix units have it, by vectors: most of what the units would
//! multiply for one row is thrown away, and splitting its columns takes as long as reading them.

#![expect(
    unsafe_code,
    reason = "no operation of the language treats small numbers as the units do"
)]

use std::arch::asm;

use super::super::tile::{HIGH, WIDTH};
use super::tiles::{DEPTH, Parts};

/// Numbers too small to be normal are 0, as operands and as results; nothing is reported.
static AS_UNITS: u32 = 0x9fc0;

/// The six products of a number's parts with those of 16 columns, each added to its sum.
macro_rules! add {
    ($x:literal, $w:literal, $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal) => {
        concat!(
            "vmovups zmm28, [{w} + ",
            $w,
            "]\n",
            "prefetcht0 [{w} + ",
            $w,
            " + 4096]\n",
            "vpaddd zmm29, zmm28, zmm26\n",
            "vpandd zmm29, zmm29, zmm27\n",
            "vsubps zmm28, zmm28, zmm29\n",
            "vpaddd zmm30, zmm28, zmm26\n",
            "vpandd zmm30, zmm30, zmm27\n",
            "vsubps zmm28, zmm28, zmm30\n",
            "vfmadd231ps ",
            $a,
            ", zmm28, dword ptr [{x} + ",
            $x,
            "]{{1to16}}\n",
            "vfmadd231ps ",
            $b,
            ", zmm30, dword ptr [{x} + ",
            $x,
            "]{{1to16}}\n",
            "vfmadd231ps ",
            $c,
            ", zmm29, dword ptr [{x} + ",
            $x,
            "]{{1to16}}\n",
            "vfmadd231ps ",
            $d,
            ", zmm29, dword ptr [{x} + ",
            $x,
            " + 4]{{1to16}}\n",
            "vfmadd231ps ",
            $e,
            ", zmm30, dword ptr [{x} + ",
            $x,
            " + 4]{{1to16}}\n",
            "vfmadd231ps ",
            $f,
            ", zmm29, dword ptr [{x} + ",
            $x,
            " + 8]{{1to16}}\n",
        )
    };
}

macro_rules! zero {
    ($($nth:literal)*) => {
        concat!($("vpxord zmm", $nth, ", zmm", $nth, ", zmm", $nth, "\n",)*)
    };
}

/// What the even and the odd products of a step come to, added to what there was.
macro_rules! close {
    ($to:literal, $($even:literal $odd:literal),*) => {
        concat!($(
            "vaddps ", $even, ", ", $even, ", ", $odd, "\n",
            "vaddps ", $to, ", ", $to, ", ", $even, "\n",
            "vpxord ", $even, ", ", $even, ", ", $even, "\n",
            "vpxord ", $odd, ", ", $odd, ", ", $odd, "\n",
        )*)
    };
}

/// The parts of a row, `[steps · DEPTH]`, times columns `[steps · DEPTH, WIDTH]`.
///
/// # Panics
///
/// Where there are fewer columns than that.
#[target_feature(enable = "avx512f")]
pub(super) fn times(row: &[Parts], columns: &[f32], sums: &mut [f32; WIDTH]) {
    let steps = row.len() / DEPTH;
    assert!(steps > 0 && columns.len() >= steps * DEPTH * WIDTH, "steps of a product");
    let mut kept = 0_u32;
    // SAFETY: there are vectors of 16 numbers (the function's feature). `steps` steps of 32 numbers are read of the
    // row, 12 bytes each, and of the columns, 128 bytes each, as was asserted, and 32 numbers are written. MXCSR is
    // as it was at the end.
    unsafe {
        asm!(
            "stmxcsr [{kept}]",
            "ldmxcsr [{as_units}]",
            "vpbroadcastd zmm26, {rounding:e}",
            "vpbroadcastd zmm27, {high:e}",
            zero!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25),
            "2:",
            "mov {pairs:e}, 16",
            "3:",
            add!(0, 0, "zmm0" "zmm1" "zmm2" "zmm3" "zmm4" "zmm5"),
            add!(0, 64, "zmm6" "zmm7" "zmm8" "zmm9" "zmm10" "zmm11"),
            add!(12, 128, "zmm12" "zmm13" "zmm14" "zmm15" "zmm16" "zmm17"),
            add!(12, 192, "zmm18" "zmm19" "zmm20" "zmm21" "zmm22" "zmm23"),
            "add {x}, 24",
            "add {w}, 256",
            "dec {pairs:e}",
            "jnz 3b",
            close!("zmm24", "zmm0" "zmm12", "zmm1" "zmm13", "zmm2" "zmm14", "zmm3" "zmm15", "zmm4" "zmm16", "zmm5" "zmm17"),
            close!("zmm25", "zmm6" "zmm18", "zmm7" "zmm19", "zmm8" "zmm20", "zmm9" "zmm21", "zmm10" "zmm22", "zmm11" "zmm23"),
            "dec {steps}",
            "jnz 2b",
            "vmovups [{to}], zmm24",
            "vmovups [{to} + 64], zmm25",
            "ldmxcsr [{kept}]",
            kept = in(reg) &raw mut kept,
            as_units = in(reg) &raw const AS_UNITS,
            rounding = in(reg) 0x8000_u32,
            high = in(reg) HIGH,
            x = inout(reg) row.as_ptr() => _,
            w = inout(reg) columns.as_ptr() => _,
            steps = inout(reg) steps => _,
            pairs = out(reg) _,
            to = in(reg) sums.as_mut_ptr(),
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
            out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
            out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
            out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
            out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _,
            out("zmm30") _,
            options(nostack),
        );
    }
}
