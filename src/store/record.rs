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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Counted {
        #[expect(dead_code, reason = "only that it is read matters")]
        number: u64,
    }

    /// What is said of a column that is not what a row wants.
    fn told(name: &str, column: ArrayRef) -> String {
        let batch = RecordBatch::try_from_iter_with_nullable([(name, column, true)]).unwrap();
        let error = from_batch::<Counted>(&batch).unwrap_err();
        assert!(matches!(&error, Error::Decode { .. }), "{error:?}");
        assert!(!error.is_damage());
        error.to_string()
    }

    #[test]
    fn columns_that_are_no_rows_are_told_with_the_row_and_the_reason() {
        let null = told("number", Arc::new(Int64Array::from(vec![Some(1), None])));
        let negative = told("number", Arc::new(Int64Array::from(vec![-1])));
        let text = told("number", Arc::new(StringArray::from(vec!["one"])));
        let other = told("digit", Arc::new(Int64Array::from(vec![1])));
        for said in [&null, &negative, &text, &other] {
            assert!(said.starts_with("rows cannot be read as `"), "{said}");
            assert!(said.contains("Counted`: "), "{said}");
        }
        assert!(other.contains("missing field `number`"), "{other}");
        let good: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let good = RecordBatch::try_from_iter([("number", good)]).unwrap();
        assert_eq!(from_batch::<Counted>(&good).unwrap().len(), 2);
    }
}
