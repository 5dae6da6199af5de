//! Answers and verdicts in the files of benchmarks; read back by the queries of `experiments/imported_verdicts`, they
//! come to the numbers of the experiment that they are from.

use std::fs;

use serde_json::{Value, json};

use super::{array, lines};
use crate::judged::{examples, played};
use crate::lab::Lab;

/// Value and bounds of an estimate.
fn estimate(lab: &Lab, filter: &str) -> Vec<f64> {
    let query = format!("SELECT value, low, high FROM estimates e WHERE {filter}");
    let text = lab.ask(&query);
    let numbers: Vec<f64> = text.split(',').map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 3, "{filter}: {text}");
    numbers
}

/// Puts exported files in the place of the ready ones, and reads them back.
fn read_back(lab: &Lab, files: &[(&str, &str)], nodes: &[&str]) {
    for (from, to) in files {
        fs::copy(lab.path.join(from), lab.path.join("e/imported_verdicts").join(to)).unwrap();
    }
    lab.mrx(&[&["run", "e/imported_verdicts"], nodes].concat()).success();
}

/// Checks that an imported estimate is that of a model of an experiment.
fn same(lab: &Lab, (imported, own): (&str, &str), experiment: &str, model: &str) {
    let back = estimate(
        lab,
        &format!(
            "experiment = 'imported-verdicts' AND name = '{imported}' AND e.group = '{experiment}-{model}'"
        ),
    );
    let own = estimate(
        lab,
        &format!(
            "experiment = '{experiment}' AND name = '{own}' AND model = '{model}' AND e.group = 'all'"
        ),
    );
    for (back, own) in back.iter().zip(&own) {
        assert!((back - own).abs() < 1e-12, "{imported} of {experiment}-{model}: {back}, {own}");
    }
}

#[test]
fn arena_hard_reads_back_what_it_was_given() {
    let lab = examples();
    lab.mrx(&["run", "e/arena_hard"]).success();
    let export = ["export", "arena-hard", "arena-hard/m0", "arena-hard/m1", "-o", "a"];
    let told = lab.mrx(&export).success().says("8 answers, 16 games").does_not_say("warning");
    let judge = lab.ask("SELECT min(judge) FROM verdicts");
    let judged = |model: &str| format!("a/model_judgment/{judge}/arena-hard-{model}.jsonl");
    told.prints(&judged("m1")).prints("a/model_answer/gpt-4-0314.jsonl");
    let question = lines(&lab, "a/question.jsonl").remove(0);
    let row = lines(&lab, &judged("m0")).remove(0);
    assert_eq!((&row["uid"], &row["category"]), (&question["uid"], &json!("hard_prompt")));
    let own: Value = lab
        .ask(&format!(
            "SELECT preference FROM verdicts WHERE model = 'm0' AND first_shown = 'baseline' AND prompt_id = {}",
            row["uid"].to_string().replace('"', "'")
        ))
        .parse::<f64>()
        .unwrap()
        .into();
    let levels = json!({"A>>B": 0.0, "A>B": 0.25, "A=B": 0.5, "B>A": 0.75, "B>>A": 1.0});
    assert_eq!(levels[row["games"][0]["score"].as_str().unwrap()], own, "A is the baseline");
    assert!(row["games"][1]["judgment"]["answer"].as_str().unwrap().contains("final verdict"));
    let answer = lines(&lab, "a/model_answer/arena-hard-m0.jsonl").remove(0);
    assert_eq!(answer["messages"][0]["content"], question["prompt"]);
    assert!(answer["messages"][1]["content"]["answer"].is_string());
    assert_eq!(answer["metadata"]["bold_count"], json!({"**": 0, "__": 0}));
    lab.mrx(&export).success();
    for model in ["m0", "m1"] {
        read_back(&lab, &[(&judged(model), "arena_hard.jsonl")], &["estimate.all.arena_hard"]);
        same(&lab, ("arena_hard", "arena_hard"), "arena-hard", model);
    }
}

