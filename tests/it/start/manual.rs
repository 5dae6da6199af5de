//! Manual pages, one a command.

use std::fs;

use crate::lab::Lab;

/// The names of all commands that are shown, as `mrx-store-gc`.
fn names(command: &clap::Command, name: &str, to: &mut Vec<String>) {
    to.push(name.to_owned());
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        names(inner, &format!("{name}-{}", inner.get_name()), to);
    }
}

#[test]
fn every_command_has_a_page() {
    let lab = Lab::new();
    lab.mrx(&["man", "man1"]).success().prints("man1/mrx-export-pairs.1");
    let mut expected = Vec::new();
    names(&mrx::cli::command(), "mrx", &mut expected);
    assert!(expected.len() > 20, "{expected:?}");
    for name in &expected {
        let page = fs::read_to_string(lab.path.join(format!("man1/{name}.1"))).unwrap();
        let page = page.replace("\\-", "-");
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert_eq!(fs::read_dir(lab.path.join("man1")).unwrap().count(), expected.len());
    let run = fs::read_to_string(lab.path.join("man1/mrx-store-gc.1")).unwrap();
    assert!(run.contains("mrx store gc"), "{run}");
    lab.mrx(&["man"]).success().prints(".TH mrx 1");
    lab.mrx(&["man", "man1"]).success();
}
