//! Engines that mrx starts for each model: ready, dead, started again, and gone with mrx.

use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::with_engine;
use crate::lab::{Lab, Outcome};
use crate::server::process;

/// The scripted loop with an engine that is this test's server as a process of its own.
fn started(variables: &[(&str, &str)], more: &str) -> Lab {
    let lab = Lab::with_loop();
    let command = process::command(variables);
    let engine = format!(
        "[engine]\ncommand = {command:?}\napi = \"chat\"\nseeds = true\nversion = \"1\"\n{more}"
    );
    with_engine(&lab, &engine);
    lab
}

fn run(lab: &Lab) -> Outcome {
    lab.mrx(&["run", "loop", "respond.m0"])
}

#[test]
fn an_engine_serves_the_nodes_of_its_model_and_ends_after_the_last() {
    let lab = started(&[], "replicas = 2");
    lab.mrx(&["run", "loop", "meta_judge.m0"]).success();
    let logs: Vec<String> = std::fs::read_dir(lab.path.join(".mrx/engines"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path().join("engine-0.log")).unwrap())
        .collect();
    assert!(!logs.is_empty() && logs.iter().all(|log| log.contains("engine at")), "{logs:?}");
    // It was started once for three nodes: those that draw with M0.
    assert_eq!(logs[0].matches("engine at").count(), 1, "{}", logs[0]);
    for port in logs.iter().flat_map(|log| ports(log)) {
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "{port} still listens");
    }
    lab.mrx(&["store", "verify"]).success();
}

fn ports(log: &str) -> Vec<u16> {
    let told = log.lines().filter_map(|line| line.split("http://127.0.0.1:").nth(1));
    told.filter_map(|port| port.trim().parse().ok()).collect()
}

#[test]
fn an_engine_that_dies_is_started_again_and_nothing_is_drawn_twice() {
    let lab = started(&[("ENGINE_DIES_AFTER", "30")], "restarts = 3");
    run(&lab).success().says("it is started again");
    assert_eq!(lab.ask("SELECT count(*), count(DISTINCT response_id) FROM responses"), "70,70");
}

#[test]
fn an_engine_that_keeps_dying_is_given_up_with_its_last_words() {
    let lab = started(&[("ENGINE_DIES_AFTER", "3")], "restarts = 2");
    run(&lab).fails_with(3).says("keeps dying").says("engine-0.log").says("engine at");
}

#[test]
fn an_engine_that_never_gets_ready_is_given_up() {
    let lab = started(&[("ENGINE_NEVER_READY", "deaf")], "ready_timeout = \"2s\"");
    run(&lab).fails_with(3).says("is not ready after 2 s");
}

#[test]
fn a_command_that_is_not_there_is_told_of_at_once() {
    let lab = Lab::with_loop();
    let engine =
        "[engine]\ncommand = \"no-such-engine --port {port}\"\nversion = \"1\"\napi = \"chat\"";
    with_engine(&lab, engine);
    run(&lab).fails_with(3).says("cannot start `no-such-engine`");
}

#[test]
fn a_port_that_is_taken_is_told_of() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let lab = started(&[], &format!("port = {port}"));
    run(&lab).fails_with(3).says(&format!("port {port} is taken"));
}

#[test]
fn a_command_without_a_version_asks_for_one() {
    let lab = Lab::with_loop();
    with_engine(&lab, "[engine]\ncommand = \"serve --port {port}\"");
    run(&lab).fails_with(1).says("say `version`, or `version_command`");
}

#[test]
fn a_version_that_cannot_be_told_is_not_passed_over() {
    let lab = Lab::with_loop();
    let engine = "[engine]\ncommand = \"serve --port {port}\"\nversion_command = \"no-such-program --version\"";
    with_engine(&lab, engine);
    run(&lab)
        .fails_with(1)
        .says("cannot be told: cannot start `no-such-program`")
        .says("say `version`");
}

#[test]
fn a_program_is_asked_for_its_version_once_however_many_roles_it_has() {
    let lab = Lab::with_loop();
    lab.write("version.sh", "echo asked >> asked.txt\necho 1.2.3\n");
    let engine = "[engine]\ncommand = \"serve --port {port}\"\nversion_command = \"sh version.sh\"";
    with_engine(&lab, engine);
    lab.mrx(&["plan", "loop"]).success();
    assert_eq!(std::fs::read_to_string(lab.path.join("asked.txt")).unwrap(), "asked\n");
}

fn is_alive(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[test]
fn an_engine_does_not_outlive_a_killed_mrx_nor_does_what_it_started() {
    let lab = started(&[("ENGINE_CHILD", "1"), ("ENGINE_NEVER_READY", "1")], "");
    let mut child = lab
        .command(&["run", "loop", "respond.m0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let grandchild = loop {
        assert!(began.elapsed() < Duration::from_mins(1), "the engine never spoke");
        if let Some(found) = child_of_engine(&lab.path) {
            break found;
        }
        sleep(Duration::from_millis(50));
    };
    assert!(is_alive(&grandchild));
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    while is_alive(&grandchild) {
        assert!(killed.elapsed() < Duration::from_secs(30), "{grandchild} lives on");
        sleep(Duration::from_millis(100));
    }
}

fn child_of_engine(lab: &Path) -> Option<String> {
    for folder in std::fs::read_dir(lab.join(".mrx/engines")).ok()? {
        let log = std::fs::read_to_string(folder.ok()?.path().join("engine-0.log")).ok()?;
        let told = log.lines().find_map(|line| line.split("engine child: ").nth(1));
        if let Some(told) = told {
            return Some(told.trim().to_owned());
        }
    }
    None
}