#[test]
fn alpaca_eval_reads_back_weighed_preferences_to_the_last_digit() {
    let lab = examples();
    lab.mrx(&["run", "e/alpaca_eval", "estimate.m0.answers"]).success();
    lab.mrx(&["export", "alpaca-eval", "alpaca-eval/m0"]).success().says("6 answers, 6 games");
    let folder = "alpaca-eval-alpaca-eval";
    let annotations = format!("{folder}/alpaca-eval-m0/alpaca-eval-m0/annotations.json");
    let row = array(&lab, &annotations).remove(0);
    let fields: Vec<&String> = row.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "instruction",
            "output_1",
            "generator_1",
            "dataset",
            "output_2",
            "generator_2",
            "annotator",
            "preference",
            "raw_completion",
            "is_switched_outputs"
        ]
    );
    assert_eq!(row["generator_1"], "gpt4_1106_preview");
    let published = "e/alpaca_eval/alpaca_eval_gpt4_baseline.json";
    let mut baseline = array(&lab, &format!("{folder}/gpt4_1106_preview/model_outputs.json"));
    let mut published = array(&lab, published);
    for rows in [&mut baseline, &mut published] {
        rows.sort_by_key(|row| row["instruction"].to_string());
    }
    assert_eq!(baseline, published, "the baseline's own file comes out as it went in");
    let nodes = ["estimate.all.alpaca_eval", "estimate.all.alpaca_eval_at_equal_length"];
    read_back(&lab, &[(&annotations, "annotations.json")], &nodes);
    same(&lab, ("alpaca_eval", "win_rate"), "alpaca-eval", "m0");
    let lengths = ("alpaca_eval_at_equal_length", "length_controlled_win_rate");
    same(&lab, lengths, "alpaca-eval", "m0");
}

/// A judge that likes the ready answer, says nothing of a tenth of the prompts, and sees a tie in another.
const SAYS: &str = "{% set n = ((prompt | split('What is '))[1] | split('?') | first) | int %}\
    {% if n % 10 == 3 %}Hm.{% elif n % 10 == 5 %}Winner: tie\
    {% elif n % 7 == 1 %}Winner: Response {% if '[READY' in (prompt | split('] ['))[0] %}B{% else %}A{% endif %}\
    {% else %}Winner: Response {% if '[READY' in (prompt | split('] ['))[0] %}A{% else %}B{% endif %}{% endif %}";

#[test]
fn verdicts_that_could_not_be_read_are_told_counted_and_put_where_each_format_puts_them() {
    let lab = played("", SAYS);
    lab.mrx(&["run", "loop", "estimate.m0.answers"]).success();
    assert_eq!(lab.ask("SELECT count(*) FROM verdicts WHERE preference IS NULL"), "40");
    let judge = lab.ask("SELECT min(judge) FROM verdicts");
    let export = |format: &str, told: &str| {
        lab.mrx(&["export", format, "scripted/m0", "-o", format])
            .success()
            .says("200 answers, 400 games")
            .says(told);
    };
    export("alpaca-eval", "40 verdicts could not be read: their preference is null");
    export("arena-hard", "40 verdicts could not be read: their score is null");
    export("mt-bench", "40 verdicts could not be read: their winner is `error`");
    let annotations = format!("alpaca-eval/scripted-m0/{judge}/annotations.json");
    let unread = array(&lab, &annotations).iter().filter(|row| row["preference"].is_null()).count();
    assert_eq!(unread, 40);
    let judged = format!("arena-hard/model_judgment/{judge}/scripted-m0.jsonl");
    let rows = lines(&lab, &judged);
    let unread = rows.iter().filter(|row| row["games"][0]["score"].is_null()).count();
    assert_eq!((rows.len(), unread), (200, 20));
    assert!(
        rows.iter().all(|row| row["games"][1]["score"] != "A>>B"),
        "there are three levels here"
    );
    let pairs = format!("mt-bench/model_judgment/{judge}_pair.jsonl");
    let rows = lines(&lab, &pairs);
    let unread =
        rows.iter().filter(|row| row["g1_winner"] == "error" && row["g2_winner"] == "error");
    assert_eq!((rows.len(), unread.count()), (200, 20));
    let files = [(&*annotations, "annotations.json"), (&*judged, "arena_hard.jsonl")];
    let files = [&files[..], &[(&*pairs, "gpt-4_pair.jsonl")]].concat();
    let ready = examples();
    crate::lab::copy_folder(
        &ready.path.join("e/imported_verdicts"),
        &lab.path.join("e/imported_verdicts"),
    );
    read_back(&lab, &files, &[]);
    for imported in ["alpaca_eval", "arena_hard", "mt_bench_pairs"] {
        same(&lab, (imported, "win_rate"), "scripted", "m0");
    }
}

