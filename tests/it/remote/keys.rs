//! Keys come from the environment, go to their own host, and are written nowhere.

use std::fs;
use std::path::Path;

use super::{endpoints, scripted, with_engine};
use crate::lab::Lab;
use crate::server::{Options, Quirk, Server};

const KEY: &str = "sk-very-secret-4711";

fn files_that_say(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_that_say(&path, text));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_key_opens_the_server_and_is_written_nowhere() {
    let lab = Lab::with_loop();
    let options = Options { api_key: Some(KEY.to_owned()), ..Options::default() };
    let server = scripted(&lab, options);
    with_engine(&lab, &endpoints(&[&server], "api_key_env = \"LAB_KEY\""));
    let run = |key: Option<&str>| {
        let mut command = lab.command(&["run", "loop", "respond.m0"]);
        if let Some(key) = key {
            command.env("LAB_KEY", key);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), said)
    };
    let (code, said) = run(None);
    assert!(code == 3 && said.contains("the environment has no `LAB_KEY`"), "{code}: {said}");
    assert!(said.contains("set the variable"), "{said}");
    let (code, said) = run(Some("sk-wrong"));
    assert!(code == 3 && said.contains("refuses the key (status 401)"), "{code}: {said}");
    assert!(!said.contains("sk-wrong"), "{said}");
    let (code, said) = run(Some("sk-new\nline"));
    assert!(code == 3 && said.contains("what `LAB_KEY` holds is no key"), "{code}: {said}");
    assert!(!said.contains("sk-new"), "{said}");
    let (code, said) = run(Some(KEY));
    assert_eq!(code, 0, "{said}");
    assert_eq!(files_that_say(&lab.path, KEY), Vec::<String>::new());
    assert_eq!(server.counts().with_key, server.counts().received);
}

#[test]
fn a_key_is_not_carried_on_to_another_host() {
    let lab = Lab::with_loop();
    let other = Server::start(Options::default());
    let quirks = vec![Quirk::Redirects(other.url())];
    let server = scripted(&lab, Options { quirks, ..Options::default() });
    with_engine(&lab, &endpoints(&[&server], "api_key_env = \"LAB_KEY\"\npatience = \"2s\""));
    let output = lab.command(&["run", "loop", "respond.m0"]).env("LAB_KEY", KEY).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(other.counts().received, 0, "nothing is followed");
}

#[test]
fn a_key_does_not_travel_in_the_open() {
    let lab = Lab::with_loop();
    with_engine(
        &lab,
        "[engine]\nendpoints = [\"http://judge.example:8000\"]\napi_key_env = \"LAB_KEY\"\nversion = \"1\"",
    );
    let output = lab.command(&["run", "loop", "respond.m0"]).env("LAB_KEY", KEY).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("would be sent unencrypted") && said.contains("allow_http"), "{said}");
}
