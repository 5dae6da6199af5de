//! Tables are read back: as rows that name the columns they want, in whatever version they were written.

use std::fs::File;
use std::path::Path;

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use serde::de::DeserializeOwned;

use super::digest::Digest;
use super::error::{Error, OtherVersion};
use super::format::{FIRST, Version};
use super::layout::Store;
use super::record::{fields, from_batch};
use super::table::CHUNK_ROWS;

/// Reads the rows of a stored table as `Q`, which may name only some of its columns.
pub struct TableReader<Q> {
    digest: Digest,
    batches: ParquetRecordBatchReader,
    rows: std::vec::IntoIter<Q>,
}

impl<Q: DeserializeOwned> TableReader<Q> {
    /// Checks the object's bytes and opens it; only the columns that `Q` names are read.
    ///
    /// A table of an older version may lack a column: it reads as `None` where the field is an `Option`.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`] or [`Error::ObjectDamaged`]; [`Error::OtherVersion`] where the columns are
    /// not those of `Q` or mean something else.
    pub fn open(store: &Store, digest: Digest) -> Result<Self, Error> {
        let path = store.checked_path(digest)?;
        let file = File::open(&path).map_err(|source| Error::Read { path, source })?;
        let damaged = |e: ParquetError| Error::ObjectDamaged { digest, reason: e.to_string() };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
        let wanted = fields::<Q>()?;
        let said = metadata(builder.metadata());
        let table = Told { object: digest, said: &said, schema: builder.schema() };
        table.check_major(store)?;
        let columns = table.columns(store, &wanted)?;
        let names = columns.iter().map(|field| field.name().as_str());
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        let batches =
            builder.with_projection(mask).with_batch_size(CHUNK_ROWS).build().map_err(damaged)?;
        Ok(Self { digest, batches, rows: Vec::new().into_iter() })
    }
}

impl<Q: DeserializeOwned> Iterator for TableReader<Q> {
    type Item = Result<Q, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(Ok(row));
            }
            let batch = match self.batches.next()? {
                Ok(batch) => batch,
                Err(e) => {
                    let reason = e.to_string();
                    return Some(Err(Error::ObjectDamaged { digest: self.digest, reason }));
                }
            };
            match from_batch(&batch) {
                Ok(rows) => self.rows = rows.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// What a table says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    name: Option<String>,
    version: Version,
}

/// Reads a table's name and version; a version that cannot be read is none that is known.
fn metadata(parquet: &ParquetMetaData) -> Said {
    let pairs = parquet.file_metadata().key_value_metadata();
    let value = |key: &str| {
        let pair = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key));
        pair.and_then(|pair| pair.value.clone())
    };
    let version = value("mrx.version");
    let version = version.map_or(FIRST, |text| text.parse().unwrap_or(Version::new(0, 0)));
    Said { name: value("mrx.table"), version }
}

/// A table that is to be read, as it says of itself and as it is.
struct Told<'a> {
    object: Digest,
    said: &'a Said,
    schema: &'a SchemaRef,
}

impl Told<'_> {
    fn refuse(&self, store: &Store, reason: String) -> Error {
        let Self { object, said, .. } = *self;
        let table = said.name.clone().unwrap_or_default();
        let known = store.known_version(&table).unwrap_or(said.version);
        let other = OtherVersion { table, object, found: said.version, known, reason };
        Error::OtherVersion(Box::new(other))
    }

    fn check_major(&self, store: &Store) -> Result<(), Error> {
        let name = self.said.name.as_deref().unwrap_or_default();
        match store.known_version(name) {
            Some(known) if known.major != self.said.version.major => {
                Err(self.refuse(store, "its columns mean something else".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// The wanted columns that are there, each of the wanted kind.
    fn columns<'w>(
        &self,
        store: &Store,
        wanted: &'w [FieldRef],
    ) -> Result<Vec<&'w FieldRef>, Error> {
        let mut columns = Vec::with_capacity(wanted.len());
        for column in wanted {
            let name = column.name();
            match self.schema.field_with_name(name) {
                Ok(found) if same_kind(found.data_type(), column.data_type()) => {
                    columns.push(column);
                }
                Ok(found) => {
                    let (found, wanted) = (found.data_type(), column.data_type());
                    let reason = format!("column `{name}` is of type {found}, not {wanted}");
                    return Err(self.refuse(store, reason));
                }
                Err(_) if column.is_nullable() => {}
                Err(_) => return Err(self.refuse(store, format!("it has no column `{name}`"))),
            }
        }
        Ok(columns)
    }
}

/// Whether values of one type can be read as the other: numbers of any width, lists and structs of what
/// can be read, whatever their inner names.
fn same_kind(found: &DataType, wanted: &DataType) -> bool {
    match (found, wanted) {
        // An enum without data is stored as its names.
        (DataType::Dictionary(_, found), wanted) => same_kind(found, wanted),
        (found, DataType::Dictionary(_, wanted)) => same_kind(found, wanted),
        (DataType::List(found), DataType::List(wanted)) => {
            same_kind(found.data_type(), wanted.data_type())
        }
        (DataType::Struct(found), DataType::Struct(wanted)) => wanted.iter().all(|field| {
            found.iter().any(|other| {
                other.name() == field.name() && same_kind(other.data_type(), field.data_type())
            })
        }),
        _ => {
            found == wanted
                || found.is_integer() && wanted.is_integer()
                || found.is_floating() && wanted.is_floating()
        }
    }
}

/// Returns the name and the columns of the Parquet table at `path`, without reading rows.
///
/// # Errors
/// [`Error::Read`] for the file, [`Error::Unreadable`] where it is no table.
pub fn read_schema(path: &Path) -> Result<(Option<String>, SchemaRef), Error> {
    let builder = open(path)?;
    Ok((metadata(builder.metadata()).name, builder.schema().clone()))
}

impl Store {
    /// Returns the columns of a stored table, without reading rows.
    ///
    /// # Errors
    /// As [`TableReader::open`], but that its rows may still be damaged.
    pub fn columns_of(&self, object: Digest) -> Result<SchemaRef, Error> {
        let builder = open(&self.object_path(object)).map_err(|error| match error {
            Error::Unreadable { reason, .. } => Error::ObjectDamaged { digest: object, reason },
            other => other,
        })?;
        let (said, schema) = (metadata(builder.metadata()), builder.schema());
        Told { object, said: &said, schema }.check_major(self)?;
        Ok(schema.clone())
    }
}

/// Returns the version of the Parquet table at `path`; a table of version 0.1.0 of mrx, which does not
/// say, is of the first.
///
/// # Errors
/// As [`read_schema`].
pub fn read_version(path: &Path) -> Result<Version, Error> {
    Ok(metadata(open(path)?.metadata()).version)
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, Error> {
    let file = File::open(path).map_err(|source| Error::read(path, source))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| Error::unreadable(path, e))
}
