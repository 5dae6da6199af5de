//! The server as a process of its own, for engines that `mrx` starts: this test binary, run for one of its
//! tests, which serves until it is killed.

use std::env::{current_exe, var, var_os};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{park, sleep};
use std::time::Duration;

use super::{Options, Quirk, Server};
use crate::lab::skip;

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
