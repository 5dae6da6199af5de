//! The machine that mrx runs on, as experiments know it: its own file, its environment, and what engines
//! said of themselves before.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::memory::available;
use super::place::StorePlace;
use crate::experiment::remote::{Report, Work};
use crate::experiment::{Brought, Machine, Reports};
use crate::store::Store;

/// The machine's own file, where nothing names another.
const FILE: &str = "mrx.toml";

/// This machine.
pub(super) struct Here {
    program: PathBuf,
    config: Option<PathBuf>,
    remembered: Remembered,
}

/// What engines said of themselves, as the store keeps it.
struct Remembered {
    known: RefCell<BTreeMap<String, Said>>,
    changed: Cell<bool>,
    asks: bool,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    version: Option<String>,
    context: Option<usize>,
}

impl Reports for Remembered {
    fn known(&self, engine: &str) -> Option<Report> {
        let Said { version, context } = self.known.borrow().get(engine)?.clone();
        Some(Report { version, context, ..Report::default() })
    }

    fn learn(&self, engine: &str, report: &Report) {
        let said = Said { version: report.version.clone(), context: report.context };
        let before = self.known.borrow_mut().insert(engine.to_owned(), said.clone());
        self.changed.set(self.changed.get() || before.as_ref() != Some(&said));
    }

    fn asks(&self) -> bool {
        self.asks
    }
}

impl Here {
    /// Looks around: the machine's file is `MRX_CONFIG`, or `mrx.toml` beside the store.
    pub(super) fn look(place: &StorePlace) -> Result<Self, Failure> {
        let store = place.look()?;
        let beside = || store.root().parent().map(|folder| folder.join(FILE));
        let named = std::env::var_os("MRX_CONFIG").filter(|named| !named.is_empty());
        let config = match named {
            Some(named) => Some(PathBuf::from(named)),
            None => beside().filter(|path| path.is_file()),
        };
        let known = RefCell::new(store.engine_reports()?);
        let remembered = Remembered { known, changed: Cell::new(false), asks: true };
        Ok(Self { program: std::env::current_exe()?, config, remembered })
    }

    /// The machine, with models on a device.
    pub(super) fn machine<'h>(&'h self, device: &'h str) -> Machine<'h> {
        Machine {
            device,
            memory: if device == "cpu" { available() } else { None },
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            config: self.config.as_deref(),
            program: &self.program,
            variable: |name| std::env::var(name).ok(),
            reports: &self.remembered,
            work: None,
            brought: None,
        }
    }

    /// The machine for work with the files of a node.
    pub(super) fn with_work(&self, node: String, work: Work) -> Machine<'_> {
        Machine { work: Some((node, work)), ..self.machine("cpu") }
    }

    /// The machine with a checkpoint from elsewhere, for the node whose result it becomes.
    pub(super) fn with_brought<'h>(
        &'h self,
        node: String,
        brought: Brought,
        device: &'h str,
    ) -> Machine<'h> {
        Machine { brought: Some((node, brought)), ..self.machine(device) }
    }

    /// Keeps what engines said of themselves.
    pub(super) fn save(&self, store: &Store) -> Result<(), Failure> {
        if self.remembered.changed.replace(false) {
            store.keep_engine_reports(self.remembered.known.borrow().clone())?;
        }
        Ok(())
    }
}
