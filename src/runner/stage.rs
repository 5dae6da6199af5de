//! What a stage is to the runner: a key, and a way to make tables.

use super::events::StageError;
use super::io::Io;
use super::key::Signature;

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
    /// Whatever keeps it from making them; what has landed stays safe.
    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError>;
}
