//! When a table is made again: stages, their keys, and the one place where work resumes.
//!
//! A *stage* turns tables into tables. A *node* is a stage with a place in an experiment. The
//! node's *run key* spells out everything that decides its result; a finished run of that key is
//! never made twice. The room has never heard of a prompt: it moves rows whose type it is told.

mod claim;
mod events;
mod io;
mod key;
mod node;
mod run;
mod survey;

pub use claim::{Claim, Lookup};
pub use events::{Event, Interrupt, Interrupted, Listener};
pub use io::{Io, Meter};
pub use key::{Difference, RunKey, Signature};
pub use node::{BadName, Input, Node, NodeName, Plan, Source};
pub use run::{Error, FailedNode, Runner, Summary};
pub use survey::{Outlook, State, Why, survey};

/// What a stage fails with: the runner only records it and shows it.
pub type StageError = Box<dyn std::error::Error + Send + Sync>;

/// Turns input tables into output tables.
///
/// The struct that implements this *is* its configuration and *is* its key: what is not a field,
/// an input or the version cannot matter.
pub trait Stage: Send + Sync {
    /// Says which stage this is, in which version, and with which configuration.
    fn signature(&self) -> Signature;

    /// Makes the tables.
    ///
    /// # Errors
    /// Whatever keeps it from making them; shards that are already safe stay safe.
    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError>;
}
