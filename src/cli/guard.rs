//! `mrx guard`: runs a program for as long as the mrx that started it, and ends it with all that it
//! started.
//!
//! The one thing that is certain to happen when a process ends, however it ends, is that its end of a pipe
//! is closed: the guard waits for that on its standard input.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// Run a program as long as the mrx that started it
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct Args {
    /// Where the program's words are kept
    #[arg(long)]
    log: PathBuf,

    /// Wait until no other guard of this file has a program running
    #[arg(long)]
    alone: Option<PathBuf>,

    /// The program and its words
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// How long a program may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// What a shell exits with where there is no such program.
const NOT_THERE: u8 = 127;

pub(super) fn run(args: &Args) -> std::io::Result<ExitCode> {
    let mut log = File::options().create(true).append(true).open(&args.log)?;
    let (Some(program), arguments) =
        (args.command.first(), args.command.get(1..).unwrap_or_default())
    else {
        return Ok(ExitCode::from(NOT_THERE));
    };
    // The lock goes with this process, however it ends, and a program never outlives its guard.
    let alone =
        args.alone.as_ref().map(|path| File::options().create(true).append(true).open(path));
    let alone = alone.transpose()?;
    if let Some(alone) = &alone {
        alone.lock()?;
    }
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
    let mut child = match command.process_group(0).spawn() {
        Ok(child) => child,
        Err(error) => {
            writeln!(log, "cannot start `{program}`: {error}")?;
            return Ok(ExitCode::from(NOT_THERE));
        }
    };
    let group = Pid::from_child(&child);
    thread::spawn(move || {
        // Reading ends when mrx does; what comes before, or an error, says the same.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        // A group that is gone cannot be ended: that is what was wanted.
        let _ = kill_process_group(group, Signal::TERM);
        thread::sleep(GRACE);
        let _ = kill_process_group(group, Signal::KILL);
    });
    let status = child.wait()?;
    // What it started may have outlived it.
    let _ = kill_process_group(group, Signal::KILL);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
