//! Rows in a file: whole or not there, in every format, and never over another file in silence.

use std::fs;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::json;

use super::lines;
use crate::lab::Lab;

/// The scripted loop, of which the first iteration's pairs are made.
fn paired() -> Lab {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "pair.m0"]).success();
    lab
}

fn parquet_rows(lab: &Lab, path: &str) -> i64 {
    let file = fs::File::open(lab.path.join(path)).unwrap();
    SerializedFileReader::new(file).unwrap().metadata().file_metadata().num_rows()
}

#[test]
fn a_table_and_a_query_go_into_files_that_their_names_describe() {
    let lab = paired();
    let export = ["export", "table", "pairs", "--experiment", "scripted", "-o"];
    for name in ["out/pairs.parquet", "out/pairs.jsonl", "pairs.csv", "pairs.json", "pairs.arrow"] {
        lab.mrx(&[&export[..], &[name]].concat()).success().prints(name);
    }
    let count = lab.ask("SELECT count(*) FROM pairs");
    assert_eq!(parquet_rows(&lab, "out/pairs.parquet").to_string(), count);
    let rows = lines(&lab, "out/pairs.jsonl");
    assert_eq!(rows.len().to_string(), count);
    assert!(rows[0]["messages"][0]["content"].is_string(), "lists stay lists: {}", rows[0]);
    let query = "SELECT role, count(*) AS n FROM pairs GROUP BY ALL ORDER BY role";
    lab.mrx(&["export", "query", query, "--out", "roles.csv"]).success();
    let printed = lab.mrx(&["sql", query, "--format", "csv"]).success().stdout;
    assert_eq!(fs::read_to_string(lab.path.join("roles.csv")).unwrap(), printed);
    lab.write("q.sql", query);
    lab.mrx(&["export", "query", "-f", "q.sql", "--out", "roles", "--format", "csv"]).success();
    assert_eq!(fs::read_to_string(lab.path.join("roles")).unwrap(), printed);
}

#[test]
fn a_file_that_says_something_else_is_left_alone() {
    let lab = paired();
    let query = ["export", "query", "SELECT 1 AS x", "-o", "x.csv"];
    lab.mrx(&query).success();
    lab.mrx(&query).success();
    let other = ["export", "query", "SELECT 2 AS x", "-o", "x.csv"];
    lab.mrx(&other)
        .fails_with(1)
        .says("x.csv is there already, and says something else")
        .says("`--force`");
    assert_eq!(fs::read_to_string(lab.path.join("x.csv")).unwrap(), "x\n1\n");
    lab.mrx(&[&other[..], &["--force"]].concat()).success();
    assert_eq!(fs::read_to_string(lab.path.join("x.csv")).unwrap(), "x\n2\n");
}

#[test]
fn nothing_half_written_stays_behind() {
    let lab = paired();
    // The first rows are written before the row that fails.
    let fails =
        "SELECT CASE WHEN i = 299999 THEN error('no more') ELSE i END AS i FROM range(300000) t(i)";
    lab.mrx(&["export", "query", fails, "-o", "new/far/x.jsonl"]).fails_with(1).says("no more");
    assert!(!lab.path.join("new").exists());
    let left: Vec<_> = fs::read_dir(&lab.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".mrx-export"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_cannot_be_exported_is_told() {
    let lab = paired();
    let fails = |arguments: &[&str], code: i32, told: &str| {
        lab.mrx(&[&["export"], arguments].concat()).fails_with(code).says(told);
    };
    fails(&["table", "pears", "-o", "x.csv"], 2, "there is no table `pears`");
    fails(&["table", "pairs", "-o", "x.xlsx"], 2, "x.xlsx does not say a format");
    fails(&["table", "pairs", "-o", "loop"], 2, "does not say a format");
    fails(&["table", "pairs", "-e", "other", "-o", "x.csv"], 2, "`other` is not an experiment");
    fails(&["table", "runs", "-e", "scripted", "-o", "x.csv"], 2, "rows are of no one experiment");
    fails(&["query", "DROP TABLE pairs", "-o", "x.csv"], 1, "only queries run here");
    fails(&["preferences", "other"], 2, "`other` is not an experiment");
    fails(&["preferences", "scripted/m9"], 1, "has no kept pairs");
    fails(&["preferences", "scripted", "-o", "x.csv"], 2, "conversations are lists");
    fails(&["arena-hard", "scripted/m0"], 1, "no answers of m0 to held-out prompts");
    fails(&["dataset", "scripted", "--tables", "pears"], 2, "there is no table `pears`");
    assert!(!lab.path.join("x.csv").exists());
}

#[test]
fn a_preference_set_holds_every_kept_pair_as_two_conversations() {
    let lab = paired();
    let counts = "SELECT count(*) FILTER (kept) || ' pairs; ' || count(*) FILTER (NOT kept) || ' that' FROM pairs";
    lab.mrx(&["export", "preferences", "scripted", "-o", "all.jsonl"])
        .success()
        .says(&lab.ask(counts));
    let rows = lines(&lab, "all.jsonl");
    let first = &rows[0];
    let id = first["pair_id"].as_str().unwrap();
    let of = |column: &str| {
        let query = format!("SELECT {column} AS v FROM pairs WHERE pair_id = '{id}'");
        let text = lab.mrx(&["sql", &query, "--format", "jsonl"]).success().stdout;
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["v"].clone()
    };
    let messages = of("messages");
    for side in ["chosen", "rejected"] {
        let mut whole = messages.as_array().unwrap().clone();
        whole.push(json!({ "role": "assistant", "content": of(side) }));
        assert_eq!(first[side], json!(whole));
    }
    lab.mrx(&["export", "preferences", "scripted/m0", "--role", "judge"]).success();
    let kept = "SELECT count(*) FROM pairs WHERE kept AND role = 'judge'";
    let written = parquet_rows(&lab, "scripted-m0-preferences.parquet").to_string();
    assert_eq!(written, lab.ask(kept));
}
