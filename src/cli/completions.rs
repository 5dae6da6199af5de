//! `mrx completions`: completions for a shell.

use clap_complete::Shell;

use super::failure::Failure;
use super::ui::Ui;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, mut line: clap::Command, ui: &Ui) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut line, "mrx", &mut script);
    ui.print(String::from_utf8_lossy(&script).trim_end())
}
