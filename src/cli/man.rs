//! `mrx man`: manual pages, one a command.

use std::path::{Path, PathBuf};

use clap_mangen::Man;

use super::failure::Failure;
use super::outputs::{Outputs, Over};
use super::ui::Ui;

/// Write manual pages, one a command
///
/// `mrx man ~/.local/share/man/man1` puts them where `man mrx-run` finds them. Without a folder, mrx.1 is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write into; pages of other versions are written over
    folder: Option<PathBuf>,
}

pub(super) fn run(args: &Args, line: clap::Command, ui: &Ui) -> Result<(), Failure> {
    let pages = pages(line)?;
    let Some(folder) = &args.folder else {
        return ui.print(pages[0].1.trim_end());
    };
    let mut outputs = Outputs::of(folder, Over::Anything)?;
    for (name, text) in &pages {
        outputs.text(Path::new(name), std::iter::once(text.as_str()))?;
    }
    outputs.put(ui)
}

/// Every page by its file's name, the command's own first.
fn pages(line: clap::Command) -> std::io::Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    add(line.disable_help_subcommand(true), "mrx", &mut pages)?;
    Ok(pages)
}

fn add(
    mut command: clap::Command,
    name: &str,
    pages: &mut Vec<(String, String)>,
) -> std::io::Result<()> {
    if pages.is_empty() {
        command.build();
    }
    let page = Man::new(command.clone().name(name.to_owned()).bin_name(name.replace('-', " ")));
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push((format!("{name}.1"), String::from_utf8_lossy(&text).into_owned()));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add(inner.clone(), &format!("{name}-{}", inner.get_name()), pages)?;
    }
    Ok(())
}
