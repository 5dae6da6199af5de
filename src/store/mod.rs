//! What is kept: immutable objects named by their digest, tables of records in Parquet, and the
//! manifests that say which run made them.
//!
//! The room has never heard of a prompt, an experiment's meaning or a query. On disk:
//!
//! ```text
//! .mrx/
//! |- FORMAT                     the layout's number: a reader reads older, a writer refuses newer
//! |- lock                       shared by runs, exclusive for gc
//! |- objects/ab/cdef…           bytes, named by their BLAKE3 digest, read-only
//! |- runs/<key>.json            manifests: what one run read, wrote and cost; written last
//! |- plans/<experiment>.json    recorded plans: which run each node of an experiment stands on
//! |- pins.json, pins.lock       digests that must stay
//! |- partial/<key>/             work in hand: its lock, and the rows, shards and states that are safe
//! |- sources.json               digests of big files outside the store, by size, time and inode
//! `- checked.json               big objects whose bytes were found to be right, by the same
//! ```

mod batches;
mod checked;
mod digest;
mod engines;
mod error;
mod file;
mod format;
mod journal;
mod key;
mod layout;
mod manifest;
mod memory;
mod objects;
mod partial;
mod pins;
mod plans;
mod reader;
mod record;
mod sealed;
mod sources;
mod stamp;
mod states;
mod sweep;
mod table;
mod verify;

pub use batches::Batch;
pub use digest::{Digest, NotADigest, Prefix, Resolved};
pub use error::{Error, OtherVersion};
pub use file::digest_file;
pub use format::{FORMAT, NotAVersion, Version};
pub use journal::{Journal, Lost};
pub use key::{Key, KeyInput};
pub use layout::{Store, StoreLock};
pub use manifest::{Cost, Host, Imported, MadeBy, Manifest, Spent, StoredObject, StoredTable};
pub use objects::ObjectWriter;
pub use partial::{Effort, Partial, Shards};
pub use pins::Pin;
pub use plans::{PlannedNode, RecordedPlan, Variant};
pub use reader::{TableReader, read_schema, read_version};
pub use record::{Record, fields, from_batch, to_batch};
pub use sources::Sources;
pub use states::{State, States};
pub use sweep::{Doomed, Sweep, Usage};
pub use table::{ROW_GROUP_ROWS, TableWriter};
pub use verify::{Damage, Finding, Verified};
