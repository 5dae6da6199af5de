//! Which packages a Python has, and whether they are those that the script was tried with.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::program::{Program, SCRIPT};

/// What a Python has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Installed {
    /// Versions by package: torch, transformers, trl, accelerate, peft.
    pub versions: BTreeMap<String, String>,
    /// What will not do, in words; empty where all is well.
    pub wrong: Vec<String>,
    /// The command that mends it.
    pub mend: String,
}

/// Asks a Python what it has. None of the packages is imported, so it takes a moment.
///
/// # Errors
/// Where it cannot be started or does not answer, in words.
pub fn installed(program: &Program) -> Result<Installed, String> {
    let said = program.python.join(" ");
    let Some((python, words)) = program.python.split_first() else {
        return Err("there is no command".to_owned());
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let script = folder.path().join("train.py");
    std::fs::write(&script, SCRIPT).map_err(|error| error.to_string())?;
    let mut command = Command::new(python);
    command.args(words).arg(&script).arg("--versions").stdin(Stdio::null());
    let ran = command.envs(&program.environment).output();
    let ran = ran.map_err(|error| format!("cannot start `{said}`: {error}"))?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let line = text.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    serde_json::from_str(line).map_err(|_| {
        let words = String::from_utf8_lossy(&ran.stderr);
        let last = words.trim().lines().last().unwrap_or("it says nothing").to_owned();
        format!("`{said}` does not say what it has: {last}")
    })
}
