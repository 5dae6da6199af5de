//! An experiment as a dataset with a card.

use std::fs;

use serde_json::Value;

use crate::judged::examples;

#[test]
fn a_dataset_says_what_is_in_it_and_how_it_was_made() {
    let lab = examples();
    lab.mrx(&["run", "e/arena_hard"]).success();
    lab.mrx(&["export", "dataset", "arena-hard", "--license", "apache-2.0", "-o", "d"])
        .success()
        .prints("d/README.md")
        .prints("d/preferences/train-00000-of-00001.parquet")
        .prints("d/prompts/test-00000-of-00001.parquet")
        .does_not_say("warning");
    let card = fs::read_to_string(lab.path.join("d/README.md")).unwrap();
    let (yaml, text) = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    assert!(yaml.starts_with("license: \"apache-2.0\"\n"), "{yaml}");
    let preferences = "- config_name: preferences\n  default: true\n  data_files:\n  - split: train\n    \
                       path: preferences/train-*.parquet\n";
    assert!(yaml.contains(preferences), "{yaml}");
    let held_out = lab.ask("SELECT count(*) FROM prompts WHERE part = 'eval'");
    assert!(yaml.contains("  - name: test\n    num_bytes: "), "{yaml}");
    assert!(yaml.contains(&format!("num_examples: {held_out}\n")), "{yaml}");
    let run = lab.ask("SELECT run[:12] FROM nodes WHERE node = 'judge.m0'");
    assert!(text.contains(&format!("| judge.m0 | judgements | 24 | `{run}` |")), "{text}");
    assert!(text.contains("| respond | `temperature` | `0.8` |"), "{text}");
    assert!(text.contains("| One row per judgement drawn: N rows for each"), "{text}");
    let made = fs::read_to_string(lab.path.join("d/how_it_was_made.json")).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    let nodes = made["nodes"].as_array().unwrap();
    let finished = lab.ask("SELECT count(*) FROM nodes WHERE finished");
    assert_eq!(nodes.len().to_string(), finished);
    assert!(nodes.iter().any(|node| node["key"]["config"]["template"].is_string()));
    lab.mrx(&["export", "dataset", "arena-hard", "--license", "apache-2.0", "-o", "d"]).success();
    lab.mrx(&["export", "dataset", "arena-hard", "-o", "d"])
        .fails_with(1)
        .says("d/README.md is there already");
    lab.mrx(&["export", "dataset", "arena-hard", "--tables", "pairs,verdicts"])
        .success()
        .says("2 tables")
        .says("the licence is unknown");
    assert!(!lab.path.join("arena-hard-dataset/prompts").exists());
}
