//! What experiments made, in the files of other programs, and read back.

mod dataset;
mod files;
mod games;
mod tools;

use std::fs;

use serde_json::Value;

use crate::lab::Lab;

/// The rows of a file of JSON lines.
fn lines(lab: &Lab, path: &str) -> Vec<Value> {
    let text = fs::read_to_string(lab.path.join(path)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of a file with one array.
fn array(lab: &Lab, path: &str) -> Vec<Value> {
    let text = fs::read_to_string(lab.path.join(path)).unwrap();
    serde_json::from_str(&text).unwrap()
}
