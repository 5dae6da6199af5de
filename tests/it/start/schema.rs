//! What experiment.toml may say: the file in `schemas/`, the types, and every experiment of the project hold together.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::lab::{Lab, PROJECT};

const FILE: &str = "schemas/experiment.schema.json";

fn read(path: &Path) -> Value {
    let toml: toml::Value = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    serde_json::to_value(toml).unwrap()
}

/// Every TOML file of an experiment in the project.
fn experiments() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![
        Path::new(PROJECT).join("experiments"),
        Path::new(PROJECT).join("tests/data/store_0_1_0"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 12, "{found:?}");
    found
}

#[test]
fn the_file_is_what_the_types_say() {
    let path = Path::new(PROJECT).join(FILE);
    let lab = Lab::new();
    let made = lab.mrx(&["show", "--experiment", "--format", "json"]).success().stdout;
    if std::env::var_os("MRX_UPDATE_SCHEMA").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == made,
        "{FILE} is not what the types say: `MRX_UPDATE_SCHEMA=1 cargo test start::schema` writes it anew, or \
         `mrx show --experiment --format json > {FILE}`"
    );
    lab.mrx(&["init", "q"]).success();
    assert_eq!(fs::read_to_string(lab.path.join("q/experiment.schema.json")).unwrap(), made);
    let toml = fs::read_to_string(lab.path.join("q/experiment.toml")).unwrap();
    assert!(toml.starts_with("#:schema ./experiment.schema.json\n"), "{toml}");
}

