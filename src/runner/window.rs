//! Draws under way: handed out in the order of their rows, landed in whatever order they come.

use super::attempt::Attempt;
use super::events::{Fault, Interrupted, StageError};
use super::figure::Figure;
use super::meter::Meter;
use crate::store::{Journal, Lost, Record, Spent};

/// Seconds that draws under way have to land, once a stop was asked for.
const GRACE_SECONDS: f64 = 10.0;

/// Seconds that a power cut may take, at most, of what has landed.
const SYNC_SECONDS: f64 = 1.0;

/// The rows of a table that are drawn one by one. Each is safe on disk when [`Window::land`] returns.
pub struct Window<'w, U, R> {
    attempt: &'w Attempt<'w>,
    meter: Meter<'w>,
    journal: Journal<R>,
    units: &'w mut dyn Iterator<Item = Result<U, StageError>>,
    per_unit: usize,
    next_row: u64,
    stopping: Option<f64>,
    synced: f64,
}

/// A piece of work, and which of its rows are still to be drawn.
#[derive(Debug)]
pub struct Handed<U> {
    /// What it is.
    pub unit: U,
    /// The number of its first row in the table.
    pub first_row: u64,
    /// Its rows that have not landed, counted from its first.
    pub missing: Vec<usize>,
}

/// A stage ended before all of its rows had landed: a mistake in mrx.
#[derive(Debug, thiserror::Error)]
#[error("row {0} was never drawn")]
struct NeverDrawn(u64);

impl<'w, U, R: Record> Window<'w, U, R> {
    pub(super) fn open(
        attempt: &'w Attempt<'w>,
        rows: u64,
        per_unit: usize,
        units: &'w mut dyn Iterator<Item = Result<U, StageError>>,
    ) -> Result<Self, StageError> {
        let (journal, lost) = attempt.partial.journal::<R>(rows)?;
        for lost in &lost {
            attempt.warn(told(lost));
        }
        let (safe, landed) = (attempt.earlier.rows, journal.landed());
        if safe > landed && lost.is_empty() {
            let gone = safe - landed;
            attempt.warn(format!("{gone} rows that were safe are gone; they are drawn again"));
        }
        attempt.landed(landed);
        let meter = Meter::new(attempt, rows, landed);
        let synced = attempt.seconds();
        Ok(Self { attempt, meter, journal, units, per_unit, next_row: 0, stopping: None, synced })
    }

    /// Hands out the next unit that has rows to draw; `None` where there is none, or a stop was asked
    /// for.
    ///
    /// # Errors
    /// Where a unit cannot be made.
    pub fn hand_out(&mut self) -> Result<Option<Handed<U>>, StageError> {
        while !self.attempt.interrupt.requested() {
            let Some(unit) = self.units.next().transpose()? else { return Ok(None) };
            let first_row = self.next_row;
            self.next_row += self.per_unit as u64;
            let missing =
                (0..self.per_unit).filter(|row| !self.journal.has(first_row + *row as u64));
            let missing: Vec<usize> = missing.collect();
            if !missing.is_empty() {
                return Ok(Some(Handed { unit, first_row, missing }));
            }
        }
        Ok(None)
    }

    /// Keeps a row.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn land(&mut self, number: u64, row: &R) -> Result<(), StageError> {
        self.journal.add(number, row)?;
        self.attempt.landed(self.journal.landed());
        self.meter.reach(self.journal.landed());
        self.keep_up()
    }

    /// Tells whether to wait for draws under way: until some time after a stop was asked for.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn go_on(&mut self) -> Result<bool, StageError> {
        self.keep_up()?;
        if !self.attempt.interrupt.requested() {
            return Ok(true);
        }
        let now = self.attempt.seconds();
        let since = *self.stopping.get_or_insert(now);
        Ok(now - since < GRACE_SECONDS)
    }

    /// Rows that landed in earlier attempts, or in this one so far.
    pub fn landed(&self) -> impl Iterator<Item = Result<R, StageError>> + '_ {
        self.journal.rows().map(|row| row.map_err(Into::into))
    }

    /// Takes note of what a draw cost.
    pub fn spend(&mut self, spent: Spent) {
        self.attempt.spend(spent);
    }

    /// What all draws have cost so far.
    #[must_use]
    pub const fn spent(&self) -> Spent {
        self.attempt.spent()
    }

    /// Tells a person something that stops nothing.
    pub fn warn(&self, text: impl Into<String>) {
        self.attempt.warn(text.into());
    }

    /// Tells a person that most rows go wrong, which stops nothing either.
    pub fn warn_of(&self, fault: Fault, text: String) {
        self.attempt.warn_of(fault, text);
    }

    /// How many rows the table will have.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.meter.total()
    }

    /// Says what matters of the rows so far; heard with the next one.
    pub fn watch(&mut self, figures: Vec<Figure>) {
        self.meter.watch(figures);
    }

    fn keep_up(&mut self) -> Result<(), StageError> {
        if self.attempt.seconds() - self.synced >= SYNC_SECONDS {
            self.sync()?;
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), StageError> {
        self.journal.sync()?;
        self.synced = self.attempt.seconds();
        Ok(self.attempt.end()?)
    }

    /// Returns the rows in their order, once all are there.
    pub(super) fn into_journal(self) -> Result<Journal<R>, StageError> {
        match self.journal.first_missing() {
            None => Ok(self.journal),
            Some(_) if self.attempt.interrupt.requested() => Err(Interrupted.into()),
            Some(number) => Err(NeverDrawn(number).into()),
        }
    }
}

fn told(Lost { at, bytes, torn }: &Lost) -> String {
    if *torn {
        format!(
            "the last {bytes} bytes of its journal are half a record, and cut off: that row is drawn again"
        )
    } else {
        format!(
            "{bytes} bytes of its journal from byte {at} on are damaged: what they held is drawn again"
        )
    }
}
