//! Numbers in, numbers out: the statistics of the loop. No table in sight.

mod bradley_terry;

pub use bradley_terry::Bouts;
