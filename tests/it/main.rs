//! Every integration test in one binary: each extra binary would link DuckDB again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

mod alpaca_eval;
mod architecture;
mod arena_hard;
mod cache;
mod chat;
mod circles;
mod coverage;
mod damage;
mod data;
mod earlier_store;
mod eft;
mod estimates;
mod evaluation;
mod experiment;
mod folders;
mod help;
mod ids;
mod lab;
mod llama3_8b;
mod local;
mod lost;
mod model;
mod numbers;
mod odd_rows;
mod prompted;
mod prompts;
mod properties;
mod queries;
mod quickstart;
mod readme;
mod references;
mod resume;
mod schemas;
mod scripted;
mod simulated;
mod states;
mod store;
mod texts;
mod thinking;
mod training;
mod unmoved;
mod verdicts;
mod views;
mod weighed;
