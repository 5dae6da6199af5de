//! The release binary of mrx, as the benches start it and time it.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::compare::Outcome;
use crate::process::stdout_of;

/// A command that starts mrx on a store.
pub(crate) fn mrx(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mrx"));
    command.env("MRX_STORE", store).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Runs mrx on a store; returns its seconds, start and end of the process included, and its stdout.
pub(crate) fn timed(store: &Path, words: &[&str]) -> Outcome<(f64, Vec<u8>)> {
    let began = Instant::now();
    let answer = stdout_of(mrx(store).args(words))?;
    Ok((began.elapsed().as_secs_f64(), answer))
}

/// Writes seconds as milliseconds.
pub(crate) fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}
