//! Saved states of training: damaged, cut short or gone, they are named, and the weights are those of a
//! run that nothing disturbed. And how a model's files are kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::lab::{Lab, copy_folder};
use crate::local::lab;

const RUN: [&str; 3] = ["run", "small", "train.m1"];

/// A lab whose training takes some hundred steps, up to the pairs.
fn long_training() -> Lab {
    let lab = lab();
    lab.edit("small/experiment.toml", "epochs = 6", "epochs = 500");
    lab.mrx(&["run", "small", "pair.m0"]).success();
    lab
}

/// The files in the folders of work in hand whose path says `part`, in the order of their names.
fn in_hand(lab: &Lab, part: &str) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let runs = list(&lab.path.join(".mrx/partial"));
    let folders = runs.flat_map(|run| list(&run.path()));
    let files = folders.flat_map(|folder| list(&folder.path())).map(|file| file.path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.to_string_lossy().contains(part)).collect();
    files.sort();
    files
}

fn states(lab: &Lab) -> Vec<PathBuf> {
    in_hand(lab, ".state")
}

/// Kills a training once it has saved a state after its 150th step, and returns the states.
fn kill(lab: &Lab) -> Vec<PathBuf> {
    let mut command = lab.command(&RUN);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now();
    while !states(lab).last().is_some_and(|path| path.to_string_lossy().contains("/000001")) {
        assert!(patience.elapsed() < Duration::from_mins(1), "no state was saved");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    states(lab)
}

/// The steps after which a state was saved.
fn step(state: &Path) -> usize {
    state.file_name().unwrap().to_string_lossy()[..8].parse().unwrap()
}

fn flip(path: &Path, share: f64) {
    let mut bytes = fs::read(path).unwrap();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a file"
    )]
    let at = ((bytes.len() - 1) as f64 * share) as usize;
    bytes[at] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_state_that_is_damaged_is_named_and_the_one_before_it_is_used() {
    let lab = long_training();
    let killed = lab.path.join("killed");
    let store = lab.path.join(".mrx");
    copy_folder(&store, &killed);
    lab.mrx(&RUN).success();
    let undisturbed = lab.digests("small");
    let restore = || {
        fs::remove_dir_all(&store).unwrap();
        copy_folder(&killed, &store);
    };
    restore();
    let names = kill(&lab);
    fs::remove_dir_all(&killed).unwrap();
    copy_folder(&store, &killed);
    // The state to go on from is the one after the last shard of metrics that is safe.
    let done = 50 * in_hand(&lab, "metrics-50").iter().filter(|path| !hidden(path)).count();
    let used = names.iter().find(|state| step(state) == done).unwrap().clone();
    let before = names.iter().filter(|state| step(state) < done).map(|state| step(state)).max();
    let again = format!("steps {} to {done} are taken again", before.unwrap_or(0) + 1);
    for share in [0.0, 0.02, 0.3, 0.5, 0.8, 1.0] {
        restore();
        flip(&used, share);
        let name = used.file_name().unwrap().to_string_lossy().into_owned();
        lab.mrx(&["store", "verify"]).fails_with(4).prints(&name);
        let outcome = lab.mrx(&RUN).success();
        outcome.says(&name).says("is damaged: its bytes hash to").says(&again);
        assert_eq!(lab.digests("small"), undisturbed, "flipped at {share}");
    }
    restore();
    cut(&used);
    lab.mrx(&RUN).success().says("is damaged").says(&again);
    assert_eq!(lab.digests("small"), undisturbed, "cut short");
    restore();
    fs::remove_file(&used).unwrap();
    lab.mrx(&RUN).success().says(&again).does_not_say("is damaged");
    assert_eq!(lab.digests("small"), undisturbed, "deleted");
    restore();
    for state in &names {
        flip(state, 0.6);
    }
    lab.mrx(&RUN).success().says("is damaged").says(&format!("steps 1 to {done} are taken again"));
    assert_eq!(lab.digests("small"), undisturbed, "all of them damaged");
    // A state that is whole and under another's name is not taken for it.
    restore();
    fs::rename(&used, used.with_file_name(renamed(&used, done + 50))).unwrap();
    for other in names.iter().filter(|state| **state != used) {
        fs::rename(other, other.with_file_name(renamed(other, done))).unwrap();
    }
    lab.mrx(&RUN).success().says("are taken again");
    assert_eq!(lab.digests("small"), undisturbed, "renamed");
    restore();
    lab.mrx(&RUN).success().does_not_say("taken again");
    assert_eq!(lab.digests("small"), undisturbed, "not damaged at all");
}

fn hidden(path: &Path) -> bool {
    path.file_name().unwrap().to_string_lossy().starts_with('.')
}

fn renamed(state: &Path, steps: usize) -> String {
    format!("{steps:08}{}", &state.file_name().unwrap().to_string_lossy()[8..])
}

#[test]
fn fewer_steps_shorten_the_schedule_but_for_one_that_is_spelt_out() {
    let lab = lab();
    lab.edit("small/experiment.toml", "epochs = 6", "epochs = 30");
    let last_rate = |set: &[&str]| -> f64 {
        let sets = set.iter().flat_map(|set| ["--set", set]);
        let run: Vec<&str> =
            RUN.into_iter().chain(["--set", "train.max_steps=10"]).chain(sets).collect();
        lab.mrx(&run).success();
        lab.ask("SELECT value FROM metrics WHERE metric = 'learning_rate' AND step = 10")
            .parse()
            .unwrap()
    };
    // A line from 2e-4 to 0 over ten steps: the tenth is taken at a tenth of it.
    assert!((last_rate(&[]) - 2e-5).abs() < 1e-12);
    assert!(last_rate(&["train.schedule_epochs=30"]) > 1e-4, "thirty epochs have more steps");
}

#[test]
fn weights_go_to_the_store_and_nowhere_else() {
    let lab = lab();
    lab.edit("small/experiment.toml", "[train]", "[train]\non_no_pairs = \"keep\"\nmax_steps = 3");
    let nowhere = lab.path.join("nowhere");
    let mut command = lab.command(&["run", "small", "train.m2", "--set", "respond.samples=[4,1]"]);
    let output = command.env("TMPDIR", &nowhere).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!nowhere.exists());
    // Nothing was left to learn in the second iteration: the same model, and the same rows of it.
    let rows = |model: &str| {
        lab.ask(&format!("SELECT count(*), count(tensor), count(DISTINCT object), md5(string_agg(concat_ws(' ', file, tensor, dtype, shape::VARCHAR, \"offset\"::VARCHAR, bytes::VARCHAR, digest), ',' ORDER BY file, tensor)) FROM checkpoints WHERE model = '{model}'"))
    };
    assert_eq!(rows("m2"), rows("m1"));
    assert_ne!(lab.ask("SELECT count(tensor) FROM checkpoints WHERE model = 'm2'"), "0");
    // A tensor's digest is that of its bytes within its object.
    let part = lab.mrx(&["sql", "SELECT object, \"offset\", bytes, digest FROM checkpoints WHERE model = 'm1' AND tensor LIKE '%q_proj%' LIMIT 1", "--format", "csv"]).success();
    let part: Vec<&str> = part.stdout.lines().nth(1).unwrap().split(',').collect();
    let object = fs::read(lab.store().object_path(part[0].parse().unwrap())).unwrap();
    let (offset, bytes): (usize, usize) = (part[1].parse().unwrap(), part[2].parse().unwrap());
    let digest = mrx::store::Digest::of(&object[offset..offset + bytes]);
    assert_eq!(digest.to_hex(), part[3]);
}
