//! The local model behind a server gives what it gives in this program: token for token, table for table.

use crate::lab::Lab;
use crate::quickstart::{SMALL, small_quickstart};
use crate::server::process;

#[test]
fn a_loop_drawn_by_engines_is_the_loop_that_is_drawn_here() {
    let lab = Lab::new();
    small_quickstart(&lab, "here");
    small_quickstart(&lab, "there");
    let engine = format!(
        "\n[engine]\npreset = \"vllm\"\nversion = \"0.0.1\"\ncommand = {:?}\nreplicas = 2\n",
        process::command(&[("ENGINE_VERSION", "0.0.1")])
    );
    let toml = std::fs::read_to_string(lab.path.join("there/experiment.toml")).unwrap();
    lab.write("there/experiment.toml", &format!("{toml}{engine}"));
    lab.edit("there/experiment.toml", "name = \"quickstart\"", "name = \"there\"");
    lab.mrx(&[&["run", "here"], &SMALL[..]].concat()).success();
    lab.mrx(&[&["run", "there"], &SMALL[..]].concat()).success();
    let (here, there) = (lab.digests("quickstart"), lab.digests("there"));
    assert!(here.keys().any(|table| table.starts_with("train.m2")), "{here:?}");
    assert_eq!(here, there, "but for the engine's name in keys");
    let engines = "SELECT count(DISTINCT run) FROM responses WHERE node = 'respond.m1'";
    assert_eq!(lab.ask(engines), "2", "they are two runs with the same rows");
}

#[test]
fn texts_of_one_request_are_rows_of_their_own() {
    let lab = Lab::with_loop();
    let options = crate::server::Options { keeps_requests: true, ..Default::default() };
    let server = super::scripted(&lab, options);
    super::with_engine(&lab, &super::endpoints(&[&server], "n = true"));
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    assert_eq!(lab.ask("SELECT count(*), count(DISTINCT seed) FROM responses"), "70,70");
    let asked = server.received();
    assert_eq!(asked.len(), 10, "one request for a prompt");
    assert!(asked.iter().all(|request| request.body["n"] == 7));
    lab.mrx(&["show", "respond.m0"]).success().prints("engine.n");
}

#[test]
fn every_field_of_sampling_is_sent() {
    let lab = Lab::with_loop();
    let options = crate::server::Options { keeps_requests: true, ..Default::default() };
    let server = super::scripted(&lab, options);
    let more =
        "preset = \"vllm\"\ntoken_ids = false\nlogprobs = false\nfields = { cache_salt = \"a\" }";
    super::with_engine(&lab, &super::endpoints(&[&server], more).replace("\"1\"", "\"0.0.1\""));
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    let request = &server.received()[0];
    let fields: Vec<&str> = request.body.as_object().unwrap().keys().map(String::as_str).collect();
    let mut sorted = fields.clone();
    sorted.sort_unstable();
    let all = [
        "cache_salt",
        "frequency_penalty",
        "max_tokens",
        "messages",
        "min_p",
        "model",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "skip_special_tokens",
        "temperature",
        "top_k",
        "top_p",
    ];
    assert_eq!(sorted, all);
    assert!(request.headers["x-request-id"].starts_with("mrx-"));
}
