//! One process's work on one run: what it was told, what it has open, what it cost so far.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

use super::events::{Event, Fault, Interrupt, Listener, StageError};
use super::name::NodeName;
use super::time::rfc3339;
use crate::store::{self, Cost, Effort, Host, Imported, Partial, Spent, Store};

/// Runs plans in a store.
pub struct Runner<'a> {
    /// Where tables are kept.
    pub store: &'a Store,
    /// Who hears what happens.
    pub listener: &'a dyn Listener,
    /// Asked again and again whether to stop.
    pub interrupt: &'a Interrupt,
    /// Tells the time; costs are measured with it, results never.
    pub clock: fn() -> SystemTime,
    /// Where models compute, by name: `cpu`, `cuda:0`, `metal`.
    pub device: &'a str,
    /// Bytes that a model may keep of what it has read and drawn, to draw on.
    pub cache_memory: u64,
    /// The machine, for the manifests.
    pub host: &'a Host,
    /// What one node opened and the next may use, as a model.
    pub open: Shelf,
}

/// Something that outlives the node which opened it, by the name of what it was opened from. There is
/// one at most: the next is opened after the last was let go of, for a model may fill the memory.
#[derive(Default)]
pub struct Shelf(RefCell<Option<(String, Rc<dyn Any>)>>);

impl Shelf {
    /// Returns what is open under this name, or opens it.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub(super) fn take_or_open<T: Any>(
        &self,
        name: &str,
        open: impl FnOnce() -> Result<T, StageError>,
    ) -> Result<Rc<T>, StageError> {
        let known =
            self.0.borrow().as_ref().filter(|(known, _)| known == name).map(|k| k.1.clone());
        if let Some(Ok(known)) = known.map(Rc::downcast::<T>) {
            return Ok(known);
        }
        self.clear();
        let opened = Rc::new(open()?);
        *self.0.borrow_mut() = Some((name.to_owned(), opened.clone()));
        Ok(opened)
    }

    /// Lets go of what is open.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().take();
    }
}

/// One process's work on one run.
pub(super) struct Attempt<'a> {
    pub(super) node: &'a NodeName,
    pub(super) partial: &'a Partial,
    pub(super) listener: &'a dyn Listener,
    pub(super) interrupt: &'a Interrupt,
    pub(super) device: &'a str,
    pub(super) cache_memory: u64,
    pub(super) experiment: &'a str,
    pub(super) open: &'a Shelf,
    /// What earlier attempts came to, this one counted.
    pub(super) earlier: Effort,
    clock: fn() -> SystemTime,
    started: SystemTime,
    rows: Cell<u64>,
    spent: Cell<Spent>,
    /// Where other programs were that were asked.
    reached: RefCell<Vec<String>>,
    /// Where what this run makes was taken from, where it was made elsewhere.
    imported: RefCell<Option<Imported>>,
    noted: Cell<f64>,
}

impl<'a> Attempt<'a> {
    pub(super) fn begin(
        runner: &'a Runner<'a>,
        (experiment, node): (&'a str, &'a NodeName),
        partial: &'a Partial,
    ) -> Result<Self, store::Error> {
        let earlier = partial.begin()?;
        Ok(Self {
            node,
            partial,
            listener: runner.listener,
            interrupt: runner.interrupt,
            device: runner.device,
            cache_memory: runner.cache_memory,
            experiment,
            open: &runner.open,
            earlier,
            clock: runner.clock,
            started: (runner.clock)(),
            rows: Cell::new(earlier.rows),
            spent: Cell::new(earlier.spent),
            reached: RefCell::default(),
            imported: RefCell::default(),
            noted: Cell::new(earlier.seconds),
        })
    }

    /// Seconds of work so far, over all attempts.
    pub(super) fn seconds(&self) -> f64 {
        let elapsed = (self.clock)().duration_since(self.started).unwrap_or_default();
        self.earlier.seconds + elapsed.as_secs_f64()
    }

    /// Takes note of how many rows have landed.
    pub(super) fn landed(&self, rows: u64) {
        self.rows.set(rows);
    }

    /// Takes note of where another program is that is asked.
    pub(super) fn reach(&self, places: Vec<String>) {
        *self.reached.borrow_mut() = places;
    }

    pub(super) fn reached(&self) -> Vec<String> {
        self.reached.borrow().clone()
    }

    /// Takes note of where what this run makes was taken from.
    pub(super) fn import(&self, from: Imported) {
        *self.imported.borrow_mut() = Some(from);
    }

    pub(super) fn imported(&self) -> Option<Imported> {
        self.imported.borrow().clone()
    }

    /// Takes note of what a draw cost.
    pub(super) fn spend(&self, spent: Spent) {
        self.spent.set(self.spent.get().and(spent));
    }

    /// What all draws have cost so far, those of earlier attempts too.
    pub(super) const fn spent(&self) -> Spent {
        self.spent.get()
    }

    /// Keeps the cost so far, at most once a second: a kill then loses little of the account.
    pub(super) fn note(&self) -> Result<(), store::Error> {
        if self.seconds() - self.noted.get() >= 1.0 { self.end() } else { Ok(()) }
    }

    /// Keeps the cost so far.
    pub(super) fn end(&self) -> Result<(), store::Error> {
        let seconds = self.seconds();
        self.noted.set(seconds);
        let (rows, spent) = (self.rows.get(), self.spent.get());
        self.partial.note(Effort { seconds, rows, spent, ..self.earlier })
    }

    pub(super) fn cost(&self) -> Cost {
        let started = rfc3339(self.started);
        let (seconds, attempts) = (self.seconds(), self.earlier.attempts);
        Cost { started, seconds, attempts, spent: self.spent.get() }
    }

    pub(super) fn warn(&self, text: String) {
        self.listener.hear(&Event::Warned { node: self.node.clone(), text, fault: None });
    }

    pub(super) fn warn_of(&self, fault: Fault, text: String) {
        let fault = Some(fault);
        self.listener.hear(&Event::Warned { node: self.node.clone(), text, fault });
    }
}
