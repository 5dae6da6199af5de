//! A doctor finds what is wrong with a server, and nothing that is not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, Outcome};
use crate::server::{Fault, Faults, Options, Quirk, Server, process};

/// The lab of a small model that really draws, and the model behind a server.
fn small(change: impl Fn(&mut Options)) -> (Lab, Server) {
    let lab = crate::local::lab();
    let mut options = Options::model(&lab.path.join("small/model"));
    change(&mut options);
    (lab, Server::start(options))
}

fn doctor(lab: &Lab, url: &str, more: &[&str]) -> Command {
    let arguments = ["doctor", url, "--folder", "small/model", "--load", "32"];
    lab.command(&[&arguments[..], more].concat())
}

/// What was found: the checks with this verdict.
fn checks(json: &str, verdict: &str) -> Vec<String> {
    let found: Vec<Value> = serde_json::from_str(json).unwrap();
    assert!(!found.is_empty());
    let those = found.iter().filter(|finding| finding["verdict"] == verdict);
    those.map(|finding| finding["check"].as_str().unwrap().to_owned()).collect()
}

/// The checks that fail, and all that was printed.
fn fails(mut command: Command) -> (Vec<String>, String) {
    let printed = command.arg("--json").output().unwrap();
    let json = String::from_utf8(printed.stdout).unwrap();
    let failed = checks(&json, "fail");
    let said = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert_eq!(printed.status.code(), Some(i32::from(!failed.is_empty())), "{json}{said}");
    (failed, json)
}

#[test]
fn what_a_fault_costs_is_told_in_full_however_narrow_the_table() {
    let (lab, server) = small(|options| options.quirks.push(Quirk::IgnoresSeed));
    let arguments = ["doctor", &server.url(), "--folder", "small/model", "--load", "32"];
    let told = lab.mrx(&arguments).fails_with(1).says("1 of 15 checks fail");
    told.prints("\nseed honoured: one seed gives two texts\n  a row that is drawn again may be another one: say `seeds = false`, and the key says so");
}

fn with_quirk(quirk: Quirk) -> Vec<String> {
    let (lab, server) = small(|options| options.quirks.push(quirk.clone()));
    fails(doctor(&lab, &server.url(), &[])).0
}

#[test]
fn a_good_server_passes_everything() {
    let (lab, server) = small(|_| {});
    let url = server.url();
    let arguments = ["doctor", url.as_str(), "--folder", "small/model", "--load", "32"];
    let told = lab.mrx(&arguments).success();
    told.prints("vllm at http://127.0.0.1").prints("reachable").says("all 15 checks pass");
    assert!(!lab.path.join(".mrx").exists(), "nothing is kept");
}

#[test]
fn each_fault_is_found_by_its_check_and_by_no_other() {
    assert_eq!(with_quirk(Quirk::IgnoresSeed), ["seed honoured"]);
    assert_eq!(with_quirk(Quirk::SameSamples), ["samples distinct"]);
    assert_eq!(with_quirk(Quirk::TemplateTwice), ["chat template"]);
    assert_eq!(with_quirk(Quirk::WrongName("other".to_owned())), ["model name"]);
    assert_eq!(with_quirk(Quirk::NoTokenIds), ["token ids"]);
    assert_eq!(with_quirk(Quirk::NoLogprobs), ["log-probabilities"]);
    assert_eq!(with_quirk(Quirk::NoUsage), ["usage"]);
}

#[test]
fn a_context_that_is_short_and_a_name_that_is_not_served_are_found() {
    let (lab, server) = small(|options| options.max_model_len = Some(48));
    let (failed, json) = fails(doctor(&lab, &server.url(), &[]));
    assert_eq!(failed, ["context"]);
    assert!(json.contains("48 tokens; the model takes 64"), "{json}");
    let (failed, json) = fails(doctor(&lab, &server.url(), &["--model", "another"]));
    assert_eq!(failed, ["serves"]);
    assert!(json.contains("`another` is not there; tested is"), "{json}");
    assert_eq!(checks(&json, "unknown").len(), 11, "no text is asked for: {json}");
}

