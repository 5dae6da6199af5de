//! Mistakes in engines, each told with what was expected and what was found.

use super::{endpoints, scripted, with_engine};
use crate::lab::{Lab, Outcome};
use crate::server::{Options, Quirk, Server};

fn run(lab: &Lab) -> Outcome {
    lab.mrx(&["run", "loop", "respond.m0"])
}

/// What a run of the scripted loop with these tables says.
fn said(tables: &str) -> Outcome {
    let lab = Lab::with_loop();
    with_engine(&lab, tables);
    run(&lab)
}

#[test]
fn a_server_of_another_model_is_not_asked() {
    let lab = Lab::with_loop();
    let server = Server::start(Options { name: "other".to_owned(), ..Options::default() });
    with_engine(&lab, &endpoints(&[&server], ""));
    run(&lab).fails_with(3).says("does not serve `m0`; it serves other").says("served_name");
    assert_eq!(server.counts().answered, 0);
}

#[test]
fn a_reply_of_another_model_stops_everything() {
    let lab = Lab::with_loop();
    let quirks = vec![Quirk::WrongName("other".to_owned())];
    let server = scripted(&lab, Options { quirks, ..Options::default() });
    with_engine(&lab, &endpoints(&[&server], ""));
    run(&lab).fails_with(3).says("was asked for `m0`, and `other` replied");
    assert_eq!(lab.ask("SELECT count(*) FROM responses"), "0");
}

#[test]
fn a_prompt_that_the_server_finds_too_long_is_a_row_with_its_words() {
    let lab = Lab::with_loop();
    let quirks = vec![Quirk::RefusesLongAnswers];
    let server = scripted(&lab, Options { max_model_len: Some(100), quirks, ..Options::default() });
    with_engine(&lab, &endpoints(&[&server], ""));
    run(&lab).fails_with(3).says("the model refused").says("maximum context length");
    let lab_more = ["run", "loop", "respond.m0", "--set", "max_refused=1"];
    lab.mrx(&lab_more).success();
    let refused = "SELECT count(*) FROM responses WHERE refusal LIKE '%maximum context length%'";
    assert_ne!(lab.ask(refused), "0");
}

#[test]
fn a_server_of_another_version_is_not_asked() {
    let lab = Lab::with_loop();
    let server =
        scripted(&lab, Options { version: Some("0.9.9".to_owned()), ..Options::default() });
    let engine = endpoints(&[&server], "preset = \"vllm\"\ntoken_ids = false");
    with_engine(&lab, &engine.replace("version = \"1\"", "version = \"0.9.8\""));
    run(&lab).fails_with(3).says("0.9.9").says("the experiment says 0.9.8");
}

#[test]
fn a_version_that_is_not_said_is_the_servers_own_and_is_in_the_key() {
    let lab = Lab::with_loop();
    let server =
        scripted(&lab, Options { version: Some("0.9.9".to_owned()), ..Options::default() });
    let port = server.port();
    let engine = endpoints(&[&server], "preset = \"vllm\"\ntoken_ids = false");
    with_engine(&lab, &engine.replace("version = \"1\"\n", ""));
    run(&lab).success();
    lab.mrx(&["show", "respond.m0"]).success().prints("\"0.9.9\"");
    drop(server);
    // It is gone: what it said last is remembered.
    lab.mrx(&["run", "loop", "respond.m0"]).success().says("nothing to do");
    let version = Some("0.9.10".to_owned());
    let _newer = scripted(&lab, Options { version, port, ..Options::default() });
    lab.mrx(&["plan", "loop"]).success().prints("engine.version `0.9.9` → `0.9.10`");
}

#[test]
fn nobody_is_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let engine = format!("[engine]\nendpoints = [\"http://127.0.0.1:{free}\"]\nversion = \"1\"");
    said(&engine).fails_with(3).says("no server").says("the same command goes on");
}

#[test]
fn mistakes_in_the_tables_are_told_with_their_place() {
    let engine = |line: &str| said(&format!("[engine]\n{line}"));
    engine("preset = \"vlm\"").fails_with(1).says("expected a preset of").says("vllm");
    engine("prices = { prompt = -1.0, completion = 1.0 }\nendpoints = [\"http://127.0.0.1:1\"]")
        .fails_with(1)
        .says("expected a number of at least 0");
    engine("max_cost = 3.0\nendpoints = [\"http://127.0.0.1:1\"]")
        .fails_with(1)
        .says("`max_cost` needs `prices`");
    engine("endpoints = []").fails_with(1).says("found none");
    engine("endpoints = [\"localhost:8000\"]\nversion = \"1\"")
        .fails_with(3)
        .says("not the address of a server");
    engine("command = \"serve {model}\"").fails_with(1).says("`{port}`");
    engine("command = \"serve '{port}\"").fails_with(1).says("a quote is open");
    engine("timeout = \"soon\"\nendpoints = [\"http://127.0.0.1:1\"]")
        .fails_with(1)
        .says("expected a time");
    engine("replica = 2").fails_with(1).says("did you mean `replicas`?");
    said("[engines.judge]\npreset = \"openai\"").does_not_say("panicked");
    let lab = Lab::with_loop();
    lab.edit("loop/experiment.toml", "[respond]", "[respond]\nengine = \"fast\"");
    run(&lab).fails_with(1).says("no engine is called `fast`").says("experiment.toml:");
}

#[test]
fn servers_that_do_not_compute_the_same_are_not_asked() {
    let lab = crate::local::lab();
    let model = lab.path.join("small/model");
    let other = crate::local::lab_of_seed(7);
    let servers = [&model, &other.path.join("small/model")]
        .map(|folder| Server::start(Options { name: "m0".to_owned(), ..Options::model(folder) }));
    let urls = servers.each_ref().map(|server| format!("{:?}", server.url())).join(", ");
    let toml = std::fs::read_to_string(lab.path.join("small/experiment.toml")).unwrap();
    let engine = format!(
        "[engine]\npreset = \"vllm\"\nversion = \"0.0.1\"\nserved_name = \"m0\"\nendpoints = [{urls}]"
    );
    lab.write("small/experiment.toml", &format!("{toml}\n{engine}\n"));
    lab.mrx(&["run", "small", "respond.m0"])
        .fails_with(3)
        .says("serve the same model, and do not give its first token the same log-probability")
        .says("from the same files");
}
