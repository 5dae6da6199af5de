//! Training by TRL (Hugging Face) in a program of its own, on whatever accelerate launches it on.
//!
//! `train.py` is that program. It is given a folder with `task.json` and the script itself, and a lesson as a
//! Parquet table of token ids; there it writes `steps.jsonl`, a line a step, its own checkpoints, and in the
//! end `model/`. Nothing but files stands between the two, so either may be killed and started again.

mod installed;
mod program;
mod running;
mod steps;
mod task;

pub use installed::{Installed, installed};
pub use program::{Program, SCRIPT};
pub use running::Running;
pub use task::{Dtype, Kind, Task};
