//! Output formats: Arrow batches in, bytes out, as they come.

use std::io::Write;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, LineDelimited};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cells::{as_json, cells, one_line};
use super::sink::{Error, Sink, failed};
use super::table_text::{TableSink, TableText};
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

impl Format {
    /// Every format, by the name it goes by on a command line.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("table", Self::Table),
        ("json", Self::Json),
        ("jsonl", Self::Jsonl),
        ("csv", Self::Csv),
        ("markdown", Self::Markdown),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
    ];

    /// Returns the format of this name, whatever its case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, format)| *format)
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
        Format::Table => Box::new(TableSink::new(table, out)),
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

struct MarkdownSink<'w> {
    out: Box<dyn Write + Send + 'w>,
}

impl Sink for MarkdownSink<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        let names = schema.fields().iter().map(|field| in_markdown(field.name()));
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
            let texts = columns.iter().map(|column| in_markdown(&column[row]));
            writeln!(self.out, "| {} |", texts.collect::<Vec<_>>().join(" | "))?;
        }
        Ok(true)
    }

    fn end(&mut self) -> Result<(), Error> {
        Ok(self.out.flush()?)
    }
}

/// A text in a cell of Markdown, which people read on terminals too.
fn in_markdown(text: &str) -> String {
    let lines = text.replace('|', "\\|").replace("\r\n", "<br>").replace('\n', "<br>");
    one_line(&lines)
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
