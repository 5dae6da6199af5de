//! A training that moves nothing says so.

use crate::lab::{Lab, Outcome};
use crate::quickstart::{SMALL, small_quickstart};

fn run(lab: &Lab, more: &[&str]) -> Outcome {
    lab.mrx(&[&["run", "quickstart"], &SMALL[..], more].concat())
}

fn quickstart() -> Lab {
    let lab = Lab::new();
    small_quickstart(&lab, "quickstart");
    lab
}

#[test]
fn a_training_that_moves_nothing_says_so() {
    let lab = quickstart();
    run(&lab, &["sft.m0", "train.m1"]).success().does_not_say("moved no");
    // Nothing is added to a weight.
    run(&lab, &["train.m1", "--set", "train.learning_rate=0"])
        .success()
        .says("train.m1: the steps moved no weight")
        .says("a learning rate of 0");
    let same = "SELECT count(DISTINCT digest) FROM checkpoints WHERE tensor IS NOT NULL GROUP BY tensor ORDER BY 1 DESC LIMIT 1";
    assert_eq!(lab.ask(same), "1");
    // A step that is lost to rounding in all but the smallest weights.
    let little = ["--set", "train.learning_rate=1e-13", "--set", "train.batch=4"];
    run(&lab, &[&["train.m1"], &little[..]].concat())
        .success()
        .does_not_say("moved no weight")
        .says("train.m1: the margin of every step is 0")
        .says("a learning rate of 1e-13");
    run(&lab, &["sft.m0", "--set", "sft.learning_rate=0"])
        .success()
        .says("sft.m0: the steps moved no weight");
}
