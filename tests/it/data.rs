//! The field's own files, where they are at hand: `MRX_DATA`, or `../shared/data`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::lab::{Lab, PROJECT, skip};

pub(crate) fn data() -> Option<PathBuf> {
    let default = || Path::new(PROJECT).join("../shared/data");
    let folder = std::env::var_os("MRX_DATA").map_or_else(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    skip(&format!("there is no reference data at {}", folder.display()));
    None
}

/// The rows of a CSV file without quotes, by column.
pub(crate) fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        let values = line.split(',').map(ToOwned::to_owned);
        names.iter().map(|name| (*name).to_owned()).zip(values).collect()
    };
    lines.map(row).collect()
}

fn prompts_of(file: &Path, sql: &str, per_iteration: &str) -> Lab {
    let lab = Lab::with_loop();
    std::fs::copy(file, lab.path.join("loop/prompts.jsonl")).unwrap();
    lab.write("loop/prompts.sql", sql);
    lab.edit(
        "loop/experiment.toml",
        "per_iteration = 10",
        &format!("per_iteration = {per_iteration}"),
    );
    lab.mrx(&["run", "loop", "respond.m3"]).success();
    lab
}

#[test]
fn the_instructions_of_alpaca_eval_are_prompts() {
    let Some(data) = data() else { return };
    let sql = "SELECT instruction AS prompt, dataset AS source FROM read_json('prompts.jsonl')";
    let lab = prompts_of(&data.join("alpaca_eval/instructions.jsonl"), sql, "201");
    assert_eq!(
        lab.ask("SELECT count(DISTINCT prompt) FROM prompts"),
        "804",
        "four disjoint shares of 201"
    );
    assert_eq!(lab.ask("SELECT count(*) FROM responses"), "5628");
    lab.mrx(&["run", "loop", "--set", "prompts.per_iteration=202"])
        .fails_with(3)
        .says("the query gives 805 prompts; 4 iterations of 202 need 808");
}

#[test]
fn the_first_turns_of_mt_bench_are_prompts() {
    let Some(data) = data() else { return };
    let file = data.join("mt_bench/question.jsonl");
    let sql = "SELECT turns[1] AS prompt, category, reference[1] AS reference FROM read_json('prompts.jsonl')";
    let lab = prompts_of(&file, sql, "20");
    assert_eq!(lab.ask("SELECT count(*) FROM prompts"), "80");
    assert_eq!(lab.ask("SELECT count(category) FROM prompts"), "80");
}