fn validator() -> jsonschema::Validator {
    let text = fs::read_to_string(Path::new(PROJECT).join(FILE)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn every_experiment_of_the_project_is_valid() {
    let validator = validator();
    for path in experiments() {
        let wrong: Vec<String> = validator
            .iter_errors(&read(&path))
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
    }
}

#[test]
fn what_mrx_refuses_the_schema_refuses() {
    let validator = validator();
    let lab = Lab::with_loop();
    lab.mrx(&["plan", "loop"]).success();
    let whole = fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    for (from, to) in [
        ("samples = 7", "sample = 7"),
        ("samples = 7", "samples = 0"),
        ("samples = 7", "samples = 1.5"),
        ("samples = 7", "samples = \"many\""),
        ("temperature = 0.8", "temperature = -1"),
        ("top_p = 0.95", "top_p = [0.95, 1.1, 1, 1]"),
        ("iterations = 4", "iterations = 4000"),
        ("seed = 0", "seed = -1"),
        ("rho = [0.0", "rho = [2.0"),
        ("enabled = [true", "enabled = [1"),
        ("[meta_judge]", "[pairs.actor2]"),
        ("max_chosen_chars = [2500, false", "max_chosen_chars = [2500, true"),
        ("[pairs.actor]", "[train]\nloss = \"hinge\"\n[pairs.actor]"),
        ("[pairs.actor]", "[train]\nchoose = \"first\"\n[pairs.actor]"),
        ("[pairs.actor]", "[evaluate]\nmax_tokens = 3\n[pairs.actor]"),
        ("name = \"scripted\"", ""),
    ] {
        assert!(whole.contains(from), "{from}");
        lab.write("loop/experiment.toml", &whole.replacen(from, to, 1));
        lab.mrx(&["plan", "loop"]).fails_with(1);
        assert!(
            !validator.is_valid(&read(&lab.path.join("loop/experiment.toml"))),
            "{to} is let through"
        );
    }
}

/// Writes a value out, where there is none.
fn fill(told: &Value, root: &Value, at: &mut Value) {
    let inner = told.pointer("/allOf/0").unwrap_or(told);
    let name = inner.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next());
    let found = name.map_or(inner, |name| &root["definitions"][name]);
    for (field, told) in found["properties"].as_object().into_iter().flatten() {
        if let Some(inner) = at.get_mut(field).filter(|inner| inner.is_object()) {
            fill(told, root, inner);
        } else if at.get(field).is_none()
            && let Some(default) = told.get("default")
        {
            at[field] = default.clone();
        }
    }
}

/// Defaults that may not be written where they are not used.
const ONLY_WITH_OTHERS: [(&str, &str); 4] = [
    ("/judge", "decide"),
    ("/train", "choose_by"),
    ("/train", "keep_epochs"),
    ("/evaluate/judge", "marker"),
];

#[test]
fn every_default_that_is_told_is_the_one_that_is_taken() {
    let text = fs::read_to_string(Path::new(PROJECT).join(FILE)).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let lab = Lab::with_loop();
    lab.write(
        "loop/experiment.toml",
        "name = \"defaults\"\n[model]\npath = \"model\"\n[prompts]\nsql = \"prompts.sql\"\nfiles = [\"prompts.jsonl\"]\n\
         [thinking]\n[respond]\n[judge]\n[meta_judge]\n[pairs.actor]\n[pairs.judge]\n[train]\n[evaluate]\nprompts = \
         \"eval.sql\"\n[evaluate.panel]\n[evaluate.judge]\nmodel = \"m0\"\n[estimate.chars]\nmeasure = \"mean\"\nsql = \"chars.sql\"\n",
    );
    lab.write("loop/eval.sql", "SELECT 'x ' || i AS prompt FROM range(3) t(i)");
    lab.write("loop/chars.sql", "SELECT prompt_id AS prompt, len(text) AS value FROM responses");
    lab.mrx(&["run", "loop"]).success();
    let mut toml = read(&lab.path.join("loop/experiment.toml"));
    fill(&schema, &schema, &mut toml);
    let estimate = &mut toml["estimate"]["chars"];
    for (name, value) in [("resamples", json!(1000)), ("level", json!(0.95))] {
        assert_eq!(schema["definitions"]["Estimate"]["properties"][name]["default"], value);
        estimate[name] = value;
    }
    for (place, field) in ONLY_WITH_OTHERS {
        toml.pointer_mut(place).and_then(Value::as_object_mut).map(|table| table.remove(field));
    }
    assert_eq!(toml["respond"]["samples"], 7, "{toml}");
    assert_eq!(toml["pairs"]["judge"]["omega"], "iteration", "{toml}");
    assert_eq!(toml["train"]["learning_rate"], 5e-6, "{toml}");
    lab.write("loop/experiment.toml", &toml::to_string(&toml).unwrap());
    lab.mrx(&["run", "loop"]).success().says("nothing to do");
    lab.edit("loop/experiment.toml", "samples = 7", "samples = 6");
    lab.mrx(&["run", "loop", "respond.m0"]).success().does_not_say("nothing to do");
}

#[test]
fn every_field_is_told_in_lines_of_eighty() {
    let lab = Lab::new();
    let all = lab.mrx(&["show", "--experiment"]).success().stdout;
    let long: Vec<&str> = all.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(long, Vec::<&str>::new());
    for told in [
        "[pairs.judge]",
        "[engines.NAME]",
        "[estimate.NAME]",
        "[evaluate.judge.verdict]",
        "  name (required)",
    ] {
        assert!(all.contains(told), "{told} is missing in\n{all}");
    }
    insta::assert_snapshot!(
        "actor",
        lab.mrx(&["show", "--experiment", "pairs.actor"]).success().stdout
    );
    lab.mrx(&["show", "--experiment", "[judge]"]).success().prints("samples = 11");
    lab.mrx(&["show", "--experiment", "juge"])
        .fails_with(2)
        .says("no table `juge`")
        .says("pairs.actor");
    let text = fs::read_to_string(Path::new(PROJECT).join(FILE)).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let silent = undescribed("", &schema);
    assert_eq!(silent, Vec::<String>::new(), "fields without a word about them");
}

/// The fields that say nothing of themselves.
fn undescribed(place: &str, schema: &Value) -> Vec<String> {
    let mut silent = Vec::new();
    for (name, told) in schema["properties"].as_object().into_iter().flatten() {
        if told["description"].as_str().is_none_or(str::is_empty) {
            silent.push(format!("{place}{name}"));
        }
    }
    for (name, inner) in schema["definitions"].as_object().into_iter().flatten() {
        silent.extend(undescribed(&format!("{name}."), inner));
    }
    silent
}
