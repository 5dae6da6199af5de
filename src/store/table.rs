//! Tables: records in one Parquet object.
//!
//! The one place that knows writer settings. The same rows give the same bytes, however they
//! arrive: chunks and row groups have fixed sizes counted from the table's first row, nothing of
//! the machine or the moment is written, and encoding in parallel changes only who does the work.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriter,
    ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::error::Error;
use super::format::FIRST;
use super::layout::Store;
use super::manifest::StoredTable;
use super::objects::ObjectWriter;
use super::record::{Record, fields, to_batch};

/// Rows of a full row group: DuckDB scans a group per thread, and likes sixty vectors of 2,048.
pub const ROW_GROUP_ROWS: usize = 122_880;

/// A group of long texts is closed early, so that memory does not follow the length of the texts.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Rows that go to the encoder together; every group is a whole number of these.
pub(super) const CHUNK_ROWS: usize = 2048;

/// Row groups that may be encoding while the next one fills: each holds some 128 MiB of rows.
const IN_FLIGHT: usize = 1;

type Encoded = Result<Vec<ArrowColumnChunk>, ParquetError>;

/// Writes the rows of one table into one object. Memory does not grow with rows.
#[must_use = "nothing is kept until finish() names it"]
pub struct TableWriter<R: Record> {
    columns: Vec<FieldRef>,
    schema: SchemaRef,
    file: SerializedFileWriter<ObjectWriter>,
    encoders: ArrowRowGroupWriterFactory,
    pending: VecDeque<RecordBatch>,
    pending_rows: usize,
    group: Vec<RecordBatch>,
    group_bytes: usize,
    groups_started: usize,
    in_flight: VecDeque<Receiver<Encoded>>,
    rows: u64,
    record: PhantomData<fn(R)>,
}

impl<R: Record> TableWriter<R> {
    /// Opens a writer for a new table.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn create(store: &Store) -> Result<Self, Error> {
        let columns = fields::<R>()?;
        let schema = Arc::new(Schema::new(columns.clone()));
        let options = ArrowWriterOptions::new()
            .with_properties(properties::<R>())
            .with_skip_arrow_metadata(true);
        let (file, encoders) =
            ArrowWriter::try_new_with_options(store.object_writer()?, schema.clone(), options)
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(failed::<R>)?;
        Ok(Self {
            columns,
            schema,
            file,
            encoders,
            pending: VecDeque::new(),
            pending_rows: 0,
            group: Vec::new(),
            group_bytes: 0,
            groups_started: 0,
            in_flight: VecDeque::new(),
            rows: 0,
            record: PhantomData,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk refuses.
    pub fn write(&mut self, rows: &[R]) -> Result<(), Error> {
        rows.chunks(CHUNK_ROWS)
            .try_for_each(|rows| self.write_batch(to_batch(&self.columns, rows)?))
    }

    /// Adds rows that are Arrow columns already.
    ///
    /// # Errors
    /// [`Error::Encode`] where the columns are not those of `R`.
    pub fn write_batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        if batch.schema().fields() != self.schema.fields() {
            let reason = format!("expected columns {:?}, found {:?}", self.schema, batch.schema());
            return Err(Error::encode(R::TABLE, reason));
        }
        self.rows += batch.num_rows() as u64;
        self.pending_rows += batch.num_rows();
        self.pending.push_back(batch);
        while self.pending_rows >= CHUNK_ROWS {
            let chunk = self.take_chunk(CHUNK_ROWS)?;
            self.add_chunk(chunk)?;
        }
        Ok(())
    }

    /// Takes the oldest `rows` pending rows as one batch.
    fn take_chunk(&mut self, rows: usize) -> Result<RecordBatch, Error> {
        let mut parts = Vec::new();
        let mut missing = rows;
        while missing > 0 {
            let Some(first) = self.pending.pop_front() else { break };
            let taken = first.num_rows().min(missing);
            if taken < first.num_rows() {
                self.pending.push_front(first.slice(taken, first.num_rows() - taken));
            }
            parts.push(first.slice(0, taken));
            missing -= taken;
        }
        self.pending_rows -= rows;
        concat_batches(&self.schema, &parts).map_err(|e| Error::encode(R::TABLE, e))
    }

    fn add_chunk(&mut self, chunk: RecordBatch) -> Result<(), Error> {
        self.group_bytes += payload_bytes(&chunk);
        self.group.push(chunk);
        let full = self.group.len() * CHUNK_ROWS >= ROW_GROUP_ROWS;
        if full || self.group_bytes >= ROW_GROUP_BYTES { self.close_group() } else { Ok(()) }
    }

    /// Hands the filled group to the encoders, and writes those that are done.
    fn close_group(&mut self) -> Result<(), Error> {
        let writers =
            self.encoders.create_column_writers(self.groups_started).map_err(failed::<R>)?;
        let chunks = std::mem::take(&mut self.group);
        self.group_bytes = 0;
        self.groups_started += 1;
        let (done, encoded) = sync_channel(1);
        rayon::spawn(move || {
            // The receiver is gone only when the table was given up.
            let _ = done.send(encode(writers, chunks));
        });
        self.in_flight.push_back(encoded);
        if self.in_flight.len() > IN_FLIGHT { self.append_oldest() } else { Ok(()) }
    }

    /// Waits for the oldest group in flight and writes it: groups keep their order.
    fn append_oldest(&mut self) -> Result<(), Error> {
        let Some(encoded) = self.in_flight.pop_front() else { return Ok(()) };
        let chunks = wait_for(&encoded)
            .ok_or_else(|| Error::encode(R::TABLE, "an encoder thread died"))?
            .map_err(failed::<R>)?;
        let mut group = self.file.next_row_group().map_err(failed::<R>)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group).map_err(failed::<R>)?;
        }
        group.close().map(|_| ()).map_err(failed::<R>)
    }

    /// Writes what is left, syncs it and names it.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk refuses; nothing is left behind then.
    pub fn finish(mut self) -> Result<StoredTable, Error> {
        if self.pending_rows > 0 {
            let chunk = self.take_chunk(self.pending_rows)?;
            self.group.push(chunk);
        }
        if !self.group.is_empty() {
            self.close_group()?;
        }
        while !self.in_flight.is_empty() {
            self.append_oldest()?;
        }
        let rows = self.rows;
        let (object, bytes) = self.file.into_inner().map_err(failed::<R>)?.finish()?;
        Ok(StoredTable { object, rows, bytes })
    }
}

