//! Two programs side by side: sizes and rounds, medians and a table on stdout.

use std::error::Error;
use std::io::Write;

/// What a comparison ends with.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn number(variable: &str) -> Option<f64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Whether `cargo bench` asks; `cargo test --all-targets` starts benches too, and measures nothing.
pub(crate) fn asked() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Shrinks a full size by `MRX_BENCH_SCALE`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "sizes are small and positive"
)]
pub(crate) fn scaled(full: usize) -> usize {
    (full as f64 * number("MRX_BENCH_SCALE").unwrap_or(1.0)).max(1.0) as usize
}

/// How often everything is measured, `MRX_BENCH_ROUNDS` or 3; the medians are shown.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
pub(crate) fn rounds() -> usize {
    number("MRX_BENCH_ROUNDS").unwrap_or(3.0).max(1.0) as usize
}

/// Returns the middle of some figures.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Says whether a figure keeps to its limit.
pub(crate) fn verdict(figure: f64, limit: f64) -> String {
    (if figure <= limit { "met" } else { "MISSED" }).to_owned()
}

/// Prints a table, its first row the header.
pub(crate) fn print(title: &str, rows: &[Vec<String>]) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{title}")?;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at| {
        rows.iter().filter_map(|row| row.get(at)).map(|cell: &String| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let line: String = cells
            .map(|(at, (cell, width))| match at {
                0 => format!("  {cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            })
            .collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Turns cells of any kind into a row.
#[macro_export]
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$($cell.to_string()),*] };
}
