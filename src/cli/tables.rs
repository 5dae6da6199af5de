//! Tables that commands print, in any format.

use clap::ValueEnum;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::ui::Ui;
use crate::query::{self, Sink, emit, sink};

/// A format of data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Jsonl,
    Csv,
    Markdown,
    Parquet,
    Arrow,
}

impl From<Format> for query::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => Self::Table,
            Format::Json => Self::Json,
            Format::Jsonl => Self::Jsonl,
            Format::Csv => Self::Csv,
            Format::Markdown => Self::Markdown,
            Format::Parquet => Self::Parquet,
            Format::Arrow => Self::Arrow,
        }
    }
}

/// Opens the way out for rows in a format.
pub(super) fn rows_out(ui: &Ui, format: Format, rows: Option<usize>) -> Box<dyn Sink> {
    sink(format.into(), ui.layout(rows), ui.out())
}

/// Prints rows that a command made itself.
pub(super) fn print_rows<T: Serialize + DeserializeOwned>(
    ui: &Ui,
    format: Format,
    rows: &[T],
) -> Result<(), Failure> {
    let mut out = rows_out(ui, format, Some(0));
    emit(rows, out.as_mut())?;
    Ok(())
}

/// Says on stderr what a table left out.
pub(super) fn tell_left_out(ui: &Ui, out: &dyn Sink) {
    if let Some(note) = out.note() {
        ui.say(&ui.paint(
            super::ui::Label::Dim,
            &format!("({note}; --rows 0 shows all rows, --format csv all text)"),
        ));
    }
}
