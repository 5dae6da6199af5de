//! mrx

pub mod cli;
pub mod experiment;
pub mod model;
pub mod query;
pub mod records;
pub mod runner;
pub mod stages;
pub mod stats;
pub mod store;
