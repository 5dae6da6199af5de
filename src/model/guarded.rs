//! Programs that mrx starts: each under a guard that ends it when mrx ends, its words in a log.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Bytes of a program's last words that are looked at, and lines of them that are shown.
const TAIL: (u64, usize) = (128 << 10, 10);

/// A program that runs as long as this value is there.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    log: PathBuf,
}

/// What is started.
#[derive(Debug)]
pub struct Launch<'l> {
    /// This program, which guards it.
    pub guard: &'l Path,
    /// The program and its words.
    pub words: &'l [String],
    /// Variables that it is given beside those that there are.
    pub environment: &'l BTreeMap<String, String>,
    /// What it says is added to this file.
    pub log: &'l Path,
    /// A folder that it has to itself, and works in: it waits until the last one there has ended.
    pub folder: Option<&'l Path>,
}

impl Guarded {
    /// Starts a program under the guard.
    ///
    /// # Errors
    /// Where the guard cannot be started; that the program cannot is said in the log.
    pub fn start(launch: &Launch<'_>) -> io::Result<Self> {
        let Launch { guard, words, environment, log, folder } = launch;
        let mut command = Command::new(guard);
        command.arg("guard").arg("--log").arg(log);
        if let Some(folder) = folder {
            command.arg("--alone").arg(folder.join("lock")).current_dir(folder);
        }
        command.arg("--").args(*words).envs(*environment);
        // What is typed to mrx is not for the program: it ends when its guard's input does.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Ok(Self { child: command.spawn()?, log: log.to_path_buf() })
    }

    /// How the program ended; `None` while it runs.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Where its words are.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Asks it to end. It has ended when this value is gone.
    pub fn let_go(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Its last words, and before them the last error that it named.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Guarded {
    /// Ends the program, and waits until it has given back what it held.
    fn drop(&mut self) {
        self.let_go();
        // The guard ends its program by force in the end: there is nothing else to be done here.
        let _ = self.child.wait();
    }
}

/// Whether a line names an error, as Python and most others do.
fn says_why(line: &str) -> bool {
    line.contains("Error: ") || line.contains("error: ")
}

/// The last words in a log, and before them the last error that is named there.
fn tail(log: &Path) -> String {
    let read = || {
        let mut file = fs::File::open(log)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL.0)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(its words cannot be read: {error})"));
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(TAIL.1));
    // What a program says last is often how it tidies up: why, it said before.
    let why = before.iter().rev().find(|line| says_why(line));
    why.into_iter().chain(last).copied().collect::<Vec<_>>().join("\n")
}
