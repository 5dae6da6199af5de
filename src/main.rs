//! The `mrx` command: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    mrx::cli::main()
}
