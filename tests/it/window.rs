//! `[train] window`: the pairs of earlier iterations, held to this iteration's reference.

use crate::lab::Lab;
use crate::local::lab;

/// The run of every node, as `mrx plan` tells it.
fn runs(lab: &Lab, set: &[&str]) -> String {
    let plan = [&["plan", "loop", "--format", "csv"], set].concat();
    lab.mrx(&plan).success().stdout
}

#[test]
fn a_window_of_one_is_what_there_was_before() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let before = runs(&lab, &[]);
    assert!(!before.contains("miss"), "{before}");
    assert_eq!(runs(&lab, &["--set", "train.window=1"]), before);
    assert_eq!(runs(&lab, &["--set", "train.window=[1, 1, 1, 1]"]), before);
}

#[test]
fn as_many_iterations_are_trained_on_as_there_are() {
    let lab = Lab::with_loop();
    let plan = runs(&lab, &["--set", "train.window=[10, 1, 3, 3]"]);
    let nodes: Vec<&str> = plan.lines().filter_map(|line| line.split(',').next()).collect();
    let mut scored = nodes.clone();
    scored.retain(|node| node.starts_with("reference."));
    let expected = [
        "reference.m0",
        "reference.m1",
        "reference.m2",
        "reference.m2.back1",
        "reference.m2.back2",
        "reference.m3",
        "reference.m3.back1",
        "reference.m3.back2",
    ];
    assert_eq!(scored, expected);
    lab.mrx(&["run", "loop", "--set", "train.window=[10, 1, 3, 3]"]).success();
    let read = |node: &str| {
        lab.ask(&format!(
            "SELECT string_agg(from_node, ' ' ORDER BY input) FROM lineage WHERE node = '{node}' AND input LIKE 'pairs%'"
        ))
    };
    assert_eq!(read("train.m2"), "pair.m1");
    assert_eq!(read("train.m4"), "pair.m3 pair.m2 pair.m1");
    assert_eq!(read("reference.m3.back2"), "pair.m1");
    lab.mrx(&["show", "scripted/train.m4"]).success().prints("pairs_2").prints("reference_logps_2");
}

#[test]
fn older_pairs_are_held_to_the_reference_of_this_iteration() {
    let lab = lab();
    lab.mrx(&["run", "small", "--set", "train.window=2"]).success();
    let steps = lab.ask("SELECT count(DISTINCT step) FROM metrics WHERE model = 'm2'");
    let kept = "SELECT 6 * ceil(count(*) FILTER (kept) / 4)::INTEGER FROM pairs";
    assert_eq!(steps, lab.ask(kept), "six epochs over the pairs of both iterations");
    assert_ne!(steps, lab.ask(&format!("{kept} WHERE model = 'm1'")));
    // The model starts from its reference on the older pairs, too: nothing is told apart yet.
    let first =
        "SELECT round(value, 6) FROM metrics WHERE model = 'm2' AND metric = 'loss' AND step = 1";
    assert_eq!(lab.ask(first), "0.693147");
    let scored = "SELECT count(*) = count(p.pair_id) AND count(*) > 0 FROM reference_logps r LEFT JOIN pairs p \
                  ON p.pair_id = r.pair_id AND p.model = 'm0' AND p.kept WHERE r.node = 'reference.m1.back1'";
    assert_eq!(lab.ask(scored), "true");
    let moved = "SELECT count(*) FROM reference_logps a JOIN reference_logps b USING (pair_id) \
                 WHERE a.node = 'reference.m0' AND b.node = 'reference.m1.back1' \
                 AND a.ref_chosen_logps != b.ref_chosen_logps";
    assert_ne!(lab.ask(moved), "0", "M1 thinks otherwise of them than M0");
    let pair = lab.ask("SELECT pair_id FROM pairs WHERE model = 'm0' AND kept ORDER BY 1 LIMIT 1");
    lab.mrx(&["trace", &pair]).success().prints("reference.m1.back1");
}

#[test]
fn pairs_of_an_earlier_iteration_are_pairs_to_train_on() {
    let lab = lab();
    let run = ["run", "small", "train.m2", "--set", "respond.samples=[4, 1]"];
    lab.mrx(&run).fails_with(3).says("train.m2: no pairs to train on; dropped: 40");
    lab.mrx(&[&run[..], &["--set", "train.window=2"]].concat()).success();
    assert_eq!(lab.ask("SELECT count(*) FROM pairs WHERE model = 'm1' AND kept"), "0");
    assert_ne!(lab.ask("SELECT count(*) FROM metrics WHERE model = 'm2'"), "0");
    // Where no iteration has any, all that was dropped is counted.
    let none = ["run", "small", "train.m2", "--set", "respond.samples=1"];
    lab.mrx(&[&none[..], &["--set", "train.on_no_pairs=keep", "--set", "train.window=2"]].concat())
        .success()
        .says("train.m2: the model is carried on as it is: no pairs to train on; dropped: 80");
}

#[test]
fn a_window_that_cannot_be_is_refused() {
    let lab = Lab::with_loop();
    let plan =
        |window: &str| lab.mrx(&["plan", "loop", "--set", &format!("train.window={window}")]);
    for window in ["0", "11", "1.5", "true"] {
        plan(window).fails_with(1).says("expected a whole number from 1 to 10, or a list");
    }
    plan("[1, 2]").fails_with(1).says("expected 4 values, one per iteration, found 2");
}
