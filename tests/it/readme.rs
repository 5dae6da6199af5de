//! The README's commands work as printed.

use std::fs;
use std::path::Path;

use crate::lab::{Lab, PROJECT, copy_folder, redact};
use crate::quickstart::{SMALL, small_quickstart};

/// A command, and the lines that the README prints under it.
struct Shown {
    command: String,
    lines: Vec<String>,
}

fn shown() -> Vec<Shown> {
    let text = fs::read_to_string(Path::new(PROJECT).join("README.md")).unwrap();
    let mut commands: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            commands.push(Shown { command: command.to_owned(), lines: Vec::new() });
        } else if inside {
            commands.last_mut().unwrap().lines.push(line.to_owned());
        }
    }
    commands
}

/// Splits a command line at spaces outside double quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

/// Times differ, and with them the width of their column; the rest of a line does not.
fn settled(line: &str) -> String {
    redact(line)
        .split_whitespace()
        .filter(|word| !word.starts_with('─'))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn every_command_prints_what_the_readme_shows() {
    let lab = Lab::new();
    copy_folder(&Path::new(PROJECT).join("experiments"), &lab.path.join("experiments"));
    small_quickstart(&lab, "experiments/quickstart");
    let shown = shown();
    assert!(shown.iter().any(|shown| shown.command.starts_with("cargo test --release")));
    let ours: Vec<_> = shown.iter().filter(|shown| shown.command.starts_with("mrx ")).collect();
    assert!(ours.len() >= 8, "the README lost its commands");
    let mut quickstart = false;
    for Shown { command, lines } in ours {
        let words = words(command.strip_prefix("mrx ").unwrap());
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        // The quickstart takes minutes. Here it runs in small: what it finds is other numbers.
        quickstart |= command.contains("quickstart");
        quickstart &= !command.contains("experiments/scripted");
        if quickstart && words[0] == "run" {
            words.extend(SMALL);
            words.extend(["--set", "iterations=4"]);
            words.extend(["--set", "pairs.judge.enabled=[true, true, false, false]"]);
        }
        let outcome = lab.mrx(&words).success();
        let printed: Vec<String> =
            outcome.stdout.lines().chain(outcome.stderr.lines()).map(settled).collect();
        let holds = |line: &str| line != "..." && !(quickstart && line.contains(char::is_numeric));
        for line in lines.iter().filter(|line| holds(line)) {
            assert!(
                printed.contains(&settled(line)),
                "`{command}` does not print\n{line}\nbut\n{}",
                outcome.report()
            );
        }
    }
}

#[test]
fn every_place_that_the_readme_names_is_there() {
    let text = fs::read_to_string(Path::new(PROJECT).join("README.md")).unwrap();
    let places = text.split('`').skip(1).step_by(2).filter(|place| {
        ["src/", "tests/", "schemas/", "benches/", "experiments/"]
            .iter()
            .any(|top| place.starts_with(top))
    });
    for place in places {
        let stem = place.split('<').next().unwrap().trim_end_matches('/');
        assert!(Path::new(PROJECT).join(stem).exists(), "the README names {place}");
    }
}
