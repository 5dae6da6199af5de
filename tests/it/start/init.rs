//! `mrx init`: every template is written, planned, and run as it was written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::Device;
use mrx::model::{self, Config, weights};
use serde_json::Value;

use crate::lab::{Lab, PROJECT, copy_folder};
use crate::server::{Options, Server};

/// A lab with the folder of a tiny random model.
fn with_model() -> Lab {
    let lab = Lab::new();
    let folder = lab.path.join("my model");
    copy_folder(&Path::new(PROJECT).join("experiments/eft/model"), &folder);
    let config: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let config = Config::of(config.as_object().unwrap().clone()).unwrap();
    let random = weights::initialise(&config, 3, &Device::Cpu).unwrap();
    model::save(&folder, &config, &random, &BTreeMap::new()).unwrap();
    lab
}

#[test]
fn the_quickstart_is_the_one_of_the_project_under_a_name_of_its_own() {
    let lab = Lab::new();
    lab.mrx(&["init"]).success().says("mrx plan quickstart").says("mrx run quickstart");
    lab.mrx(&["plan", "quickstart"]).success().prints("train.m4");
    lab.mrx(&["init", "deep/my first"]).success().says("mrx run 'deep/my first'");
    let toml = fs::read_to_string(lab.path.join("deep/my first/experiment.toml")).unwrap();
    assert!(toml.contains("\nname = \"my-first\"\n"), "{toml}");
    let project = Path::new(PROJECT).join("experiments/quickstart");
    for name in ["examples.sql", "oracle.sql", "judge.jinja", "model/tokenizer.json"] {
        let [ours, theirs] =
            [lab.path.join("quickstart"), project.clone()].map(|f| fs::read(f.join(name)).unwrap());
        assert!(ours == theirs, "{name}");
    }
    copy_folder(&project, &lab.path.join("copied"));
    let nodes = |folder: &str| lab.mrx(&["plan", folder, "--format", "csv"]).success().stdout;
    assert_eq!(nodes("quickstart"), nodes("copied"), "the same runs");
}

#[test]
fn what_is_there_is_never_written_over() {
    let lab = Lab::new();
    lab.mrx(&["init", "mine", "--template", "verdicts"]).success();
    lab.mrx(&["init", "mine", "--template", "verdicts"]).success();
    lab.edit("mine/verdicts.csv", "m0", "mine");
    let before = fs::read(lab.path.join("mine/verdicts.csv")).unwrap();
    lab.mrx(&["init", "mine", "--template", "verdicts"])
        .fails_with(1)
        .says("mine/verdicts.csv is there already, and says something else")
        .does_not_say("--force");
    lab.mrx(&["init", "mine"]).fails_with(1).says("mine/experiment.toml is there already");
    assert!(!lab.path.join("mine/examples.sql").exists(), "all or nothing");
    assert_eq!(fs::read(lab.path.join("mine/verdicts.csv")).unwrap(), before);
}

#[test]
fn verdicts_come_to_numbers() {
    let lab = Lab::new();
    lab.mrx(&["init", "v", "--template", "verdicts"])
        .success()
        .says("mrx run v")
        .says("mrx sql \"");
    lab.mrx(&["run", "v"]).success();
    let query = "SELECT name, value, low, high FROM estimates WHERE name NOT LIKE '%/%'";
    lab.mrx(&["sql", query]).success().prints("win_rate ");
    assert_eq!(lab.ask("SELECT DISTINCT experiment FROM estimates"), "v");
}

#[test]
fn a_model_of_ones_own_goes_round_the_loop() {
    let lab = with_model();
    lab.mrx(&["init", "mine", "--template", "own-model", "--model", "my model"])
        .success()
        .prints("mine/experiment.schema.json")
        .says("mrx plan mine");
    let file = std::fs::read_to_string(lab.path.join("mine/experiment.toml")).unwrap();
    assert!(file.contains("/my model\" # a folder as transformers saves it"), "{file}");
    // 24 answers of 48 tokens; of a verdict that is weighed nothing is drawn.
    let plan = lab.mrx(&["plan", "mine"]).success();
    let m0 = |line: &str| line.split_whitespace().take(5).eq(["m0", "24", "24", "0", "1,152"]);
    assert!(plan.stdout.lines().any(m0), "{}", plan.report());
    lab.mrx(&["run", "mine"]).success();
    let known = "SELECT count(DISTINCT model) FROM estimates WHERE name = 'win_rate'";
    assert_eq!(lab.ask(known), "2");
    let kept = "SELECT count(*) > 0 FROM pairs WHERE kept";
    assert_eq!(lab.ask(kept), "true");
    let scored = "SELECT bool_and(status = 'ok') FROM judgements WHERE part IS NULL";
    assert_eq!(lab.ask(scored), "true", "verdicts are weighed");
}

#[test]
fn games_are_decided_behind_an_api() {
    let lab = with_model();
    lab.mrx(&["init", "api", "--template", "api", "--model", "my model"]).success();
    // Planning needs no key and no server.
    lab.mrx(&["plan", "api"]).success().prints("evaluate.m1");
    let judge = lab.path.join("judge");
    lab.write(
        "judge/config.json",
        r#"{"architecture": "scripted", "rules": [{"template": "says.jinja"}]}"#,
    );
    lab.write("judge/says.jinja", "Winner: Response A");
    let options = Options::model(&judge);
    let server = Server::start(Options { name: "gpt-4o-mini".to_owned(), ..options });
    lab.edit("api/experiment.toml", "https://api.openai.com", &server.url());
    let mut command = lab.command(&["run", "api"]);
    let ran = command.env("OPENAI_API_KEY", "secret").output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(lab.ask("SELECT count(*), count(DISTINCT first_shown) FROM verdicts"), "12,2");
    assert_eq!(lab.ask("SELECT avg(preference) FROM verdicts"), "0.5", "the first always wins");
}

#[test]
fn a_folder_that_is_no_model_is_refused_before_anything_is_written() {
    let lab = Lab::new();
    lab.mrx(&["init", "mine", "-t", "own-model"]).fails_with(2).says("--model");
    lab.mrx(&["init", "mine", "-t", "own-model", "--model", "nowhere"])
        .fails_with(1)
        .says("found no config.json in nowhere");
    lab.mrx(&["init", "mine", "--model", "nowhere"]).fails_with(2).says("`--model` is for");
    assert!(!lab.path.join("mine").exists());
}