#[test]
fn a_server_that_fails_at_every_request_is_told_in_its_words() {
    let kinds = vec![Fault::Internal];
    let faults = Faults { share: 1.0, seed: 1, kinds };
    let (lab, server) = small(|options| options.faults = faults.clone());
    let (failed, json) = fails(doctor(&lab, &server.url(), &[]));
    assert_eq!(failed, ["replies"]);
    assert!(json.contains("status 500"), "{json}");
    assert_eq!(server.counts().received, 2, "it is asked once more, and then no more");
}

#[test]
fn a_server_that_is_too_busy_is_told_of() {
    let latency = Duration::from_millis(50);
    let (lab, server) =
        small(|options| (options.reject_above, options.latency) = (Some(8), latency));
    let (failed, json) = fails(doctor(&lab, &server.url(), &[]));
    assert_eq!(failed, ["load"]);
    assert!(json.contains("24 are told that it is busy"), "{json}");
    let few = ["--load", "10"];
    let arguments = ["doctor", &server.url(), "--folder", "small/model", "--json"];
    lab.mrx(&[&arguments[..], &few].concat()).success().prints("2 are told that it is busy");
}

#[test]
fn nobody_is_there() {
    let lab = crate::local::lab();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{free}");
    let (failed, json) = fails(doctor(&lab, &url, &[]));
    assert_eq!(failed, ["reachable"]);
    assert_eq!(checks(&json, "unknown").len(), 14);
    lab.mrx(&["doctor", &url]).fails_with(1).says("1 of 15 checks fail").prints("no row can be");
    lab.mrx(&["doctor", "http://"]).fails_with(1).says("is not the address of a server");
}

#[test]
fn a_key_is_asked_for_and_is_there_or_is_not() {
    const KEY: &str = "sk-very-secret-4711";
    let (lab, server) = small(|options| options.api_key = Some(KEY.to_owned()));
    let ask = |key: Option<&str>, more: &[&str]| {
        let mut command = doctor(&lab, &server.url(), more);
        command.envs(key.map(|key| ("LAB_KEY", key)));
        let (failed, json) = fails(command);
        assert!(!json.contains(KEY), "{json}");
        (failed, json)
    };
    let named = ["--api-key-env", "LAB_KEY"];
    assert_eq!(ask(Some(KEY), &named).0, Vec::<String>::new());
    let (failed, json) = ask(None, &[]);
    assert_eq!(failed, ["key"]);
    assert!(json.contains("names no `api_key_env`"), "{json}");
    let (failed, json) = ask(None, &named);
    assert_eq!(failed, ["key"]);
    assert!(json.contains("the environment has no `LAB_KEY`"), "{json}");
    let (failed, json) = ask(Some("sk-other"), &named);
    assert_eq!(failed, ["key"]);
    assert!(json.contains("status 401"), "{json}");
}

/// The scripted loop with an engine of one server.
fn scripted(options: Options, engine: &str) -> (Lab, Server) {
    let lab = Lab::with_loop();
    let folder = Options::model(&lab.path.join("loop/model"));
    let options = Options { answers: folder.answers, name: "m0".to_owned(), ..options };
    let server = Server::start(options);
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let engine = format!("[engine]\nendpoints = [{:?}]\n{engine}", server.url());
    lab.write("loop/experiment.toml", &format!("{toml}\n{engine}\n"));
    (lab, server)
}

fn of_loop(lab: &Lab) -> Outcome {
    lab.mrx(&["doctor", "loop", "--load", "16", "--json"])
}

const CHATS: &str = "served_name = \"m0\"\napi = \"chat\"\nversion = \"1\"\n";

#[test]
fn the_engine_of_an_experiment_is_looked_at_once_for_all_its_roles() {
    let (lab, _server) = scripted(Options::default(), &format!("{CHATS}seeds = true\nn = true"));
    let told = lab.mrx(&["doctor", "loop", "--load", "16"]).success();
    told.prints("(respond, judge, meta_judge)").says("checks pass").prints("differ, and ");
    let unused = checks(&of_loop(&lab).success().stdout, "unknown");
    let expected = ["version", "context", "chat template", "greedy agrees", "log-probabilities"];
    assert_eq!(unused, [&expected[..], &["token ids"]].concat());
}

#[test]
fn seeds_that_are_not_honoured_are_no_fault_where_the_engine_says_so() {
    let options = || Options { quirks: vec![Quirk::IgnoresSeed], ..Options::default() };
    let (lab, _server) = scripted(options(), &format!("{CHATS}seeds = true"));
    assert_eq!(checks(&of_loop(&lab).fails_with(1).stdout, "fail"), ["seed honoured"]);
    let (lab, _server) = scripted(options(), &format!("{CHATS}seeds = false"));
    of_loop(&lab).success().prints("and the engine says `seeds = false`");
}

