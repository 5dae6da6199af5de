//! Experiments of a file that differ in nothing but their seed are told as one.

use serde_json::Value;

use super::{data, list, page};
use crate::lab::Lab;
use crate::seeds::lab;

/// The number of a model of the first experiment on a page.
fn number<'a>(shown: &'a Value, model: &str, name: &str) -> &'a Value {
    let is_it = |number: &&Value| {
        number["model"] == model && number["name"] == name && number["group"] == "all"
    };
    list(&shown["experiments"][0]["numbers"]).iter().find(is_it).unwrap()
}

/// Four places, as `mrx diff` tells numbers over seeds.
fn rounded(value: &Value) -> Option<f64> {
    value.as_f64().map(|value| (value * 1e4).round() / 1e4)
}

fn told(lab: &Lab, names: &[&str]) -> Value {
    lab.mrx(&[&["report"], names].concat()).success();
    data(&page(lab, "report.html"))
}

#[test]
fn seeds_are_one_experiment_of_means_and_sums() {
    let lab = lab("seeds = 3\n");
    let made = lab.mrx(&["run", "loop"]).success();
    made.says("mrx report scripted -o report.html");
    lab.mrx(&["run", "loop"]).success().does_not_say("mrx report");
    let shown = told(&lab, &["scripted"]);
    assert_eq!(list(&shown["experiments"]).len(), 1);
    let experiment = &shown["experiments"][0];
    assert_eq!((&experiment["name"], &experiment["shown_seed"]), (&"scripted".into(), &0.into()));
    assert_eq!(experiment["seeds"][2]["experiment"], "scripted@seed=2");
    // A number is the mean of those of the store, with each of them as a point.
    let chars = number(&shown, "m4", "response_chars");
    let sql = "SELECT avg(value) FROM estimates WHERE model = 'm4' AND name = 'response_chars'";
    assert!((chars["value"].as_f64().unwrap() - lab.ask(sql).parse::<f64>().unwrap()).abs() < 1e-9);
    assert_eq!((list(&chars["points"]).len(), &chars["n"]), (3, &3.into()));
    assert_eq!(chars["method"], "mean over 3 seeds, Student's t over seeds");
    // Counts are sums, in which what seeds share counts once; rows are those of one seed.
    let sum: u64 = list(&experiment["pairs"]).iter().map(|row| row["n"].as_u64().unwrap()).sum();
    assert_eq!(sum.to_string(), lab.ask("SELECT count(*) FROM pairs"));
    let sum: u64 = list(&experiment["nodes"]).iter().map(|row| row["rows"].as_u64().unwrap()).sum();
    let rows = "SELECT sum(rows) FROM (SELECT DISTINCT node, run, rows FROM nodes)";
    assert_eq!(sum.to_string(), lab.ask(rows));
    let answers: usize = list(&experiment["shares"][0]["shown"])
        .iter()
        .flat_map(|prompt| list(&prompt["answers"]))
        .map(|answer| list(&answer["samples"]).len())
        .sum();
    let of_one = "SELECT count(*) FROM responses WHERE experiment = 'scripted@seed=0' \
                  AND model = 'm0' AND part IS NULL";
    assert_eq!(answers.to_string(), lab.ask(of_one));
    // Settings are told once, and the seed is none of them.
    let settings = list(&experiment["settings"]);
    assert!(settings.iter().all(|setting| setting["field"] != "seed"));
    let values = settings.iter().flat_map(|setting| list(&setting["values"]));
    assert!(values.clone().count() > 20 && values.clone().all(|value| value["seeds"].is_null()));
}

#[test]
fn differences_are_those_of_mrx_diff() {
    let lab = lab("seeds = 3\n");
    lab.mrx(&["run", "loop"]).success();
    let shown = told(&lab, &["loop"]);
    let diff = ["diff", "scripted/m0", "scripted/m4", "--format", "json"];
    let lines: Value = serde_json::from_str(&lab.mrx(&diff).success().stdout).unwrap();
    let within = list(&shown["together"]["within"]).iter();
    let within: Vec<&Value> = within.filter(|one| one["against"] == "scripted/m0").collect();
    assert_eq!(within.len(), list(&lines).len());
    assert!(within.len() > 2, "{within:?}");
    for (one, line) in within.iter().zip(list(&lines)) {
        assert_eq!((&one["name"], &one["model"]), (&line["number"], &"scripted/m4".into()));
        assert_eq!(one["seeds"], line["seeds"]);
        let fields = ["before", "after", "difference", "low", "high", "p_holm"];
        let printed = ["first", "second", "difference", "low", "high", "p_holm"];
        for (field, printed) in fields.iter().zip(printed) {
            assert_eq!(rounded(&one[*field]), line[printed].as_f64(), "{field} of {one}, {line}");
        }
    }
    // The first model that plays games is M1: M0 is whom all play.
    let players = |one: &&Value| one["against"] == "scripted/m1" && one["name"] == "win_rate";
    assert_eq!(list(&shown["together"]["within"]).iter().filter(players).count(), 1);
}

