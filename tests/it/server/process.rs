//! The server as a process of its own, for engines that `mrx` starts: this test binary, run for one of its
//! tests, which serves until it is killed.

use std::env::{current_exe, var, var_os};
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{park, sleep};
use std::time::Duration;

use serde_json::json;

use super::raw::{get_from, post_to};
use super::{Options, Quirk, Server};
use crate::lab::{Lab, skip};

/// A command line that starts a server at `{port}`, from the model at `{model}`, as `{name}`, with more
/// variables:
///
/// - `ENGINE_TEXT`: one answer to everything, instead of the model's
/// - `ENGINE_VERSION`: what `/version` says
/// - `ENGINE_DELAY`: seconds before it listens
/// - `ENGINE_NEVER_READY`: `deaf`, it never listens; otherwise, `/health` always says 503
/// - `ENGINE_DIES_AFTER`: ends with an error after so many answers
/// - `ENGINE_CHILD`: has a child process, and prints its id
pub(crate) fn command(variables: &[(&str, &str)]) -> String {
    let mut line =
        "/usr/bin/env ENGINE_PORT={port} ENGINE_MODEL={model} ENGINE_NAME={name}".to_owned();
    // A DuckDB that is not linked in has to be found.
    let libraries = var("LD_LIBRARY_PATH").ok();
    let libraries = libraries.as_deref().map(|path| ("LD_LIBRARY_PATH", path));
    for (name, value) in variables.iter().copied().chain(libraries) {
        let _ = write!(line, " {name}={value}");
    }
    let program = current_exe().unwrap();
    let test = "server::process::serve_until_killed";
    let _ = write!(line, " {} --ignored --exact {test} --nocapture", program.display());
    line
}

fn number<N: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> Option<N> {
    var(name).ok().map(|text| text.parse().unwrap())
}

fn options() -> Options {
    let mut options = match (var("ENGINE_TEXT"), var("ENGINE_MODEL")) {
        (Ok(text), _) => Options::instant(&text),
        (_, folder) => Options::model(Path::new(&folder.unwrap())),
    };
    options.name = var("ENGINE_NAME").unwrap_or(options.name);
    options.version = var("ENGINE_VERSION").ok().or(options.version);
    options.port = number("ENGINE_PORT").unwrap_or(0);
    options.dies_after = number("ENGINE_DIES_AFTER");
    if var_os("ENGINE_NEVER_READY").is_some() {
        options.quirks.push(Quirk::Unhealthy);
    }
    options
}

#[test]
#[ignore = "an engine for other tests: it never ends"]
#[expect(clippy::print_stdout, reason = "an engine talks")]
fn serve_until_killed() {
    if var_os("ENGINE_PORT").is_none() {
        return skip("serve_until_killed is for other tests, which set ENGINE_PORT");
    }
    let mut child = var_os("ENGINE_CHILD")
        .map(|_| Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap());
    if let Some(child) = &mut child {
        println!("engine child: {}", child.id());
    }
    sleep(Duration::from_secs(number("ENGINE_DELAY").unwrap_or(0)));
    if var("ENGINE_NEVER_READY").is_ok_and(|how| how == "deaf") {
        loop {
            park();
        }
    }
    let server = Server::start(options());
    println!("engine at {}", server.url());
    loop {
        park();
    }
}

/// An engine that was started by its command line; it is killed in the end.
struct Engine {
    process: Child,
    url: String,
    lab: Lab,
}

impl Engine {
    fn start(variables: &[(&str, &str)]) -> Self {
        let lab = crate::local::lab();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let model = format!("'{}'", lab.path.join("small/model").display());
        let line = command(variables).replace("{port}", &port.to_string());
        let line = line.replace("{model}", &model).replace("{name}", "m1");
        let log = fs::File::create(lab.path.join("log")).unwrap();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec {line}")).stdin(Stdio::null());
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { process, url: format!("http://127.0.0.1:{port}"), lab }
    }

    fn health(&self) -> u16 {
        for _ in 0..2000 {
            if let Ok(reply) = get_from(&self.url, "/health") {
                return reply.status;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("nobody listens: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.lab.path.join("log")).unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        self.process.wait().unwrap();
    }
}

#[test]
fn an_engine_serves_its_model_until_it_dies() {
    let mut engine = Engine::start(&[("ENGINE_DIES_AFTER", "2"), ("ENGINE_CHILD", "1")]);
    assert_eq!(engine.health(), 200);
    let body = json!({ "model": "m1", "prompt": [1, 6], "seed": 1 });
    let ask = |engine: &Engine| post_to(&engine.url, "/v1/completions", &[], &body).status;
    assert_eq!([ask(&engine), ask(&engine), ask(&engine)], [200, 200, 0]);
    assert_eq!(engine.process.wait().unwrap().code(), Some(1));
    let log = engine.log();
    assert!(log.contains("CPU Generator does not use offset"), "{log}");
    let child = log.split_once("engine child: ").unwrap().1.lines().next().unwrap();
    let ended = Command::new("kill").arg(child).status().unwrap();
    assert!(ended.success(), "the child outlives its parent");
}

#[test]
fn an_engine_may_never_get_ready() {
    let engine = Engine::start(&[("ENGINE_NEVER_READY", "1"), ("ENGINE_TEXT", "yes")]);
    assert_eq!(engine.health(), 503);
}
