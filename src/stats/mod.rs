//! Numbers in, numbers out: the statistics of the loop. No table in sight.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of rows stay far below what f64 holds exactly"
)]
#![expect(clippy::float_cmp, reason = "numbers that are the same are a tie, and those alone")]

mod agreement;
mod arena;
mod bootstrap;
mod bradley_terry;
mod error;
mod interval;
mod judge;
mod length_control;
mod logistic;
mod mean;
mod paired;
mod rank;
mod variance;
mod win_rate;

pub use agreement::{Agreement, Ratings};
pub use arena::{Arena, Battle};
pub use bootstrap::{Bootstrap, Clusters, Resampled};
pub use bradley_terry::{Bouts, BradleyTerry, Rated, Strengths, WinnerShown, fit_each};
pub use error::Error;
pub use interval::{Interval, Method, wilson};
pub use judge::{Draws, OrderedVerdict, Orders, Slope};
pub use length_control::{Gamed, LengthControl, LengthModel};
pub use mean::Values;
pub use paired::{Paired, Signs, holm, minimum_detectable};
pub use rank::Ranks;
pub use variance::{Draw, PARTS, Part, Split};
pub use win_rate::{Games, Tally, preference_from_logprobs};
