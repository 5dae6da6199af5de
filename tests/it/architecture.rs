//! The walls of the house: which room may import which, and which crate may be named where.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::PROJECT;

/// What each room may import. A room that is not listed may not exist.
const ROOMS: [(&str, &[&str]); 12] = [
    ("store", &[]),
    ("stats", &[]),
    ("model", &[]),
    ("runner", &["store"]),
    ("query", &["store"]),
    ("train", &["model"]),
    ("records", &["store"]),
    ("stages", &["runner", "query", "records", "model", "train", "stats", "store"]),
    ("experiment", &["stages", "runner"]),
    ("study", &["query", "records", "stats", "store", "runner"]),
    ("report", &[]),
    ("cli", &["study", "experiment", "runner", "query", "store", "records", "report"]),
];

/// Crates and calls that only some rooms may name, or parts of one.
const WALLS: [(&[&str], &[&str]); 7] = [
    (&["duckdb::"], &["query"]),
    (&["candle"], &["model", "train"]),
    (&["parquet::", "arrow::"], &["store", "query"]),
    (&["clap::"], &["cli"]),
    (&["reqwest::", "tokio::", "rustls::"], &["model/remote"]),
    (&["SystemTime::now", "Utc::now", "env::var", "process::exit"], &["cli"]),
    // Servers are waited for, and given up in time.
    (&["Instant::now"], &["cli", "model/remote"]),
];

pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The lines of code of every room, comments and in-file tests left out.
fn lines() -> Vec<(String, String, String)> {
    let source = Path::new(PROJECT).join("src");
    let mut lines = Vec::new();
    for file in sources(&source) {
        let inside = file.strip_prefix(&source).unwrap();
        if inside.components().count() == 1 {
            continue;
        }
        let room = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        for (number, line) in (1..).zip(fs::read_to_string(&file).unwrap().lines()) {
            if line.trim_start().starts_with("#[cfg(test)]") {
                break;
            }
            if !line.trim_start().starts_with("//") {
                let place = format!("src/{}:{number}", inside.display());
                lines.push((room.clone(), place, line.to_owned()));
            }
        }
    }
    lines
}

/// The rooms that a line names: `use crate::store`, `crate::{runner, store}`.
fn imported(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for part in line.split("crate::").skip(1) {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        match part.strip_prefix('{').and_then(|list| list.split_once('}')) {
            Some((list, _)) => {
                let names = list.split(',').map(|name| name.trim().split("::").next().unwrap());
                rooms.extend(names.map(ToOwned::to_owned));
            }
            None => rooms.push(part.chars().take_while(|c| is_name(*c)).collect()),
        }
    }
    rooms
}

#[test]
fn imports_run_down_or_to_the_right() {
    let mut broken = Vec::new();
    for (room, place, line) in lines() {
        let row = ROOMS.iter().find(|(name, _)| *name == room);
        let Some((_, may)) = row else { panic!("{place}: there is no room `{room}`") };
        for import in imported(&line) {
            if import != room && !may.contains(&import.as_str()) {
                broken.push(format!("{place}: {room} may not import {import}: {}", line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn crates_stay_behind_their_walls() {
    let mut broken = Vec::new();
    for (_, place, line) in lines() {
        for (names, rooms) in WALLS {
            for name in names {
                let inside = |within: &&str| place.starts_with(&format!("src/{within}/"));
                if line.contains(name) && !rooms.iter().any(inside) {
                    broken.push(format!("{place}: only {rooms:?} may name {name}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_stay_short_enough_to_read() {
    let files = sources(&Path::new(PROJECT).join("src"));
    let files = files.into_iter().chain(sources(&Path::new(PROJECT).join("tests")));
    let long = files.filter(|file| fs::read_to_string(file).unwrap().lines().count() > 500);
    assert_eq!(long.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "at most 500 lines a file");
}

#[test]
fn every_test_file_is_part_of_the_binary() {
    let folder = Path::new(PROJECT).join("tests/it");
    for file in sources(&folder) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let within = file.parent().unwrap();
        // A folder's `mod.rs` names the files beside it, and `main.rs` names the folder.
        let (name, within) = match name.as_str() {
            "main" => continue,
            "mod" => (within.file_name().unwrap().to_string_lossy().into_owned(), &*folder),
            _ => (name, within),
        };
        let face = if within == folder { "main.rs" } else { "mod.rs" };
        let named = fs::read_to_string(within.join(face)).unwrap();
        assert!(named.contains(&format!("mod {name};")), "{} is forgotten", file.display());
    }
}
