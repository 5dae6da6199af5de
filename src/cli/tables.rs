//! Tables that commands print, in any format.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::ui::Ui;
use crate::query::{Format, Sink, emit, sink};

/// How `--format` is read.
pub(super) fn format() -> impl TypedValueParser<Value = Format> {
    format_of(&Format::NAMES.map(|(name, _)| name))
}

/// How `--format` is read where only some formats are printed.
pub(super) fn format_of(names: &[&'static str]) -> impl TypedValueParser<Value = Format> + use<> {
    PossibleValuesParser::new(names.iter().copied())
        .map(|name| Format::named(&name).unwrap_or(Format::Table))
}

/// Opens the way out for rows in a format.
pub(super) fn rows_out(ui: &Ui, format: Format, rows: Option<usize>) -> Box<dyn Sink> {
    sink(format, ui.layout(rows), ui.out())
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
