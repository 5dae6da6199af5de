//! A node whose rows go wrong says so while it runs: once, as soon as it is plain, and nothing else changes.

use crate::lab::{Lab, Outcome};

/// Where a line stands that begins so.
#[track_caller]
fn at(run: &Outcome, begin: &str) -> usize {
    let found = run.stderr.lines().position(|line| line.trim_start().starts_with(begin));
    found.unwrap_or_else(|| panic!("no line begins with `{begin}` in\n{}", run.report()))
}

/// Where a node is warned of, all of whose texts so far went wrong: enough of them, and not all that it makes.
#[track_caller]
fn told(run: &Outcome, node: &str, what: &str) -> usize {
    let warning = at(run, &format!("warning: {node}: "));
    let line = run.stderr.lines().nth(warning).unwrap();
    assert!(line.contains(what), "{line}");
    let counts: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).take(2).collect();
    assert!(counts[0] == counts[1] && counts[0] >= 24, "{line}");
    warning
}

/// The query of the hint that follows a warning.
fn hinted(run: &Outcome, warning: usize) -> String {
    let hint = run.stderr.lines().nth(warning + 1).unwrap();
    assert!(hint.starts_with("hint: "), "{hint}");
    let query = hint.split("mrx sql \"").nth(1).unwrap_or_else(|| panic!("no query in {hint}"));
    query.split('"').next().unwrap().to_owned()
}

#[test]
fn judgements_that_cannot_be_read_are_told_of_before_the_node_is_made() {
    let lab = Lab::with_loop();
    lab.write("loop/model/judge.jinja", "It is a {{ pick(['good', 'bad']) }} answer.");
    let run = lab.mrx(&["run", "loop", "read.m0"]).success();
    let warning = told(&run, "judge.m0", "judgements so far cannot be read (");
    assert!(run.stderr.contains(" missing), the last of them \"It is a "), "{}", run.report());
    assert!(warning < at(&run, "3/4  judge.m0"), "{}", run.report());
    assert_eq!(run.stderr.matches("warning: judge.m0").count(), 1, "once");
    let query = hinted(&run, warning);
    let rows = lab.mrx(&["sql", &query, "--format", "csv"]).success().prints("missing,It is a");
    assert_eq!(rows.stdout.lines().count(), 6, "{}", rows.stdout);
    lab.mrx(&["read", "loop", "--try", "It is a good answer."]).success().prints("missing");
}

#[test]
fn judgements_that_can_be_read_raise_no_alarm() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success().does_not_say("so far").does_not_say("hint");
}

#[test]
fn a_program_hears_of_it_with_its_kind() {
    let lab = Lab::with_loop();
    lab.write("loop/model/judge.jinja", "Splendid.");
    let run = lab.mrx(&["run", "loop", "judge.m0", "--json"]).success();
    let warned = run.stdout.lines().find(|line| line.contains("\"warned\"")).unwrap();
    assert!(warned.contains("\"fault\":\"unreadable\""), "{warned}");
    let progress = run.stdout.lines().rfind(|line| line.contains("\"progress\"")).unwrap();
    assert!(progress.contains("unreadable 100.0 %"), "{progress}");
}

#[test]
fn meta_judgements_that_cannot_be_read_are_told_of_too() {
    let lab = Lab::with_loop();
    lab.write("loop/model/meta_judge.jinja", "Both are fine.");
    let run = lab.mrx(&["run", "loop", "read.m0.meta"]).success();
    let warning = told(&run, "meta_judge.m0", "meta-judgements so far cannot be read");
    assert!(warning < at(&run, "5/6  meta_judge.m0"), "{}", run.report());
    run.does_not_say("warning: judge.m0");
}

#[test]
fn texts_that_the_token_limit_cuts_are_told_of_with_what_to_raise() {
    let lab = Lab::with_loop();
    let set = ["--set", "judge.max_tokens=3", "--set", "respond.max_tokens=1"];
    let run = lab.mrx(&[&["run", "loop", "read.m0"][..], &set[..]].concat()).success();
    let answers = told(&run, "respond.m0", "responses so far are cut at the token limit");
    let judgements = told(&run, "judge.m0", "judgements so far cannot be read");
    assert!(answers < at(&run, "2/4  respond.m0") && judgements < at(&run, "3/4  judge.m0"));
    for (warning, table) in [(answers, "respond"), (judgements, "judge")] {
        let raise = format!("more `max_tokens` in `[{table}]`");
        assert!(run.stderr.lines().nth(warning + 1).unwrap().contains(&raise), "{}", run.report());
        let rows = lab.mrx(&["sql", &hinted(&run, warning), "--format", "csv"]).success();
        assert_eq!(rows.stdout.lines().count(), 6, "{}", rows.stdout);
    }
}

#[test]
fn answers_that_are_empty_are_told_of() {
    let lab = Lab::with_loop();
    lab.write("loop/model/answer.jinja", "{{ '' }}");
    let run = lab.mrx(&["run", "loop", "respond.m0"]).success();
    let warning = told(&run, "respond.m0", "responses so far are empty");
    assert!(warning < at(&run, "2/2  respond.m0"), "{}", run.report());
    run.says("`mrx show --prompt scripted/respond.m0`");
    lab.mrx(&["show", "--prompt", "scripted/respond.m0"]).success();
}

/// The display of a run that nobody looks at: lines, and nothing that moves a cursor.
#[test]
fn where_nobody_looks_no_line_is_written_over() {
    let lab = Lab::with_loop();
    let run = lab.mrx(&["run", "loop"]).success();
    assert!(!run.stderr.contains(['\u{1b}', '\r']), "{:?}", run.stderr);
    assert_eq!(run.stderr.lines().filter(|line| line.contains(" rows ")).count(), 38);
}