#[test]
fn a_seed_that_is_not_made_is_missing_from_the_mean_and_named() {
    let lab = lab("seeds = 3\n");
    lab.mrx(&["run", "loop", "prompts.m0", "--set", "seed=0"]).success();
    for seed in ["seed=1", "seed=2"] {
        lab.mrx(&["run", "loop", "--set", seed]).success();
    }
    let shown = told(&lab, &["scripted"]);
    let experiment = &shown["experiments"][0];
    assert_eq!(list(&experiment["seeds"]).len(), 3);
    assert_eq!(experiment["shown_seed"], 1, "rows are of a seed that has them");
    let chars = number(&shown, "m4", "response_chars");
    assert_eq!(chars["method"], "mean over 2 of 3 seeds, Student's t over seeds");
    let points: Vec<&Value> = list(&chars["points"]).iter().map(|point| &point["seed"]).collect();
    assert_eq!(points, [1, 2]);
    let warnings = list(&experiment["warnings"]);
    let named = |line: &&Value| line.as_str().unwrap().starts_with("Of seed 0, ");
    assert_eq!(warnings.iter().filter(named).count(), 1, "{warnings:?}");
}

#[test]
fn one_seed_is_told_by_itself_and_two_that_are_named_stand_beside_each_other() {
    let lab = lab("seeds = 2\n");
    lab.mrx(&["run", "loop"]).success();
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let plain = toml.replace("seeds = 2", "seed = 1").replace("\"scripted\"", "\"plain\"");
    lab.write("loop/plain.toml", &plain);
    lab.mrx(&["run", "loop/plain.toml"]).success();
    let one = told(&lab, &["scripted@seed=1"]).to_string();
    let plain = told(&lab, &["plain"]).to_string();
    assert_eq!(one, plain.replace("\"plain\"", "\"scripted@seed=1\""));
    assert!(!one.contains("\"together\"") && !one.contains("\"shown_seed\""));
    let both = told(&lab, &["scripted@seed=0", "scripted@seed=1"]);
    assert_eq!((list(&both["experiments"]).len(), &both["together"]), (2, &Value::Null));
    // Who tried one seed first has an experiment of the file's own name: it still means all seeds.
    let first = toml.replace("seeds = 2", "seed = 9");
    lab.write("loop/first.toml", &first);
    lab.mrx(&["run", "loop/first.toml"]).success();
    let all = told(&lab, &["scripted"]);
    assert_eq!(list(&all["experiments"][0]["seeds"]).len(), 2);
}

const SWEPT: &str = "seeds = 2\n\n[sweep]\n\"judge.temperature\" = [0.8, 0.6]\n\n\
    [claims]\n\"longer\" = { model = \"m1\", beats = \"m0\", by = \"response_chars\" }\n";

#[test]
fn settings_stand_beside_each_other_in_the_order_of_the_file_with_its_claims() {
    let lab = lab(SWEPT);
    let made = lab.mrx(&["run", "loop"]).success();
    let shown = told(&lab, &["scripted"]);
    let names: Vec<&Value> = list(&shown["experiments"]).iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["scripted@temperature=0.8", "scripted@temperature=0.6"]);
    let claims = list(&shown["together"]["claims"]);
    assert_eq!(claims.len(), 2);
    for claim in claims {
        let start = claim["name"].as_str().unwrap();
        let line = made.stdout.lines().find(|line| line.starts_with(start)).unwrap();
        let difference = format!(" {:.3} ", claim["difference"].as_f64().unwrap());
        assert!(line.contains(&difference), "{claim} {line}");
        assert!(line.ends_with(claim["holds"].as_str().unwrap()), "{claim} {line}");
    }
    let between = list(&shown["together"]["between"]);
    let sides = |one: &Value| {
        one["model"] == "scripted@temperature=0.6/m4"
            && one["against"] == "scripted@temperature=0.8/m4"
            && one["seeds"] == 2
    };
    assert!(between.len() > 2 && between.iter().all(sides), "{between:?}");
    // What differs is what is swept, for the same seed of both is compared.
    let differences = list(&shown["differences"][0]["settings"]);
    let swept = |one: &Value| one["change"] == "temperature 0.8 → 0.6";
    assert!(!differences.is_empty() && differences.iter().all(swept), "{differences:?}");
    // Claims stand in the file alone.
    std::fs::remove_file(lab.path.join("loop/experiment.toml")).unwrap();
    lab.mrx(&["report", "scripted"])
        .success()
        .says("what the file of `scripted` claims is left out");
    let shown = data(&page(&lab, "report.html"));
    assert!(list(&shown["together"]["claims"]).is_empty());
}