/// The number of the settings below. It is not the store's: the layout around the tables may change and
/// every digest stay, and with them all ids and seeds that follow from a digest.
///
/// History: 1, the first.
const ENCODING: u32 = 1;

/// The settings that decide a table's bytes.
///
/// To change one, or to take a `parquet` crate that encodes otherwise: raise [`ENCODING`], then accept the
/// new golden digest in `tests/it/schemas.rs`. Old objects stay readable; new runs get other digests, so
/// what stands on them is made again.
fn properties<R: Record>() -> WriterProperties {
    let table = KeyValue::new("mrx.table".to_owned(), R::TABLE.to_owned());
    // The first version is not said: its tables are the same bytes as before there were versions.
    let version = (R::VERSION != FIRST)
        .then(|| KeyValue::new("mrx.version".to_owned(), R::VERSION.to_string()));
    let properties = WriterProperties::builder()
        .set_created_by(format!("mrx format {ENCODING}"))
        .set_key_value_metadata(Some(std::iter::once(table).chain(version).collect()))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    R::DISTINCT
        .iter()
        .fold(properties, |properties, &column| {
            properties.set_column_dictionary_enabled(ColumnPath::from(column), false)
        })
        .build()
}

/// Encodes a row group, letting go of each chunk as it goes.
fn encode(mut writers: Vec<ArrowColumnWriter>, chunks: Vec<RecordBatch>) -> Encoded {
    for chunk in chunks {
        let mut writers = writers.iter_mut();
        for (field, column) in chunk.schema_ref().fields().iter().zip(chunk.columns()) {
            for (leaf, writer) in compute_leaves(field, column)?.iter().zip(&mut writers) {
                writer.write(leaf)?;
            }
        }
    }
    writers.into_iter().map(ArrowColumnWriter::close).collect()
}

/// Waits for an encoder. One of rayon's own threads works on what waits in its queue meanwhile: the encoder
/// may be waiting there, for this very thread.
fn wait_for(encoded: &Receiver<Encoded>) -> Option<Encoded> {
    loop {
        match encoded.try_recv() {
            Ok(encoded) => return Some(encoded),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        if rayon::yield_now() != Some(rayon::Yield::Executed) {
            return encoded.recv().ok();
        }
    }
}

/// The bytes that the rows themselves take, whatever buffers they are slices of.
fn payload_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// A disk that refuses comes back wrapped in a Parquet error; here it is unwrapped.
fn failed<R: Record>(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => Error::Write { path: R::TABLE.into(), source: *source },
            Err(other) => Error::encode(R::TABLE, other),
        },
        other => Error::encode(R::TABLE, other),
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::store::format::Version;

    #[derive(Serialize, Deserialize)]
    struct Number {
        number: u64,
    }

    impl Record for Number {
        const TABLE: &'static str = "numbers";
        const VERSION: Version = Version::new(1, 0);
        const DISTINCT: &'static [&'static str] = &["number"];
    }

    /// With one thread, the encoder can only run on the thread that waits for it.
    #[test]
    fn a_table_is_written_on_the_only_thread_of_a_pool() {
        let (done, written) = sync_channel(1);
        std::thread::spawn(move || {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::create(folder.path()).unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let table = pool.install(|| {
                let mut writer = TableWriter::<Number>::create(&store).unwrap();
                writer.write(&[Number { number: 7 }]).unwrap();
                writer.finish().unwrap()
            });
            done.send(table.rows).unwrap();
        });
        let patience = std::time::Duration::from_secs(20);
        assert_eq!(written.recv_timeout(patience), Ok(1), "the writer waits for itself");
    }
}
