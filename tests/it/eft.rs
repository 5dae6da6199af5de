//! Judging examples from answers that people ranked: `experiments/eft`.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Environment, context};
use serde_json::Value;

use crate::lab::{Lab, PROJECT, copy_folder};

const FOLDER: &str = "experiments/eft";

/// A lab with the experiment in `eft/`.
fn eft() -> Lab {
    let lab = Lab::new();
    copy_folder(&Path::new(PROJECT).join(FOLDER), &lab.path.join("eft"));
    lab
}

fn read(lab: &Lab, name: &str) -> String {
    std::fs::read_to_string(lab.path.join("eft").join(name)).unwrap()
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The examples that the query makes: the judge's prompt and the target.
fn examples(lab: &Lab) -> Vec<(String, String)> {
    lab.mrx(&["run", "eft", "examples.m0"]).success();
    let sql = "SELECT messages[1].content AS prompt, target FROM examples ORDER BY position";
    let found = lab.mrx(&["sql", sql, "--format", "jsonl"]).success();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows(&found.stdout).iter().map(|row| (text(row, "prompt"), text(row, "target"))).collect()
}

/// The score of each answer, by how many were ranked and the place among them, best first.
fn score(ranked: usize, place: usize) -> usize {
    match ranked {
        2 => [4, 1][place],
        3 => [5, 3, 1][place],
        4 => [5, 3, 2, 0][place],
        other => panic!("{other} answers"),
    }
}

/// What the loop would show the judge of each ranked answer to a first English turn, and the score and the
/// justification that it should learn.
fn expected(lab: &Lab) -> BTreeMap<String, (usize, Option<String>)> {
    let template = read(lab, "judge.jinja");
    let messages = rows(&read(lab, "ranked.jsonl"));
    let mut expected = BTreeMap::new();
    let first = |m: &&Value| m["parent_id"].is_null() && m["lang"] == "en";
    for prompt in messages.iter().filter(first) {
        let is_ranked = |m: &&Value| m["parent_id"] == prompt["message_id"] && m["rank"].is_u64();
        let mut answers: Vec<&Value> = messages.iter().filter(is_ranked).collect();
        answers.sort_by_key(|answer| answer["rank"].as_u64());
        for (place, answer) in answers.iter().enumerate().filter(|_| answers.len() > 1) {
            let shown =
                context! { prompt => prompt["text"].as_str(), response => answer["text"].as_str() };
            let shown = Environment::new().render_str(&template, shown).unwrap();
            let why = answer["justification"].as_str().map(ToOwned::to_owned);
            expected.insert(shown, (score(answers.len(), place), why));
        }
    }
    expected
}

#[test]
fn the_judge_learns_from_what_the_loop_will_show_it() {
    let lab = eft();
    let expected = expected(&lab);
    let examples = examples(&lab);
    let (mut own, mut scores) = (0, BTreeMap::new());
    for (prompt, target) in &examples {
        let (score, why) = expected.get(prompt).unwrap_or_else(|| panic!("not asked: {prompt}"));
        let (said, line) = target.rsplit_once('\n').unwrap();
        assert_eq!(line, format!("Score: {score}"), "{prompt}");
        if let Some(why) = why {
            assert_eq!(said, why);
            own += 1;
        }
        *scores.entry(*score).or_insert(0) += 1;
    }
    assert!(own > 3, "{own} justifications are those of the data");
    assert_eq!(scores, (0..=5).map(|score| (score, 8)).collect(), "every score as often");
    let total = expected.len();
    assert!(total > examples.len(), "some of {total} answers are left out for it");
    assert_eq!(
        read(&lab, "judge.jinja"),
        std::fs::read_to_string(Path::new(PROJECT).join("src/stages/rubric/judge.jinja")).unwrap(),
        "the built-in template: an experiment without one of its own asks the same"
    );
}

/// A place in a text is no place in the template.
#[test]
fn texts_are_put_into_the_template_and_not_searched() {
    let lab = eft();
    let placed = "Tell me a joke about {{ response }} placeholders.";
    let sql = read(&lab, "examples.sql").replace("<= most", "<= 99");
    lab.write("eft/examples.sql", &sql);
    let examples = examples(&lab);
    assert_eq!(examples.len(), expected(&lab).len());
    assert_eq!(examples.iter().filter(|(prompt, _)| prompt.contains(placed)).count(), 2);
    lab.edit("eft/judge.jinja", "{{ response }}", "{{response}}");
    lab.mrx(&["run", "eft", "examples.m0"]).fails_with(3).says("row 1 has no prompt: it is NULL");
}

/// As Open Assistant's files have them: more fields, and no justification.
#[test]
fn an_export_of_open_assistant_is_read_as_it_is() {
    let lab = eft();
    let mut lines = String::new();
    for mut message in rows(&read(&lab, "ranked.jsonl")) {
        let fields = message.as_object_mut().unwrap();
        fields.remove("justification");
        fields.insert("created_date".to_owned(), "2023-02-05T14:23:50.983374+00:00".into());
        fields.insert("deleted".to_owned(), false.into());
        fields.insert("emojis".to_owned(), serde_json::json!({"name": ["+1"], "count": [10]}));
        lines.push_str(&(message.to_string() + "\n"));
    }
    lab.write("eft/ranked.jsonl", &lines);
    let examples = examples(&lab);
    assert_eq!(examples.len(), 48);
    assert!(examples.iter().all(|(_, target)| target.starts_with("The response ")));
}

#[test]
fn a_model_is_fine_tuned_on_judging_and_judges() {
    let lab = eft();
    let few = ["--set", "sft.max_steps=8", "--set", "prompts.per_iteration=3"];
    lab.mrx(&[&["run", "eft"], &few[..]].concat()).success();
    let falls = "SELECT arg_min(value, step) > arg_max(value, step) FROM metrics WHERE node = 'sft.m0' AND metric = 'loss'";
    assert_eq!(lab.ask(falls), "true");
    assert_eq!(lab.ask("SELECT count(*) FROM judgements"), "18");
}
