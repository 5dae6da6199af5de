//! How far a node is, told as it goes on.

use super::attempt::Attempt;
use super::events::{Event, Fault};
use super::figure::Figure;

/// Counts finished units of work and tells the listener.
pub struct Meter<'a> {
    attempt: &'a Attempt<'a>,
    done: u64,
    total: u64,
    resumed: u64,
    figures: Vec<Figure>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(attempt: &'a Attempt<'a>, total: u64, resumed: u64) -> Self {
        let meter = Self { attempt, done: resumed, total, resumed, figures: Vec::new() };
        meter.tell();
        meter
    }

    /// Says that `units` more are done.
    pub fn add(&mut self, units: u64) {
        self.reach(self.done + units);
    }

    /// Says what matters of the rows so far; heard with the next unit.
    pub fn watch(&mut self, figures: Vec<Figure>) {
        self.figures = figures;
    }

    /// Tells a person something that stops nothing.
    pub fn warn(&self, text: impl Into<String>) {
        self.attempt.warn(text.into());
    }

    /// Tells a person that the node goes wrong, which stops nothing either.
    pub fn warn_of(&self, fault: Fault, text: String) {
        self.attempt.warn_of(fault, text);
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.attempt.interrupt.requested()
    }

    pub(super) const fn done(&self) -> u64 {
        self.done
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn reach(&mut self, done: u64) {
        if done != self.done {
            self.done = done;
            self.tell();
        }
    }

    fn tell(&self) {
        let node = self.attempt.node.clone();
        let Self { done, total, resumed, .. } = *self;
        let figures = self.figures.clone();
        self.attempt.listener.hear(&Event::Progress { node, done, total, resumed, figures });
    }
}
