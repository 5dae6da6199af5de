//! The machine that an experiment runs on: where its models compute, and how it reaches others. Nothing
//! of it decides a result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Error;
use super::engine_table::EngineTable;
use super::locate::Text;
use super::spanned::Spanned;
use super::trainer_table::TrainerTable;
use crate::stages::Brought;
use crate::stages::remote::{Report, Work};

/// The machine.
pub struct Machine<'m> {
    /// Where models compute, by name: `cpu`, `cuda:0`, `metal`.
    pub device: &'m str,
    /// Bytes of memory that may be taken, where the system says; the machine's own file may say otherwise.
    pub memory: Option<u64>,
    /// Threads that compute.
    pub threads: usize,
    /// The machine's own file, where there is one.
    pub config: Option<&'m Path>,
    /// This program, which guards those that it starts.
    pub program: &'m Path,
    /// Finds a variable of the environment.
    pub variable: fn(&str) -> Option<String>,
    /// What engines said of themselves before.
    pub reports: &'m dyn Reports,
    /// What is done with the files of a node that is run by files: the node, and the work.
    pub work: Option<(String, Work)>,
    /// A checkpoint from elsewhere, and the node whose result it becomes.
    pub brought: Option<(String, Brought)>,
}

/// Remembers what engines say of themselves, so that a plan can be made where they are not there.
pub trait Reports {
    /// What the engine of this name said last.
    fn known(&self, engine: &str) -> Option<Report>;

    /// Remembers what it says.
    fn learn(&self, engine: &str, report: &Report);

    /// Whether engines are asked at all.
    fn asks(&self) -> bool {
        true
    }
}

/// Remembers nothing, and asks nobody.
pub struct NoReports;

impl Reports for NoReports {
    fn known(&self, _: &str) -> Option<Report> {
        None
    }

    fn learn(&self, _: &str, _: &Report) {}

    fn asks(&self) -> bool {
        false
    }
}

impl Machine<'_> {
    /// No machine in particular: for reading an experiment, not for running one.
    #[must_use]
    pub fn any() -> Self {
        Self {
            device: "cpu",
            memory: None,
            threads: 1,
            config: None,
            program: Path::new(""),
            variable: |_| None,
            reports: &NoReports,
            work: None,
            brought: None,
        }
    }
}

/// The machine's own file.
#[derive(Debug, Default)]
pub(super) struct MachineFile {
    pub(super) engine: EngineTable,
    pub(super) engines: BTreeMap<String, EngineTable>,
    pub(super) trainer: TrainerTable,
    /// Bytes of memory that may be taken.
    pub(super) memory: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    engine: Option<Spanned<EngineTable>>,
    #[serde(default)]
    engines: BTreeMap<String, EngineTable>,
    #[serde(default)]
    trainer: TrainerTable,
    memory: Option<Spanned<String>>,
}

impl MachineFile {
    /// Reads the file, where there is one.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self::default()) };
        let read = std::fs::read_to_string(path);
        let toml = read.map_err(|source| Error::Read { path: PathBuf::from(path), source })?;
        let text = Text { path: path.to_owned(), toml, overrides: Vec::new() };
        let root: Root = toml::from_str(&text.toml).map_err(|error| text.toml_error(&error))?;
        let engine = root.engine.map(Spanned::into_inner).unwrap_or_default();
        engine.check(&text)?;
        root.engines.values().try_for_each(|engine| engine.check(&text))?;
        root.trainer.check(&text)?;
        root.trainer.decides_nothing(&text)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let trainer = root.trainer.found_from(folder);
        let memory = root.memory.map(|said| bytes(&text, &said)).transpose()?;
        Ok(Self { engine, engines: root.engines, trainer, memory })
    }
}

/// Reads `12 GiB`.
fn bytes(text: &Text, said: &Spanned<String>) -> Result<u64, Error> {
    const UNITS: [(&str, u64); 6] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let word = said.as_ref().trim();
    let unit = UNITS.into_iter().find_map(|(unit, size)| Some((word.strip_suffix(unit)?, size)));
    let read = unit.and_then(|(number, size)| number.trim().parse::<u64>().ok()?.checked_mul(size));
    read.filter(|bytes| *bytes > 0).ok_or_else(|| {
        let message = format!("expected a size of memory, as `12 GiB`, found `{word}`");
        text.error(&said.span(), message)
    })
}
