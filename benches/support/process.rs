//! Other programs, as the benches run them.

use std::process::{Command, Output};

use crate::compare::Outcome;

/// Runs a command and returns its stdout.
pub(crate) fn stdout_of(command: &mut Command) -> Outcome<Vec<u8>> {
    let Output { status, stdout, stderr } = command.output()?;
    if status.success() {
        return Ok(stdout);
    }
    Err(format!("{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr)).into())
}
