//! `mrx` runs the Meta-Rewarding loop (Wu et al., EMNLP 2025) and keeps every row.
//!
//! ```text
//! FACE     main  >  cli  >  report                 talks to people
//! STUDY    experiment  >  stages  >  records       knows what is asked
//!          ----------------+-------------------
//! CRAFT    train  >  model |  runner  >            ENGINE
//!          stats           |  query   >  store
//!          what is computed|  what is kept, and when it is made again
//! ```
//!
//! `a > b`: a stands on b. Imports run down or to the right; none runs up, none crosses the middle
//! wall. The engine has never heard of a prompt; the craft has never heard of a table. They meet in
//! [`stages`] alone.
//!
//! - [`cli`]: one file per command; every byte leaves through its `ui`, every exit code through
//!   its `failure`
//! - [`report`]: plain data in, one self-contained page out
//! - [`study`]: what results come to, for every face that shows it
//! - [`experiment`]: a TOML file and the plan it expands to
//! - [`stages`]: the verbs of the loop, in the order in which data flows
//! - [`records`]: the rows of every table
//! - [`runner`]: what is made again: stages, run keys, claims, draws under way, resume, events
//! - [`query`]: DuckDB: a view per table, SQL in, Arrow out
//! - [`store`]: what is kept: objects by digest, tables, manifests, verify, sweep
//! - [`train`]: pairs and a model in, a model out
//! - [`model`]: text in, text out
//! - [`stats`]: numbers in, numbers out
//!
//! Who may import whom (`tests/it/architecture.rs` holds the same table and keeps it):
//!
//! | room | may import |
//! | --- | --- |
//! | `store`, `stats`, `model` | no other room |
//! | `runner`, `query`, `records` | `store` |
//! | `train` | `model` |
//! | `stages` | `runner`, `query`, `records`, `model`, `train`, `stats`, `store` |
//! | `experiment` | `stages`, `runner` |
//! | `study` | `query`, `records`, `stats`, `store`, `runner` |
//! | `report` | no other room |
//! | `cli` | `report`, `study`, `experiment`, `runner`, `query`, `store`, `records` |
//!
//! Unsafe code is denied but for three places: the matrix product in `model/ops/linear.rs`, the files that
//! `model/mapped.rs` maps, and a variable that `main.rs` sets for candle.
//!
//! Seven words: a **record** (row) stands in a **table**, named by its **digest**; a **stage** turns
//! tables into tables; a **node** is a stage with a place in an **experiment**; a **model** turns text
//! into text, and pairs into a new model.

pub mod cli;
pub mod experiment;
pub mod model;
pub mod query;
pub mod records;
pub mod report;
pub mod runner;
pub mod stages;
pub mod stats;
pub mod store;
pub mod study;
pub mod train;
