//! Requests in files, and replies in any order, in parts, and twice.

use std::fs;

use serde_json::{Value, json};

use super::with_engine;
use crate::lab::Lab;

/// The scripted loop, whose model is run by files.
fn by_files() -> Lab {
    let lab = Lab::with_loop();
    let engine = "[engine]\nkind = \"batch\"\napi = \"chat\"\nserved_name = \"m0\"\nversion = \"1\"\nseeds = true";
    with_engine(&lab, engine);
    lab.mrx(&["run", "loop", "prompts.m0"]).success();
    lab
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A reply to a request, whose text names the row.
fn reply(request: &Value) -> String {
    let id = request["custom_id"].as_str().unwrap();
    let text = format!("An answer to {id}.");
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
    let usage = json!({ "prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9 });
    let body = json!({ "id": format!("chatcmpl-{id}"), "model": "m0", "choices": [choice], "usage": usage });
    json!({ "id": "b", "custom_id": id, "response": { "status_code": 200, "request_id": "r", "body": body }, "error": null })
        .to_string()
}

#[test]
fn requests_are_written_and_replies_are_taken_in_any_order_in_parts_and_twice() {
    let lab = by_files();
    lab.mrx(&["run", "loop", "respond.m0"]).fails_with(3).says("mrx batch export");
    let out =
        ["batch", "export", "loop", "respond.m0", "--out", "requests", "--max-requests", "30"];
    lab.mrx(&out).success().says("70 requests in 3 files").prints("respond.m0-0000.jsonl");
    let files: Vec<_> =
        (0..3).map(|nth| lab.path.join(format!("requests/respond.m0-000{nth}.jsonl"))).collect();
    let requests: Vec<Value> = files.iter().flat_map(|file| lines(file)).collect();
    assert_eq!(requests.len(), 70);
    let first = &requests[0];
    assert_eq!(
        (first["method"].as_str(), first["url"].as_str()),
        (Some("POST"), Some("/v1/chat/completions"))
    );
    assert_eq!(first["body"]["model"], "m0");
    assert!(requests.iter().all(|request| request["custom_id"].as_str().unwrap().len() <= 64));

    let mut replies: Vec<String> = requests.iter().map(reply).collect();
    replies.reverse();
    lab.write("first.jsonl", &replies[..40].join("\n"));
    lab.mrx(&["batch", "import", "first.jsonl"]).success().prints("40 rows taken, 30 missing");
    lab.mrx(&["batch", "import", "first.jsonl"]).success().prints("0 rows taken, 30 missing");
    lab.mrx(&["plan", "loop"]).success().prints("partial");
    // One failed on the way: it is told, and may be asked again.
    let failed = json!({ "custom_id": requests[0]["custom_id"], "response": { "status_code": 500, "body": { "error": { "message": "overloaded" } } } });
    let rest = [&replies[40..69], &[failed.to_string()]].concat();
    lab.write("second.jsonl", &rest.join("\n"));
    let told = lab.mrx(&["batch", "import", "first.jsonl", "second.jsonl"]).success();
    told.prints("29 rows taken, 1 missing").prints("status 500: overloaded");
    lab.mrx(&out).success().says("1 requests in 1 files");
    lab.write("third.jsonl", &replies[69..].join("\n"));
    lab.mrx(&["batch", "import", "third.jsonl"]).success().prints("is made");
    lab.mrx(&["batch", "import", "third.jsonl", "first.jsonl"]).success().prints("is made already");
    let right = "SELECT count(*) FROM responses WHERE text = 'An answer to ' || response_id || '.'";
    assert_eq!(lab.ask(right), "70");
    lab.mrx(&["store", "verify"]).success();
}

#[test]
fn a_refusal_in_a_file_is_a_row_and_wrong_ids_are_named() {
    let lab = by_files();
    lab.mrx(&["batch", "export", "loop", "respond.m0"]).success();
    let requests = lines(&lab.path.join("respond.m0-0000.jsonl"));
    let mut replies: Vec<String> = requests.iter().map(reply).collect();
    lab.write("strange.jsonl", &format!("{}\n{}", replies[1], replies[0].replace("\"r_", "\"r_0")));
    lab.mrx(&["batch", "import", "strange.jsonl"])
        .fails_with(1)
        .says("1 replies are to requests that this store never exported")
        .says("nothing was taken");
    lab.mrx(&["batch", "import", "respond.m0-0000.jsonl"])
        .fails_with(1)
        .says("respond.m0-0000.jsonl:1")
        .says("is it a file of requests?");
    lab.write("torn.jsonl", &format!("{}\n{}", replies[1], &replies[0][..50]));
    lab.mrx(&["batch", "import", "torn.jsonl"]).fails_with(1).says("torn.jsonl:2");
    assert_eq!(lab.ask("SELECT count(*) FROM responses"), "0", "nothing was taken");
    let refused = json!({ "custom_id": requests[0]["custom_id"], "response": { "status_code": 400, "body": { "error": { "message": "content filter" } } } });
    replies[0] = refused.to_string();
    lab.write("replies.jsonl", &replies.join("\n"));
    lab.mrx(&["batch", "import", "replies.jsonl"]).success().prints("is made");
    assert_eq!(
        lab.ask("SELECT refusal FROM responses WHERE refusal IS NOT NULL"),
        "content filter"
    );
}

#[test]
fn replies_do_not_fit_an_experiment_that_has_changed() {
    let lab = by_files();
    lab.mrx(&["batch", "export", "loop", "respond.m0"]).success();
    let requests = lines(&lab.path.join("respond.m0-0000.jsonl"));
    lab.write("replies.jsonl", &requests.iter().map(reply).collect::<Vec<_>>().join("\n"));
    lab.edit("loop/experiment.toml", "temperature = 0.8", "temperature = 0.7");
    lab.mrx(&["batch", "import", "replies.jsonl"]).fails_with(1).says("the experiment has changed");
}

#[test]
fn what_a_node_stands_on_has_to_be_made_first() {
    let lab = by_files();
    let judge = ["batch", "export", "loop", "judge.m0"];
    lab.mrx(&judge).fails_with(1).says("judge.m0 stands on respond.m0").says("makes it");
}
