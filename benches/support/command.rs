//! The release binary of mrx, as the benches start it.

use std::path::Path;
use std::process::Command;

/// A command that starts mrx on a store.
pub(crate) fn mrx(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mrx"));
    command.env("MRX_STORE", store).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}
