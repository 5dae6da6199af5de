//! Numbers that nothing can be said about, and what is checked before anything is.

/// Numbers that nothing can be said about.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// There is no row.
    #[error("there are no rows")]
    NoRows,
    /// Two lists that belong together differ in length.
    #[error("{x} numbers on one side, {y} on the other")]
    Lengths {
        /// Of the first.
        x: usize,
        /// Of the second.
        y: usize,
    },
    /// A number that is infinite or NaN.
    #[error("row {row}: expected a finite number")]
    NotFinite {
        /// Its place, from 0.
        row: usize,
    },
    /// A category outside the categories.
    #[error("row {row}: category {found} is not one of {categories}")]
    Category {
        /// Its place, from 0.
        row: usize,
        /// What it is.
        found: usize,
        /// How many there are, from 0 on.
        categories: usize,
    },
    /// A preference outside its range.
    #[error("row {row}: a preference of {found}; expected a number from 0 to 1")]
    Preference {
        /// Its place, from 0.
        row: usize,
        /// What it is.
        found: f64,
    },
    /// A weight outside its range.
    #[error("row {row}: a weight of {found}; expected a number of at least 0")]
    Weight {
        /// Its place, from 0.
        row: usize,
        /// What it is.
        found: f64,
    },
    /// There is nobody to compare with.
    #[error("there is one player only; a comparison needs two")]
    OnePlayer,
    /// Too little to say anything of.
    #[error("found {found} {what}; expected at least {needed}")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
        /// Of what.
        what: &'static str,
    },
    /// Two sides that are compared prompt by prompt share none.
    #[error("there is no prompt on which both sides have a readable verdict")]
    NothingInCommon,
    /// Nobody has this name.
    #[error("nobody is called `{name}`; there are {}", known.join(", "))]
    UnknownPlayer {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Some players never lost to the others, so that no finite strengths explain the bouts best.
    #[error("{} of {players} players never lost to any of the others: the strengths have no finite maximum-likelihood estimate", unbeaten.len())]
    Unconnected {
        /// Who, from 0.
        unbeaten: Vec<usize>,
        /// How many there are.
        players: usize,
    },
    /// The same, by name.
    #[error("{} never lost to any of the others: the strengths have no finite maximum-likelihood estimate", names.join(", "))]
    Unbeaten {
        /// Who.
        names: Vec<String>,
    },
    /// Wins can be told from losses without exception, so that no coefficient is large enough.
    #[error("every win can be told from every loss: the likelihood has no maximum")]
    Separated,
    /// A term of a model says what other terms say already.
    #[error("the term `{term}` is a combination of the others: what each does cannot be told")]
    Collinear {
        /// Its name.
        term: &'static str,
    },
    /// A log-probability outside its range.
    #[error("a log-probability of {found}; expected at most 0, and one of two that is finite")]
    Logprob {
        /// What it is.
        found: f64,
    },
}

impl Error {
    /// Whether the rows are as they should be and yet say nothing: what is asked for does not exist.
    #[must_use]
    pub const fn is_about_what_was_found(&self) -> bool {
        matches!(
            self,
            Self::Separated
                | Self::Collinear { .. }
                | Self::Unbeaten { .. }
                | Self::Unconnected { .. }
                | Self::NothingInCommon
                | Self::TooFew { .. }
        )
    }

    pub(super) fn check_lengths(x: usize, y: usize) -> Result<(), Self> {
        match (x, y) {
            (0, 0) => Err(Self::NoRows),
            _ if x == y => Ok(()),
            _ => Err(Self::Lengths { x, y }),
        }
    }

    pub(super) fn check_finite(numbers: &[f64]) -> Result<(), Self> {
        let wrong = numbers.iter().position(|number| !number.is_finite());
        wrong.map_or(Ok(()), |row| Err(Self::NotFinite { row }))
    }

    pub(super) fn check_preferences(
        preferences: impl Iterator<Item = Option<f64>>,
    ) -> Result<(), Self> {
        let range = 0.0..=1.0;
        for (row, preference) in preferences.enumerate() {
            if let Some(found) = preference.filter(|preference| !range.contains(preference)) {
                return Err(Self::Preference { row, found });
            }
        }
        Ok(())
    }

    pub(super) fn check_weights(weights: &[f64]) -> Result<(), Self> {
        let wrong = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0);
        wrong.map_or(Ok(()), |row| Err(Self::Weight { row, found: weights[row] }))
    }
}
