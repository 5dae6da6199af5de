//! Rows of large experiments: which of them a page shows, and that it stays small.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::{data, list, page};
use crate::lab::Lab;

/// A loop of one iteration over 300 prompts whose answers are long.
fn long() -> Lab {
    let lab = Lab::with_loop();
    let prompts = (0..300).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, r#"{{"instruction": "Say {i}.", "answer": "{i}", "kind": "say"}}"#);
        text
    });
    lab.write("loop/prompts.jsonl", &prompts);
    lab.edit("loop/experiment.toml", "per_iteration = 10", "per_iteration = 300");
    lab.edit("loop/experiment.toml", "iterations = 4", "iterations = 1");
    lab.edit("loop/experiment.toml", "max_tokens = 200", "max_tokens = 6000");
    lab.edit("loop/experiment.toml", "rho = [0.0, 0.32, 0.32, 0.4]", "rho = 0.0");
    lab.edit("loop/experiment.toml", "enabled = [true, true, false, false]", "enabled = true");
    for limit in ["[2500, false, false, false]", "[1100, 1000, false, false]"] {
        lab.edit("loop/experiment.toml", limit, "18000");
    }
    let answer = "{{ pick(['<a>', '<b>']) }}{% for _ in range(integer(2900, 3100)) %} <word>{% endfor %} the end";
    lab.write("loop/model/answer.jinja", answer);
    lab
}

/// How pairs were made or not, and what could not be read: what stands for every prompt.
fn kind(prompt: &Value) -> String {
    let became = |role: &str| prompt[role]["became"].as_str().unwrap_or("none").to_owned();
    let unread = prompt["unread"].as_array().map_or(0, Vec::len);
    format!("{} {} {}", became("actor"), became("judge"), unread > 0)
}

#[test]
fn every_kind_of_row_is_shown_and_the_page_stays_small() {
    let lab = long();
    let small = ["--set", "respond.samples=3", "--set", "judge.samples=3"];
    lab.mrx(&[&["run", "loop", "pair.m0"][..], &small[..]].concat()).success();
    lab.mrx(&["report", "loop"]).success().does_not_say("warning");
    let page = page(&lab, "report.html");
    assert!(page.len() < 5_000_000, "{}", page.len());
    let shown = data(&page);
    let share = &shown["experiments"][0]["shares"][0];
    let prompts = list(&share["shown"]);
    assert_eq!(share["of"], 300);
    assert!((30..=100).contains(&prompts.len()), "{}", prompts.len());
    let kinds: BTreeSet<String> = prompts.iter().map(kind).collect();
    let all = lab.ask(
        "SELECT count(DISTINCT (actor, judge, unread)) FROM (
            SELECT prompt_id, any_value(coalesce(reason, 'kept')) FILTER (role = 'actor') AS actor,
                any_value(coalesce(reason, 'kept')) FILTER (role = 'judge') AS judge
            FROM pairs GROUP BY ALL
         ) JOIN (
            SELECT prompt_id, bool_or(status != 'ok') AS unread FROM (
                SELECT prompt_id, status FROM judgements
                UNION ALL SELECT prompt_id, status FROM meta_judgements
            ) GROUP BY ALL
         ) USING (prompt_id)",
    );
    assert_eq!(kinds.len().to_string(), all, "{kinds:?}");
    assert!(kinds.len() > 3, "{kinds:?}");
    // A long text has its beginning and its end.
    let answer = &prompts[0]["answers"][0]["text"];
    assert!(answer[0].as_str().unwrap().starts_with('<') && answer[1].as_u64().unwrap() > 10_000);
    assert!(answer[2].as_str().unwrap().ends_with("the end"));
}
