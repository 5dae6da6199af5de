//! Numbers in, numbers out: the statistics of the loop. No table in sight.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of rows stay far below what f64 holds exactly"
)]

mod agreement;
mod bradley_terry;

pub use agreement::{Agreement, kendall, spearman};
pub use bradley_terry::Bouts;

/// Numbers that nothing can be said about.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// There is no row.
    #[error("there are no rows")]
    NoRows,
    /// Two lists that belong together differ in length.
    #[error("{x} numbers on one side, {y} on the other")]
    Lengths {
        /// Of the first.
        x: usize,
        /// Of the second.
        y: usize,
    },
    /// An infinite number, or none.
    #[error("row {row} holds what is not a number")]
    NotFinite {
        /// Its place, from 0.
        row: usize,
    },
    /// A category outside the categories.
    #[error("row {row}: category {found} is not one of {categories}")]
    Category {
        /// Its place, from 0.
        row: usize,
        /// What it is.
        found: usize,
        /// How many there are, from 0 on.
        categories: usize,
    },
}
