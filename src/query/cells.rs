//! One value as text, for formats that are text.

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{FieldRef, Schema};
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::sink::{Error, failed};

/// Returns the text of one value: nested values as JSON, NULL as nothing.
pub(super) fn cells(schema: &Schema, batch: &RecordBatch) -> Result<Vec<Vec<String>>, Error> {
    let options = FormatOptions::default().with_display_error(false);
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let texts: Vec<String> = if field.data_type().is_nested() {
            as_json(field, column)?.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
        } else {
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options).map_err(failed)?;
            (0..column.len())
                .map(|row| formatter.value(row).try_to_string())
                .collect::<Result<_, _>>()
                .map_err(failed)?
        };
        columns.push(texts);
    }
    Ok(columns)
}

/// Returns nested values as JSON.
pub(super) fn as_json(field: &FieldRef, column: &ArrayRef) -> Result<StringArray, Error> {
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(field, column.as_ref(), &options).map_err(failed)?;
    let mut texts = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let mut bytes = Vec::new();
        if !column.is_null(row) {
            encoder.encode(row, &mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        texts.push((!column.is_null(row)).then_some(text));
    }
    Ok(StringArray::from(texts))
}

/// A text on one line. Control characters are shown, not sent: a model's text must not steer a
/// terminal.
pub(super) fn one_line(text: &str) -> String {
    let shown = text.chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    });
    shown.collect()
}
