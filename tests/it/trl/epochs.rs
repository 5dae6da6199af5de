//! Epochs that are kept, and pairs of earlier iterations, where another program trains.

use std::fs;

use super::{lab, start, wait_for};
use crate::lab::Lab;

/// Trains M1 with these settings, and returns what it comes to.
fn trained(lab: &Lab, sets: &[&str]) -> mrx::store::Digest {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    lab.mrx(&["run", "small", "train.m1"].into_iter().chain(sets).collect::<Vec<_>>()).success();
    lab.digests("small")["train.m1/checkpoints"]
}

#[test]
fn the_model_after_each_epoch_is_taken_whoever_trains() {
    let lab = lab(&[]);
    let [whole, three] = [trained(&lab, &[]), trained(&lab, &["train.epochs=3"])];
    assert_ne!(whole, three);
    assert_eq!(trained(&lab, &["train.keep_epochs=true"]), whole);
    assert_eq!(trained(&lab, &["train.keep_epochs=true", "train.choose=3"]), three);
    let epochs = "SELECT count(DISTINCT object) FROM checkpoints WHERE node = 'train.m1.all' AND tensor LIKE '%q_proj%'";
    assert_eq!(lab.ask(epochs), "10");
}

#[test]
fn killed_between_epochs_the_trainer_loses_none() {
    let kept = ["train.keep_epochs=true", "train.choose=2"];
    let whole = trained(&lab(&[]), &kept);
    let lab = lab(&[("FAKE_STEP", "15")]);
    let line = "trainer = \"trl\"";
    lab.edit("small/experiment.toml", line, &format!("{line}\nkeep_epochs = true\nchoose = 2"));
    lab.mrx(&["run", "small", "pair.m0", "reference.m0"]).success();
    for steps in [3, 8, 14] {
        let mut child = start(&lab);
        wait_for(&lab, steps);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(trained(&lab, &[]), whole);
}

#[test]
fn a_window_is_a_lesson_of_all_its_pairs() {
    let lab = lab(&[]);
    let run = |reference: &str| {
        let reference = format!("trainer.reference={reference}");
        lab.mrx(&["run", "small", "train.m2", "--set", "train.window=2", "--set", &reference])
            .success();
        lab.ask("SELECT count(*), count(ref_chosen_logps) FROM lessons WHERE node = 'train.m2'")
    };
    let known = run("precomputed");
    let kept = lab.ask("SELECT count(*) FROM pairs WHERE kept");
    assert_eq!(known, format!("{kept},{kept}"));
    assert_eq!(run("trainer"), format!("{kept},0"));
    // Whoever trains by hand is given the same pairs.
    for keep in ["false", "true"] {
        let keep = format!("train.keep_epochs={keep}");
        let set = ["--set", "train.window=2", "--set", &keep];
        lab.mrx(&[&["run", "small", "reference.m1", "reference.m1.back1"], &set[..]].concat())
            .success();
        let export = ["export", "pairs", "small/m1", "--to", "trl", "--out", "by hand"];
        lab.mrx(&[&export[..], &set[..]].concat()).success();
        let text = fs::read_to_string(lab.path.join("by hand/pairs.jsonl")).unwrap();
        assert_eq!(text.lines().count().to_string(), kept);
    }
}
