//! Output formats: Arrow batches in, bytes out, as they come.

use std::io::Write;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, JsonArray, LineDelimited, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;
use crate::store::fields;

/// A form in which rows leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    Table,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// A Markdown table.
    Markdown,
    /// One Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
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

/// Makes the sink of a format. `Table` is [`TableText`]'s, which needs to know the terminal.
#[must_use]
pub fn sink<'w>(
    format: Format,
    table: TableText,
    out: Box<dyn Write + Send + 'w>,
) -> Box<dyn Sink + 'w> {
    match format {
        Format::Table => Box::new(TableSink { layout: table, out, ..TableSink::empty() }),
        Format::Markdown => Box::new(MarkdownSink { out }),
        Format::Csv => Box::new(CsvSink { out: Some(out), writer: None }),
        Format::Json => {
            let writer = json_options().build::<_, JsonArray>(out);
            Box::new(JsonSink { writer, end: b"\n" })
        }
        Format::Jsonl => {
            let writer = json_options().build::<_, LineDelimited>(out);
            Box::new(JsonSink { writer, end: b"" })
        }
        Format::Parquet => Box::new(ParquetSink { out: Some(out), writer: None }),
        Format::Arrow => Box::new(ArrowSink { out: Some(out), writer: None }),
    }
}

/// Hands rows that mrx made itself to a sink, so that they have every format too.
///
/// # Errors
/// Where the sink cannot write.
pub fn emit<T: Serialize + DeserializeOwned>(rows: &[T], sink: &mut dyn Sink) -> Result<(), Error> {
    let fields = fields::<T>()?;
    let batch = serde_arrow::to_record_batch(&fields, &rows);
    let batch = batch.map_err(|e| Error::Format(e.to_string()))?;
    sink.begin(batch.schema_ref())?;
    sink.batch(&batch)?;
    sink.end()
}

fn failed(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, source) => Error::Write(source),
        other => Error::Format(other.to_string()),
    }
}

/// Returns the text of one value: nested values as JSON, NULL as nothing.
fn cells(schema: &Schema, batch: &RecordBatch) -> Result<Vec<Vec<String>>, Error> {
    let options = FormatOptions::default();
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let texts: Vec<String> = if field.data_type().is_nested() {
            as_json(field, column)?.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
        } else {
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options).map_err(failed)?;
            (0..column.len()).map(|row| formatter.value(row).to_string()).collect()
        };
        columns.push(texts);
    }
    Ok(columns)
}

fn as_json(field: &std::sync::Arc<Field>, column: &ArrayRef) -> Result<StringArray, Error> {
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

/// How much of a result a terminal shows.
#[derive(Debug, Clone, Copy)]
pub struct TableText {
    /// Columns of the terminal.
    pub width: usize,
    /// Rows to show; the rest are counted.
    pub rows: usize,
}

struct TableSink<'w> {
    layout: TableText,
    out: Box<dyn Write + Send + 'w>,
    schema: SchemaRef,
    shown: Vec<Vec<String>>,
    hidden_rows: usize,
    hidden_columns: usize,
    cut_cells: usize,
}

impl TableSink<'_> {
    fn empty() -> Self {
        Self {
            layout: TableText { width: 0, rows: 0 },
            out: Box::new(std::io::sink()),
            schema: SchemaRef::new(Schema::empty()),
            shown: Vec::new(),
            hidden_rows: 0,
            hidden_columns: 0,
            cut_cells: 0,
        }
    }
}

impl Sink for TableSink<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        self.schema = schema.clone();
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
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
        let names: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
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
            column.set_padding((0, GAP));
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

/// Spaces between columns.
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

fn one_line(text: &str) -> String {
    text.split_inclusive(['\n', '\r', '\t']).fold(String::new(), |mut line, part| {
        line.push_str(part.trim_end_matches(['\n', '\r', '\t']));
        if part.ends_with(['\n', '\r', '\t']) {
            line.push(' ');
        }
        line
    })
}

struct MarkdownSink<'w> {
    out: Box<dyn Write + Send + 'w>,
}

