//! One process's work on one run, and what it costs.

use std::cell::Cell;
use std::time::SystemTime;

use super::events::{Interrupt, Listener};
use super::node::NodeName;
use super::time::rfc3339;
use crate::store::{self, Cost, Partial};

/// One process's work on one run.
pub(super) struct Attempt<'a> {
    pub(super) node: &'a NodeName,
    pub(super) partial: &'a Partial,
    pub(super) listener: &'a dyn Listener,
    pub(super) interrupt: &'a Interrupt,
    pub(super) device: &'a str,
    pub(super) clock: fn() -> SystemTime,
    pub(super) started: SystemTime,
    pub(super) earlier_seconds: f64,
    pub(super) attempts: u32,
    pub(super) noted: Cell<f64>,
}

impl Attempt<'_> {
    fn seconds(&self) -> f64 {
        let elapsed = (self.clock)().duration_since(self.started).unwrap_or_default();
        self.earlier_seconds + elapsed.as_secs_f64()
    }

    /// Keeps the cost so far, at most once a second: a kill then loses little of the account.
    pub(super) fn note(&self) -> Result<(), store::Error> {
        let seconds = self.seconds();
        if seconds - self.noted.get() >= 1.0 {
            self.partial.note(seconds, self.attempts)?;
            self.noted.set(seconds);
        }
        Ok(())
    }

    pub(super) fn cost(&self) -> Cost {
        let started = rfc3339(self.started);
        Cost { started, seconds: self.seconds(), attempts: self.attempts }
    }
}
