//! Rows times packed weights on the matrix units of newer Intel processors (AMX), which multiply bf16 and add f32.
//!
//! A number of f32 is the sum of three of bf16, and the product of two is that of six of the nine products of their
//! parts: the other three come to 2⁻²⁴ of it at most, what f32 rounds off in one addition (Henry, Tang, Heinecke:
//! *Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations*, ARITH 2019). Weights
//! in bf16 are their own first part, so there are three, and nothing is left out.
//!
//! What a unit does with 32 inputs is written down (Intel's manual, `TDPBF16PS`): the products of the even ones and
//! those of the odd ones are summed apart, each along the inputs, both are added to what there was, and numbers too
//! small to be normal are 0. That is done for one product of parts after the other, always in one order. So a sum depends
//! on nothing but its row and its column.

mod multiply;
mod one_row;
mod rows;
mod tiles;

pub(crate) use multiply::Units;
pub(super) use rows::{Inputs, SplitPanels, times_all};
