//! DuckDB: a view per table of the store, SQL in, Arrow out. The only room that names duckdb.

mod about_store;
mod catalogue;
mod cells;
mod engine;
mod exact;
mod format;
mod gate;
mod inputs;
mod places;
mod repeatable;
mod schema;
mod session;
mod sink;
mod syntax;
mod table_text;
mod table_view;
mod views;

pub use catalogue::LostNode;
pub use engine::{MemoryLimit, quote};
pub use format::{Format, emit, sink};
pub use gate::Refused;
pub use inputs::{Column, Inputs, InputsError, TableFiles, tables_named};
pub use repeatable::Unrepeatable;
pub use schema::{ColumnDoc, TABLES, TableDoc, ddl_of, documents, keys, references};
pub use session::Session;
pub use sink::{Error, Sink};
pub use syntax::{Excerpt, without_end};
pub use table_text::TableText;
