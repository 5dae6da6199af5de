//! Rows and Arrow: a record is a plain struct, and its columns are its fields.

use arrow::array::RecordBatch;
use arrow::datatypes::FieldRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::schema::{SchemaLike, TracingOptions};

use super::error::Error;
use super::format::Version;

/// A row of one table.
pub trait Record: Serialize + DeserializeOwned + Send {
    /// The table's name, as in SQL.
    const TABLE: &'static str;

    /// The version of the table; its history stands in the first line of the table's schema.
    const VERSION: Version;

    /// Columns whose values hardly ever repeat (ids, seeds, texts): a dictionary does not pay.
    const DISTINCT: &'static [&'static str];
}

/// Returns the Arrow columns of a row type: its fields, `Option` meaning nullable.
///
/// # Errors
/// [`Error::Encode`] for a type that has no columnar shape.
pub fn fields<R: DeserializeOwned>() -> Result<Vec<FieldRef>, Error> {
    let options = TracingOptions::default()
        .strings_as_large_utf8(false)
        .sequence_as_large_list(false)
        .enums_without_data_as_strings(true);
    let name = std::any::type_name::<R>();
    Vec::<FieldRef>::from_type::<R>(options).map_err(|e| Error::encode(name, e))
}

/// Turns rows into Arrow columns.
///
/// # Errors
/// [`Error::Encode`] where a row does not fit `fields`.
pub fn to_batch<R: Record>(fields: &[FieldRef], rows: &[R]) -> Result<RecordBatch, Error> {
    serde_arrow::to_record_batch(fields, &rows).map_err(|e| Error::encode(R::TABLE, e))
}

/// Turns Arrow columns into rows.
///
/// # Errors
/// [`Error::Decode`] where the columns are not those of `R`.
pub fn from_batch<R: DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<R>, Error> {
    serde_arrow::from_record_batch(batch).map_err(|e| Error::Decode {
        row: std::any::type_name::<R>().to_owned(),
        reason: e.to_string(),
    })
}
