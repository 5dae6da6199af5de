//! Python, as the benches start it.

use std::path::PathBuf;
use std::process::Command;

/// A command that starts one of the scripts beside the benches, in the Python of
/// `MRX_BENCH_PYTHON`, or else `python3`.
pub(crate) fn python(script: &str) -> Command {
    let python = std::env::var_os("MRX_BENCH_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches").join(script));
    command
}
