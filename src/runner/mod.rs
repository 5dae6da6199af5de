//! When a table is made again: stages, their keys, and the one place where work resumes.
//!
//! A *stage* turns tables into tables. A *node* is a stage with a place in an experiment. The
//! node's *run key* spells out everything that decides its result; a finished run of that key is
//! never made twice. The room has never heard of a prompt: it moves rows whose type it is told.

mod attempt;
mod claim;
mod events;
mod figure;
mod io;
mod key;
mod meter;
mod name;
mod node;
mod progress;
mod record;
mod run;
mod stage;
mod survey;
mod time;
mod window;

pub use attempt::{Runner, Shelf};
pub use claim::{Claim, Lookup};
pub use events::{Event, Fault, Interrupt, Interrupted, Listener, StageError};
pub use figure::{Figure, Measure};
pub use io::Io;
pub use key::{Difference, RunKey, Signature};
pub use meter::Meter;
pub use name::{BadName, NodeName};
pub use node::{Input, Node, Plan, Source};
pub use progress::Error;
pub use run::{FailedNode, Summary};
pub use stage::Stage;
pub use survey::{Outlook, State, Why, survey};
pub use window::{Handed, Window};

pub use crate::store::Variant;
