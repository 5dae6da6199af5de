//! Verdicts as judges write them, and what each rule reads: `tests/data/verdicts.jsonl` was written by hand,
//! by somebody who had not seen the rules' code.

use std::collections::BTreeMap;

use mrx::records::{FinishReason, Status};
use mrx::stages::{Form, Rule, RuleOptions};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::lab::Lab;
use crate::model::data;

#[derive(Deserialize)]
struct Expected {
    rule: Map<String, Value>,
    text: String,
    status: Status,
    value: Option<f64>,
    #[serde(default)]
    finish: Option<FinishReason>,
    why: String,
}

fn rule_of(mut given: Map<String, Value>) -> Rule {
    let form = match (given.remove("rule"), given.remove("pattern")) {
        (Some(rule), None) => Form::Rule(serde_json::from_value(rule).unwrap()),
        (None, Some(pattern)) => Form::Pattern(pattern.as_str().unwrap().to_owned()),
        _ => panic!("a rule or a pattern"),
    };
    let options: RuleOptions = serde_json::from_value(Value::Object(given)).unwrap();
    Rule::new(form, options).unwrap()
}

#[test]
fn every_text_is_read_as_a_person_would_read_it() {
    let corpus = std::fs::read_to_string(data("verdicts.jsonl")).unwrap();
    let mut wrong = Vec::new();
    let mut texts = 0;
    for line in corpus.lines() {
        let Expected { rule, text, status, value, finish, why } =
            serde_json::from_str(line).unwrap();
        let read = rule_of(rule.clone()).read(&text, finish.unwrap_or(FinishReason::Stop));
        texts += 1;
        if (read.status, read.value) != (status, value) {
            let rule = Value::Object(rule);
            wrong.push(format!("{rule} {text:?} ({why}): {status:?} {value:?}, found {read:?}"));
        }
    }
    assert!(texts > 450, "{texts}");
    assert!(wrong.is_empty(), "{} of {texts}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a rule reads alone it reads whatever was thought before.
#[test]
fn no_verdict_in_reasoning_counts() {
    let corpus = std::fs::read_to_string(data("verdicts.jsonl")).unwrap();
    let mut by_rule: BTreeMap<String, u32> = BTreeMap::new();
    for line in corpus.lines() {
        let Expected { rule, text, status, .. } = serde_json::from_str(line).unwrap();
        if status != Status::Ok || text.contains("think>") {
            continue;
        }
        *by_rule.entry(Value::Object(rule.clone()).to_string()).or_default() += 1;
        let rule = rule_of(rule);
        let alone = rule.read(&text, FinishReason::Stop);
        for thought in [format!("<think>{text}"), format!("<think>{text}</think>I cannot say.")] {
            let read = rule.read(&thought, FinishReason::Stop);
            assert_eq!((read.value, read.status), (None, Status::Missing), "{thought}");
        }
        let draft = format!("<think>Score: 1 [[1]] Winner: Judgement B</think>\n{text}");
        assert_eq!(rule.read(&draft, FinishReason::Stop), alone, "{draft}");
    }
    assert!(by_rule.len() > 10, "{by_rule:?}");
}

fn lab(verdict: &str) -> Lab {
    let lab = Lab::with_loop();
    let file = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    lab.write("loop/experiment.toml", &format!("{file}\n{verdict}\n"));
    lab
}

#[test]
fn a_rule_of_ones_own_reads_the_judgements() {
    let lab = lab(
        "[judge.verdict]\npattern = 'Score: (?<n>\\d)'\nvalues = { 4 = 40 }\nmin = 0\nmax = 50",
    );
    lab.mrx(&["run", "loop", "read.m0"]).success();
    let found = "SELECT count(*) FILTER (value = 40) > 0, count(*) FILTER (value = 4) = 0,
            count(DISTINCT rule) = 1, min(rule)[:10] FROM readings";
    assert_eq!(lab.ask(found), "true,true,true,pattern-2-");
}

#[test]
fn a_rule_that_cannot_be_is_refused_where_it_stands() {
    for (verdict, what) in [
        ("pattern = '('", "expected a regular expression"),
        ("pattern = 'a(b)'", "expected one named group, as `(?<score>\\d+)`, found 0"),
        ("pattern = '(?<a>b)(?<c>d)'", "found 2"),
        ("rule = 'score'\npattern = '(?<a>b)'", "expected `rule` or `pattern`, found both"),
        ("which = 'last'", "expected `rule`, a built-in one, or `pattern`"),
        ("rule = 'scores'", "unknown variant `scores`, expected one of `score`, `whole-score`"),
        ("rule = 'score'\nmin = 5\nmax = 1", "whose `min` is below its `max`, found 5 to 1"),
        ("rule = 'winner'\nmax = 2", "`max` does not belong to the rule `winner`"),
        ("rule = 'score'\nvalues = { good = 5 }", "`values` does not belong to the rule `score`"),
    ] {
        let lab = lab(&format!("[judge.verdict]\n{verdict}"));
        lab.mrx(&["plan", "loop"]).fails_with(1).says(what).says("experiment.toml");
    }
    let lab = lab("[judge.verdict]\nrule = 'boxed'");
    lab.mrx(&["plan", "loop"]).success();
    let weighed = lab.mrx(&["plan", "loop", "--set", "judge.decide=score"]);
    weighed.fails_with(1).says("expected verdicts that can be listed: give `verdict` a scale");
    let scale = ["judge.decide=score", "judge.verdict.min=1", "judge.verdict.max=10"];
    let set: Vec<&str> = scale.iter().flat_map(|value| ["--set", value]).collect();
    lab.mrx(&[&["plan", "loop", "--set", "judge.verdict.rule=boxed"], &set[..]].concat()).success();
    let within = [&["plan", "loop", "--set", "judge.verdict.rule=score"], &set[..]].concat();
    lab.mrx(&within).fails_with(1).says("none begins with another, found `1` and `10`");
}

#[test]
fn a_text_is_tried_before_anything_is_run() {
    let lab =
        lab("[judge.verdict]\npattern = 'Grade: (?<grade>\\w+)'\nvalues = { good = 5, bad = 1 }");
    let read = |arguments: &[&str]| lab.mrx(&[&["read"], arguments].concat()).success();
    let tried = read(&["--try", "<think>Score: 1</think>\nWell.\n**Score:** 4/5, I think"]);
    insta::assert_snapshot!(tried.stdout, @r"
    read   4
    rule   score-2
    why    this is the verdict that counts
    apart  8 characters of reasoning, not read: Score: 1

       2 | **Score:** 4/5, I think
         |   ^^^^^^^^^^^^^^^^^^^^^
    ");
    let tried = read(&["loop", "--try", "Grade: bad\nGrade: good"]);
    insta::assert_snapshot!(tried.stdout, @r"
    read   5
    rule   pattern-2-a4061509
    why    this is the verdict that counts

       2 | Grade: good
         | ^^^^^^^^^^^
    ");
    read(&["--try", "it is fine", "--rule", "rating"]).prints("missing");
    let json = read(&["--try", "[[A>B]]", "--rule", "arena", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json["value"].as_f64(), json["matched"].as_str()), (Some(0.5), Some("[[A>B]]")));
    let stdin = lab.mrx_with_input(&["read", "--try", "-", "--rule", "boxed"], "so \\boxed{7}");
    stdin.success().prints("read   7");
    lab.mrx(&["read", "--try", "x", "--rule", "none"]).fails_with(2).says("no reading rule `none`");
    let games = lab.mrx(&["read", "loop", "--of", "evaluate", "--try", "x"]);
    games.fails_with(1).says("there is no `[evaluate.judge]`");
}

#[test]
fn a_text_is_read_however_it_comes_and_printed_safely() {
    let lab = Lab::new();
    lab.mrx(&["read", "--try", "- Score: 4"]).success().prints("read   4");
    lab.write("answer.txt", "得分 \u{1b}[1m Score: 2\u{202e}\r\n");
    let said = lab.mrx(&["read", "--file", "answer.txt"]).success().prints("read   2").stdout;
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said}");
    lab.mrx(&["read", "--file", "nowhere"]).fails_with(1).says("cannot read nowhere");
    std::fs::write(lab.path.join("bytes"), [0xff]).unwrap();
    lab.mrx(&["read", "--file", "bytes"]).fails_with(1).says("cannot read bytes");
    lab.mrx(&["read"]).fails_with(2).says("--try <TEXT>");
}
