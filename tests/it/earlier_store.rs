//! A store that version 0.1.0 wrote stays readable, queryable and runnable for good.

use std::fs;
use std::path::Path;

use mrx::query::TABLES;

use crate::lab::{Lab, PROJECT, copy_folder};

/// A copy of the store, with the two experiments that made it.
fn earlier() -> Lab {
    let lab = Lab::new();
    let data = Path::new(PROJECT).join("tests/data/store_0_1_0");
    for (from, to) in [("store", ".mrx"), ("scripted", "scripted"), ("small", "small")] {
        copy_folder(&data.join(from), &lab.path.join(to));
    }
    lab
}

fn format(lab: &Lab) -> String {
    fs::read_to_string(lab.path.join(".mrx/FORMAT")).unwrap().trim().to_owned()
}

#[test]
fn it_is_looked_at_without_being_changed() {
    let lab = earlier();
    lab.mrx(&["store", "verify"]).success().says("all is well");
    for experiment in ["scripted", "small"] {
        lab.mrx(&["plan", experiment]).success();
    }
    // The loops had no examples, and these tables there were not yet.
    let empty = ["examples", "lessons", "choices"];
    for (table, _) in TABLES {
        let rows: u64 = lab.ask(&format!("SELECT count(*) FROM {table}")).parse().unwrap();
        assert_eq!(rows == 0, empty.contains(&table), "{table} has {rows} rows");
    }
    for view in ["runs", "nodes", "lineage", "experiments"] {
        assert_ne!(lab.ask(&format!("SELECT count(*) FROM {view}")), "0", "{view}");
    }
    lab.mrx(&["show", "small/judge.m0"]).success().prints("judge.m0 of small").prints("model");
    lab.mrx(&["show", "small/train.m1"]).success().prints("model.safetensors");
    let response =
        lab.ask("SELECT response_id FROM responses WHERE experiment = 'scripted' LIMIT 1");
    lab.mrx(&["trace", &response]).success().prints(&response).prints("model from");
    lab.mrx(&["store", "pin"]).success();
    lab.mrx(&["store", "gc", "--grace", "0s"]).success();
    assert_eq!(format(&lab), "1", "who only looks changes nothing");
}

#[test]
fn its_models_are_compared() {
    let lab = earlier();
    lab.mrx(&["diff", "small/m0", "small/m1"]).success().prints("m1");
}

/// Nodes whose stages have changed since are made again; what is not is found.
#[test]
fn it_is_run_on_and_becomes_a_store_of_now() {
    let lab = earlier();
    for experiment in ["scripted", "small"] {
        lab.mrx(&["run", experiment]).success();
        lab.mrx(&["run", experiment]).success().says("nothing to do");
    }
    lab.mrx(&["store", "verify"]).success().says("all is well");
    let made = lab.ask(
        "SELECT count(DISTINCT n.node) FROM nodes n WHERE n.finished AND n.experiment = 'small'",
    );
    assert_eq!(made, lab.ask("SELECT count(*) FROM nodes WHERE experiment = 'small'"));
    // A step that no experiment had before: now something is written for certain.
    lab.mrx(&["run", "scripted", "--set", "judge.samples=4", "--set", "name=again"]).success();
    assert_eq!(format(&lab), mrx::store::FORMAT.to_string(), "and 0.1.0 refuses it");
    lab.mrx(&["store", "verify"]).success().says("all is well");
    lab.mrx(&["sql", "SELECT count(*) FROM judgements"]).success();
    lab.mrx(&["store", "gc", "--grace", "0s", "--yes"]).success();
    lab.mrx(&["store", "verify"]).success().says("all is well");
}
