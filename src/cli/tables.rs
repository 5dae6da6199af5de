//! Tables that commands print, in any format.

use std::collections::BTreeSet;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::{Failure, Kind};
use super::ui::Ui;
use crate::query::{Error, Format, Refused, Session, Sink, emit, sink};

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

/// Runs one query and prints what comes out.
pub(super) fn print_query(
    session: &Session,
    query: &str,
    format: Format,
    rows: Option<usize>,
    ui: &Ui,
) -> Result<(), Failure> {
    let mut out = rows_out(ui, format, rows);
    let answered = session.run(query, out.as_mut());
    tell_lost(session, ui);
    match answered {
        Ok(()) => {
            tell_left_out(ui, out.as_ref());
            Ok(())
        }
        Err(Error::Refused(refused @ Refused::Syntax { .. })) => {
            let excerpt = match &refused {
                Refused::Syntax { place, .. } => format!("{refused}\n{place}"),
                other => other.to_string(),
            };
            Err(Failure::new(Kind::Data, excerpt))
        }
        Err(error) => Err(error.into()),
    }
}

/// Says on stderr which finished nodes are not in an answer, because they are lost.
pub(super) fn tell_lost(session: &Session, ui: &Ui) {
    let lost = session.lost();
    let experiments: BTreeSet<&str> = lost.iter().map(|node| node.experiment.as_str()).collect();
    for experiment in experiments {
        let nodes = lost.iter().filter(|node| node.experiment == experiment);
        let nodes: Vec<&str> = nodes.map(|node| node.node.as_str()).collect();
        let (few, more) = nodes.split_at(nodes.len().min(5));
        let more =
            if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        ui.warn(&format!(
            "rows are missing: of `{experiment}`, {}{more} had been finished and what they made is lost; \
             `mrx run` makes it again",
            few.join(", ")
        ));
    }
}
