//! The command line as a person meets it: one snapshot of every help text.

use std::fmt::Write as _;

use crate::lab::Lab;

fn collect(command: &mut clap::Command, path: &str, text: &mut String) {
    let rule = "=".repeat(path.len());
    let help = command.clone().bin_name(path).term_width(100).render_long_help();
    let _ = writeln!(text, "{path}\n{rule}\n{help}");
    for name in command.get_subcommands().map(|c| c.get_name().to_owned()).collect::<Vec<_>>() {
        if name != "help" {
            collect(command.find_subcommand_mut(&name).unwrap(), &format!("{path} {name}"), text);
        }
    }
}

#[test]
fn every_help_text_is_as_it_was_read_and_liked() {
    let mut text = String::new();
    let mut command = mrx::cli::command();
    command.build();
    collect(&mut command, "mrx", &mut text);
    insta::assert_snapshot!("help", text);
}

#[test]
fn a_command_line_that_makes_no_sense_exits_with_2() {
    let lab = Lab::new();
    lab.mrx(&["rum"]).fails_with(2).says("run");
    lab.mrx(&["sql", "--format", "xml"]).fails_with(2).says("possible values");
    lab.mrx(&["store", "gc", "--grace", "soon"]).fails_with(2);
    lab.mrx(&["--help"]).success().prints("Exit codes");
    lab.mrx(&["completions", "bash"]).success().prints("complete -F _mrx");
}

#[test]
fn colour_is_used_only_where_it_is_asked_for() {
    let lab = Lab::new();
    lab.mrx(&["plan", "nowhere"]).fails_with(1).does_not_say("\u{1b}[");
    lab.mrx(&["plan", "nowhere", "--color", "always"]).fails_with(1).says("\u{1b}[");
    lab.mrx(&["plan", "nowhere", "--color", "always", "--quiet"]).fails_with(1).says("cannot read");
}

#[test]
fn events_are_json_lines() {
    let lab = Lab::with_loop();
    let outcome = lab.mrx(&["run", "loop", "pair.m0", "--json"]).success();
    let events: Vec<serde_json::Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds[0], "planned");
    assert_eq!(kinds.iter().filter(|kind| **kind == "started").count(), 8);
    assert_eq!(kinds.iter().filter(|kind| **kind == "finished").count(), 8);
    let last = events.iter().rfind(|event| event["event"] == "progress").unwrap();
    assert_eq!(last["done"], last["total"]);
    assert!(outcome.stderr.is_empty(), "{}", outcome.stderr);
}
