//! Where rows go as they come, and what can go wrong with a query.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::engine::tidy;
use super::gate::Refused;
use crate::store::{self, Digest};

/// What can go wrong with a query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gate refused the statement.
    #[error(transparent)]
    Refused(Refused),
    /// DuckDB refused or failed.
    #[error("{}", tidy(.0))]
    DuckDb(duckdb::Error),
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A stored table does not have the columns of its view.
    #[error("the table {table} cannot be read: {reason} (object {object})")]
    Shape {
        /// The table, and the node and experiment that it is of.
        table: String,
        /// Its bytes.
        object: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// What came out could not be written.
    #[error("cannot write the rows")]
    Write(#[from] std::io::Error),
    /// What came out has no form in this format.
    #[error("the rows cannot be written in this format: {0}")]
    Format(String),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unread(error) => Self::DuckDb(error),
            refused => Self::Refused(refused),
        }
    }
}

impl From<duckdb::Error> for Error {
    fn from(error: duckdb::Error) -> Self {
        Self::DuckDb(error)
    }
}

/// Takes rows as they come.
pub trait Sink {
    /// Learns the columns. Called once, first.
    ///
    /// # Errors
    /// Where it cannot write.
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error>;

    /// Takes rows; returns whether it wants more.
    ///
    /// # Errors
    /// Where it cannot write.
    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error>;

    /// Writes what is left. Called once, last.
    ///
    /// # Errors
    /// Where it cannot write.
    fn end(&mut self) -> Result<(), Error>;

    /// Says what it left out, for a person.
    fn note(&self) -> Option<String> {
        None
    }
}

/// A disk that refuses comes wrapped in an Arrow error; here it is unwrapped.
pub(super) fn failed(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, source) => Error::Write(source),
        other => Error::Format(other.to_string()),
    }
}
