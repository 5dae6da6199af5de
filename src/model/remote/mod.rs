//! A model in another program, which speaks the protocol of `/v1/completions` over HTTP, or by files.
//!
//! - [`How`]: where it is and how it is called; [`Dialect`]: what it calls things
//! - [`Remote`]: asks it, many requests at once, over as many servers as there are
//!
//! The only room with async code: its runtime lives and ends here.

mod batch;
mod by_files;
mod client;
mod dialect;
mod doctor;
mod drive;
mod error;
mod flight;
mod how;
mod http;
mod job;
mod managed;
mod meet;
mod pool;
mod prepare;
mod protocol;
mod reach;
mod request;
mod response;
mod speaker;
mod version;
mod watch;

pub use batch::{Export, Replies, Stopped, Work};
pub use by_files::ByFiles;
pub use client::Remote;
pub use dialect::Dialect;
pub use doctor::{Finding, Options, Verdict, examine, preset_of};
pub use error::Error;
pub use how::{ApiKey, Calls, Endpoint, Files, How, Prices, Program, Servers};
pub use meet::{Report, report};
pub use protocol::{Api, Protocol};
pub use speaker::Whose;
pub use version::version_of;