#[test]
fn games_in_one_order_leave_the_other_open_where_a_benchmark_wants_both() {
    let lab = played("order = \"seeded\"", SAYS);
    lab.mrx(&["run", "loop", "evaluate.m0"]).success();
    for format in ["arena-hard", "mt-bench"] {
        lab.mrx(&["export", format, "scripted/m0", "-o", format])
            .success()
            .says("200 games were played in one order: the benchmark wants both");
    }
    let judge = lab.ask("SELECT min(judge) FROM verdicts");
    let rows = lines(&lab, &format!("arena-hard/model_judgment/{judge}/scripted-m0.jsonl"));
    assert!(rows.iter().all(|row| row["games"][0].is_null() != row["games"][1].is_null()));
    let rows = lines(&lab, &format!("mt-bench/model_judgment/{judge}_pair.jsonl"));
    assert!(rows.iter().all(|row| row["g1_winner"] == "error" || row["g2_winner"] == "error"));
}

#[test]
fn weighed_verdicts_lose_their_weights_where_a_benchmark_has_none_and_that_is_told() {
    let lab = examples();
    lab.mrx(&["run", "e/alpaca_eval", "evaluate.m0"]).success();
    lab.mrx(&["export", "mt-bench", "alpaca-eval/m0"])
        .success()
        .says("6 verdicts are weighed, and here only the winner is said");
    lab.mrx(&["export", "alpaca-eval", "alpaca-eval/m0"]).success().does_not_say("weighed");
}

#[test]
fn scores_of_the_panel_are_single_grades_of_mt_bench() {
    let lab = examples();
    lab.mrx(&["run", "e/arena_hard"]).success();
    lab.mrx(&["export", "mt-bench", "arena-hard/m1", "-o", "m"]).success();
    let grades = lines(&lab, "m/model_judgment/arena-hard-m1_single.jsonl");
    let count = "SELECT count(*) FROM judgements WHERE model = 'm1' AND part = 'panel'";
    assert_eq!(grades.len().to_string(), lab.ask(count));
    assert_eq!(grades[0]["judge"], json!(["arena-hard-m1", "mrx"]));
    let questions = lines(&lab, "m/question.jsonl");
    let known = |id: &Value| questions.iter().any(|question| question["question_id"] == *id);
    assert!(grades.iter().all(|grade| known(&grade["question_id"])));
    let answers = lines(&lab, "m/model_answer/arena-hard-m1.jsonl");
    assert!(answers.iter().all(|answer| known(&answer["question_id"])));
    assert!(answers[0]["choices"][0]["turns"][0].is_string());
}

#[test]
fn models_of_two_experiments_are_not_put_into_one_export() {
    let lab = examples();
    lab.mrx(&["run", "e/arena_hard", "evaluate.m0"]).success();
    lab.mrx(&["run", "e/alpaca_eval", "evaluate.m0"]).success();
    lab.mrx(&["export", "arena-hard", "arena-hard/m0", "alpaca-eval/m0"])
        .fails_with(2)
        .says("go into exports of their own");
    lab.mrx(&["export", "arena-hard", "arena-hard/m7"]).fails_with(2).says("has no model `m7`");
}
