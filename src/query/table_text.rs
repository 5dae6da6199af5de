//! The table for a person: it fits the terminal, and says what it left out.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};

use super::cells::{cells, one_line};
use super::sink::{Error, Sink};

/// How much of a result a terminal shows.
#[derive(Debug, Clone, Copy)]
pub struct TableText {
    /// Columns of the terminal.
    pub width: usize,
    /// Rows to show; the rest are counted.
    pub rows: usize,
}

pub(super) struct TableSink<'w> {
    layout: TableText,
    out: Box<dyn Write + Send + 'w>,
    schema: SchemaRef,
    shown: Vec<Vec<String>>,
    hidden_rows: usize,
    hidden_columns: usize,
    cut_cells: usize,
}

impl<'w> TableSink<'w> {
    pub(super) fn new(layout: TableText, out: Box<dyn Write + Send + 'w>) -> Self {
        Self {
            layout,
            out,
            schema: SchemaRef::new(Schema::empty()),
            shown: Vec::new(),
            hidden_rows: 0,
            hidden_columns: 0,
            cut_cells: 0,
        }
    }
}

impl TableSink<'_> {
    /// A query plan is drawn by DuckDB, over many lines.
    fn is_plan(&self) -> bool {
        let names = self.schema.fields().iter().map(|field| field.name().as_str());
        names.eq(["explain_key", "explain_value"])
    }
}

impl Sink for TableSink<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        self.schema = schema.clone();
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
        if self.is_plan() {
            for plan in cells(&self.schema, batch)?.iter().skip(1).flatten() {
                writeln!(self.out, "{}", plan.trim_end())?;
            }
            return Ok(true);
        }
        let wanted = self.layout.rows.saturating_sub(self.shown.len()).min(batch.num_rows());
        self.hidden_rows += batch.num_rows() - wanted;
        let columns = cells(&self.schema, &batch.slice(0, wanted))?;
        for row in 0..wanted {
            let texts = self.schema.fields().iter().zip(&columns);
            let texts = texts.map(|(field, column)| match field.data_type() {
                DataType::Float32 | DataType::Float64 => rounded(&column[row]),
                _ => one_line(&column[row]),
            });
            self.shown.push(texts.collect());
        }
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.is_plan() {
            return Ok(self.out.flush()?);
        }
        // A PIVOT makes names of texts.
        let names: Vec<String> = self.schema.fields().iter().map(|f| one_line(f.name())).collect();
        let natural: Vec<usize> = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let widths = self.shown.iter().map(|row| console::measure_text_width(&row[at]));
                widths.max().unwrap_or(0).max(console::measure_text_width(name))
            })
            .collect();
        let widths = fit(&natural, self.layout.width);
        self.hidden_columns = names.len() - widths.len();
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_style(TableComponent::HeaderLines, '─')
            .set_style(TableComponent::MiddleHeaderIntersections, '─')
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(
            names
                .iter()
                .zip(&widths)
                .map(|(name, width)| console::truncate_str(name, *width, "…").into_owned()),
        );
        for row in &self.shown {
            let cells = row.iter().zip(&widths).map(|(text, width)| {
                let cut = console::truncate_str(text, *width, "…").into_owned();
                self.cut_cells += usize::from(cut != *text);
                cut
            });
            table.add_row(cells.collect::<Vec<_>>());
        }
        for (field, column) in self.schema.fields().iter().zip(table.column_iter_mut()) {
            column.set_padding((0, GAP - 1));
            if field.data_type().is_numeric() {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(self.out.flush()?)
    }

    fn note(&self) -> Option<String> {
        let count = |n: usize, one: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {one}s")),
        };
        let left_out: Vec<String> = [
            count(self.hidden_rows, "more row"),
            count(self.hidden_columns, "more column"),
            count(self.cut_cells, "text cut to fit"),
        ]
        .into_iter()
        .flatten()
        .map(|part| part.replace("text cut to fits", "texts cut to fit"))
        .collect();
        (!left_out.is_empty()).then(|| left_out.join(", "))
    }
}

/// Spaces between columns: one of padding, and the separator, which is a space.
const GAP: u16 = 2;

/// Narrows the widest columns until the table fits; leaves out the last where that is not enough.
fn fit(natural: &[usize], terminal: usize) -> Vec<usize> {
    const LEAST: usize = 8;
    let mut widths = natural.to_vec();
    let gap = usize::from(GAP);
    let total = |widths: &[usize]| widths.iter().map(|width| width + gap).sum::<usize>();
    while total(&widths) > terminal {
        let widest = widths.iter().copied().max().unwrap_or(0);
        if widest <= LEAST {
            if widths.len() <= 1 {
                break;
            }
            // The room that the last column frees goes back to those that stay.
            return fit(&natural[..natural.len() - 1], terminal);
        }
        let over = total(&widths) - terminal;
        let next = widths.iter().copied().filter(|width| *width < widest).max().unwrap_or(0);
        let share = widths.iter().filter(|width| **width == widest).count();
        let target = widest.saturating_sub(over.div_ceil(share)).max(next).max(LEAST);
        for width in widths.iter_mut().filter(|width| **width == widest) {
            *width = target.min(widest - 1);
        }
    }
    widths
}

/// Shows a number to six significant digits; every other format has them all.
fn rounded(text: &str) -> String {
    const DIGITS: i32 = 6;
    let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else {
        return text.to_owned();
    };
    if text.len() <= 8 || value == 0.0 {
        return text.to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a decimal exponent is small")]
    let places = DIGITS - 1 - value.abs().log10().floor() as i32;
    match usize::try_from(places) {
        Ok(places) if places <= 12 => {
            let fixed = format!("{value:.places$}");
            fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.5e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_narrowed_where_it_is_widest_and_never_past_the_terminal() {
        assert_eq!(fit(&[4, 30, 10], 80), [4, 30, 10]);
        assert_eq!(fit(&[4, 300, 10], 80), [4, 60, 10]);
        for terminal in [10, 20, 40, 79] {
            let widths = fit(&[12, 300, 40, 9, 100], terminal);
            let total: usize = widths.iter().map(|width| width + 2).sum();
            assert!(total <= terminal, "{widths:?} in {terminal}");
        }
        assert_eq!(fit(&[50, 50], 9), [8], "one narrow column is better than nothing");
    }
}