#[test]
fn a_server_that_is_too_slow_for_its_load_times_out() {
    let (latency, parallel) = (Duration::from_millis(100), Some(2));
    let options = Options { latency, parallel, ..Options::default() };
    let engine = format!("{CHATS}seeds = true\ntimeout = \"1s\"\nmax_concurrency = 16");
    let (lab, _server) = scripted(options, &engine);
    let told = lab.mrx(&["doctor", "loop", "--json"]).fails_with(1);
    assert_eq!(checks(&told.stdout, "fail"), ["load"]);
    told.prints("of 32 at once").prints("times no reply in time");
}

#[test]
fn a_version_that_is_not_the_experiments_is_found() {
    let engine = format!("preset = \"vllm\"\ntoken_ids = false\nlogprobs = false\n{CHATS}");
    let (lab, _server) = scripted(Options::default(), &engine);
    let told = of_loop(&lab).fails_with(1).prints("0.0.1; the experiment says 1");
    assert_eq!(checks(&told.stdout, "fail"), ["version"]);
}

/// The small model's experiment, with an engine that is started.
fn started(variables: &[(&str, &str)]) -> Lab {
    let lab = crate::local::lab();
    let toml = std::fs::read_to_string(lab.path.join("small/experiment.toml")).unwrap();
    let engine = format!(
        "[engine]\npreset = \"vllm\"\nversion = \"0.0.1\"\ncommand = {:?}\nreplicas = 2",
        process::command(variables)
    );
    lab.write("small/experiment.toml", &format!("{toml}\n{engine}\n"));
    lab
}

#[test]
fn an_engine_is_started_looked_at_and_ended() {
    let lab = started(&[]);
    let told = lab.mrx(&["doctor", "small", "--load", "16"]).success();
    let told = told.prints("stays up").says("all 16 checks pass");
    let port = told.stdout.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap();
    let port: u16 = port.parse().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "{port} still listens");
}

#[test]
fn an_engine_that_dies_or_never_comes_is_told_of_with_its_last_words() {
    let lab = started(&[("ENGINE_DIES_AFTER", "16")]);
    let told = lab.mrx(&["doctor", "small", "--load", "16", "--json"]).fails_with(1);
    let failed = checks(&told.stdout, "fail");
    assert_eq!(failed, ["load", "stays up"], "{}", told.stdout);
    told.prints("CPU Generator does not use offset");
    lab.edit("small/experiment.toml", "command = ", "command = \"no-such-engine {port}\" #");
    let told = lab.mrx(&["doctor", "small", "--json"]).fails_with(1);
    assert_eq!(checks(&told.stdout, "fail"), ["reachable"]);
    told.prints("ended before it answered");
}

/// A server that says the same to everybody.
fn says(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|read| read > 0) {
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
                // Who asked may be gone.
                drop(write!(stream, "{head}: {}\r\n\r\n{body}", body.len()));
            }
        }
    });
    url
}

#[test]
fn what_is_not_clear_is_asked_for() {
    let lab = Lab::with_loop();
    let url = says(r#"{ "data": [{ "id": "one" }, { "id": "two" }] }"#);
    lab.mrx(&["doctor", &url]).fails_with(2).says("serves one, two").says("--model NAME");
    let told = lab.mrx(&["doctor", &url, "--model", "two", "--json"]).fails_with(1);
    assert_eq!(checks(&told.stdout, "fail"), ["replies"]);
    told.prints("`two`; also one").prints("a reply without a text");
    lab.mrx(&["doctor", &url, "--preset", "vlm"]).fails_with(2).says("expected a preset of");
    lab.mrx(&["doctor", &url, "--folder", "loop"]).fails_with(2).says("no config.json");
    lab.mrx(&["doctor", &url, "--set", "seed=1"]).fails_with(2).says("this is an address");
    lab.mrx(&["doctor", "loop", "--model", "m0"]).fails_with(2).says("is an experiment");
    lab.mrx(&["doctor", "loop"]).fails_with(2).says("run by mrx itself");
    lab.mrx(&["doctor", "nowhere"]).fails_with(1).says("cannot read");
}
