//! How the trainer is started. None of it decides a result: it says where the work is done, and in which
//! portions.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The program, for whoever wants to read it.
pub const SCRIPT: &str = include_str!("train.py");

/// How the trainer is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// What runs Python, and its words: `python3`, `uv run`.
    pub python: Vec<String>,
    /// What launches the script in many processes, and its words; none starts one process by `python`.
    pub launch: Vec<String>,
    /// Variables that it is given.
    pub environment: BTreeMap<String, String>,
    /// This program, which guards it.
    pub guard: PathBuf,
    /// Examples that a process runs at once, at most.
    pub per_device_batch: usize,
    /// Whether activations are computed twice rather than kept.
    pub gradient_checkpointing: bool,
    /// Steps between two of its own checkpoints.
    pub save_steps: usize,
}

impl Program {
    /// The words that start a script.
    #[must_use]
    pub fn words(&self) -> &[String] {
        if self.launch.is_empty() { &self.python } else { &self.launch }
    }

    /// The processes that the launcher is asked for, where its words say so: `--num_processes 8`.
    #[must_use]
    pub fn asked_processes(&self) -> Option<usize> {
        let names = ["--num_processes", "--nproc_per_node", "--nproc-per-node"];
        let mut words = self.launch.iter();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            if names.contains(&name) {
                let value =
                    if value.is_empty() { words.next().map_or("", String::as_str) } else { value };
                return value.parse().ok();
            }
        }
        None
    }
}
