//! DuckDB: a view per table of the store, SQL in, Arrow out. The only room that names duckdb.

mod catalogue;
mod format;
mod gate;
mod inputs;
mod schema;
mod session;
mod syntax;
mod table_text;

pub use catalogue::Catalogue;
pub use format::{Format, Sink, emit, sink};
pub use gate::Refused;
pub use inputs::{Column, Inputs, InputsError, TableFiles};
pub use schema::{ColumnDoc, TABLES, TableDoc, ddl_of, documents, keys, references};
pub use session::{Error, Session};
pub use syntax::Place;
pub use table_text::TableText;