impl Sink for MarkdownSink<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        let names = schema.fields().iter().map(|field| field.name().replace('|', "\\|"));
        writeln!(self.out, "| {} |", names.collect::<Vec<_>>().join(" | "))?;
        let rules = schema
            .fields()
            .iter()
            .map(|field| if field.data_type().is_numeric() { "---:" } else { "---" });
        writeln!(self.out, "| {} |", rules.collect::<Vec<_>>().join(" | "))?;
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
        let columns = cells(batch.schema_ref(), batch)?;
        for row in 0..batch.num_rows() {
            let texts = columns.iter().map(|column| {
                column[row].replace('|', "\\|").replace("\r\n", "<br>").replace('\n', "<br>")
            });
            writeln!(self.out, "| {} |", texts.collect::<Vec<_>>().join(" | "))?;
        }
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Error> {
        Ok(self.out.flush()?)
    }
}

struct CsvSink<'w> {
    out: Option<Box<dyn Write + Send + 'w>>,
    writer: Option<arrow::csv::Writer<Box<dyn Write + Send + 'w>>>,
}

impl Sink for CsvSink<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        let out = self.out.take();
        self.writer = out.map(|out| arrow::csv::WriterBuilder::new().build(out));
        // The header comes with the first batch, and an empty one brings it where there are no rows.
        self.batch(&RecordBatch::new_empty(schema.clone())).map(|_| ())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if field.data_type().is_nested() {
                columns.push(std::sync::Arc::new(as_json(field, column)?) as ArrayRef);
                fields.push(std::sync::Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            } else {
                columns.push(column.clone());
                fields.push(field.clone());
            }
        }
        let flat = RecordBatch::try_new(std::sync::Arc::new(Schema::new(fields)), columns);
        if let (Some(writer), flat) = (&mut self.writer, flat.map_err(failed)?) {
            writer.write(&flat).map_err(csv_failed)?;
        }
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.writer.take() {
            Some(writer) => Ok(writer.into_inner().flush()?),
            None => Ok(()),
        }
    }
}

/// The CSV writer wraps a closed pipe in text; here it becomes one again.
fn csv_failed(error: ArrowError) -> Error {
    match error {
        ArrowError::CsvError(text) if text.contains("Broken pipe") => {
            Error::Write(std::io::ErrorKind::BrokenPipe.into())
        }
        other => failed(other),
    }
}

fn json_options() -> arrow::json::WriterBuilder {
    arrow::json::WriterBuilder::new().with_explicit_nulls(true)
}

struct JsonSink<W: Write, F: arrow::json::writer::JsonFormat> {
    writer: arrow::json::Writer<W, F>,
    end: &'static [u8],
}

impl<W: Write, F: arrow::json::writer::JsonFormat> Sink for JsonSink<W, F> {
    fn begin(&mut self, _: &SchemaRef) -> Result<(), Error> {
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
        self.writer.write(batch).map_err(failed)?;
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Error> {
        self.writer.finish().map_err(failed)?;
        self.writer.get_mut().write_all(self.end)?;
        Ok(self.writer.get_mut().flush()?)
    }
}

struct ParquetSink<'w> {
    out: Option<Box<dyn Write + Send + 'w>>,
    writer: Option<ArrowWriter<Box<dyn Write + Send + 'w>>>,
}

fn parquet_failed(error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(source) => match source.downcast() {
            Ok(io) => Error::Write(*io),
            Err(other) => Error::Format(other.to_string()),
        },
        other => Error::Format(other.to_string()),
    }
}

impl Sink for ParquetSink<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties));
        self.writer = Some(writer.map_err(parquet_failed)?);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
        if let Some(writer) = &mut self.writer {
            writer.write(batch).map_err(parquet_failed)?;
        }
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.writer.take() {
            Some(writer) => Ok(writer.into_inner().map_err(parquet_failed)?.flush()?),
            None => Ok(()),
        }
    }
}

struct ArrowSink<'w> {
    out: Option<Box<dyn Write + Send + 'w>>,
    writer: Option<arrow::ipc::writer::StreamWriter<Box<dyn Write + Send + 'w>>>,
}

impl Sink for ArrowSink<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let writer = arrow::ipc::writer::StreamWriter::try_new(out, schema);
        self.writer = Some(writer.map_err(failed)?);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
        if let Some(writer) = &mut self.writer {
            writer.write(batch).map_err(failed)?;
        }
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.writer.take() {
            Some(writer) => Ok(writer.into_inner().map_err(failed)?.flush()?),
            None => Ok(()),
        }
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
