//! Training by a program of its own: the loop around it, with one that only speaks as TRL's does, and with the
//! real one where there is a Python that has it.

mod adapters;
mod epochs;
mod fake;
mod real;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::{Lab, Outcome};
use crate::local;

/// An adapter that stands on nothing.
const RANDOM: &str = r#"
name = "random"
[model.init]
path = "../small/model"
[sft]
sql = "../small/prompts.sql"
trainer = "trl"
[adapter]
rank = 2
[prompts]
sql = "../small/prompts.sql"
"#;

/// A lab whose experiment is trained by the trainer that does what the variables say.
fn lab(variables: &[(&str, &str)]) -> Lab {
    let lab = local::lab();
    let python = fake::python(&lab, variables);
    lab.edit("small/experiment.toml", "[train]", "[train]\ntrainer = \"trl\"");
    lab.edit("small/experiment.toml", "epochs = 6\nbatch = 4", "epochs = 10\nbatch = 2");
    let table = format!("\n[trainer]\npython = \"{python}\"\nsave_steps = 5\n");
    let text = fs::read_to_string(lab.path.join("small/experiment.toml")).unwrap();
    lab.write("small/experiment.toml", &(text + &table));
    lab
}

fn run(lab: &Lab) -> Outcome {
    lab.mrx(&["run", "small", "train.m1"])
}

/// What a whole run makes of the first training.
fn undisturbed() -> String {
    let lab = lab(&[]);
    run(&lab).success();
    weights_of(&lab)
}

fn weights_of(lab: &Lab) -> String {
    let digests = lab.digests("small");
    format!("{:?} {:?}", digests["train.m1/checkpoints"], digests["train.m1/metrics"])
}

/// The folder in which a trainer works, while it does.
fn workshop(lab: &Lab) -> Option<std::path::PathBuf> {
    let partial = fs::read_dir(lab.path.join(".mrx/partial")).ok()?;
    let mut folders = partial.map(|entry| entry.unwrap().path().join("trainer"));
    folders.find(|path| path.is_dir())
}

#[test]
fn a_loop_is_trained_by_another_program_and_all_that_it_says_is_kept() {
    let lab = lab(&[]);
    let said = lab.mrx(&["run", "small"]).success();
    let steps = "SELECT count(DISTINCT step) FROM metrics WHERE model = 'm1'";
    let pairs =
        "SELECT 10 * ceil(count(*) FILTER (kept) / 2)::INTEGER FROM pairs WHERE model = 'm0'";
    assert_eq!(lab.ask(steps), lab.ask(pairs), "{}", said.report());
    let kept = "SELECT count(*) FROM lessons JOIN pairs ON row_id = pair_id AND lessons.model = 'm1' \
                JOIN reference_logps USING (pair_id, ref_chosen_logps) WHERE lessons.chosen_ids = pairs.chosen_ids";
    assert_eq!(lab.ask(kept), lab.ask("SELECT count(*) FROM pairs WHERE model = 'm0' AND kept"));
    let own =
        "SELECT string_agg(DISTINCT metric, ' ' ORDER BY metric) FROM metrics WHERE model = 'm1'";
    assert_eq!(lab.ask(own), "grad_norm learning_rate loss num_tokens rewards/margins");
    let shown = lab.mrx(&["show", "train.m1"]).success();
    shown.prints("3 processes on abacus").prints("fake.sh");
    lab.mrx(&["show", "train.m1", "--format", "json"])
        .success()
        .prints("\"transformers\": \"5.24.0\"");
    lab.mrx(&["run", "small"]).success().says("nothing to do");
    assert!(workshop(&lab).is_none(), "what it worked with is gone");
}

#[test]
fn a_trainer_that_ends_too_early_is_told_with_its_last_words_and_gone_on_from() {
    let lab = lab(&[("FAKE_CRASH", "12")]);
    run(&lab)
        .fails_with(3)
        .says("ended after step 12 of")
        .says("RuntimeError: out of luck at step 12")
        .says("the same command goes on");
    run(&lab).success();
    assert_eq!(weights_of(&lab), undisturbed());
}

#[test]
fn what_a_trainer_says_is_read_with_care() {
    let garbage = run(&lab(&[("FAKE_GARBAGE", "3")]));
    garbage
        .fails_with(3)
        .says("steps.jsonl, line 3: expected an object of numbers, found `no JSON`");
    let diverged = run(&lab(&[("FAKE_NAN", "4")]));
    diverged.fails_with(3).says("step 4: `loss` is not a finite number");
    for (what, said) in [
        ("missing", "`model.norm.weight`"),
        ("shape", "`model.norm.weight`"),
        ("nan", "the tensor `model.norm.weight` has numbers that are not finite"),
    ] {
        let lab = lab(&[("FAKE_MODEL", what)]);
        run(&lab).fails_with(3).says("the model that the trainer wrote cannot be taken").says(said);
        lab.mrx(&["store", "verify"]).success();
    }
}

#[test]
fn packages_that_were_not_tried_are_refused_before_any_work() {
    let wrong = run(&lab(&[("FAKE_PACKAGES", "trl 0.9.0 was not tried; >=1.16,<1.17 was")]));
    wrong
        .fails_with(1)
        .says("TRL cannot train: trl 0.9.0 was not tried; >=1.16,<1.17 was; this mends it: pip install it");
    let lab = lab(&[]);
    run(&lab).success();
    fs::remove_file(lab.path.join("fake.sh")).unwrap();
    lab.mrx(&["plan", "small"]).success().prints("train.m1");
    let other = local::lab();
    other.edit("small/experiment.toml", "[train]", "[train]\ntrainer = \"trl\"");
    let elsewhere = "trainer.python=/nowhere/python";
    let none = other.mrx(&["run", "small", "--set", elsewhere]);
    none.fails_with(1).says("cannot start `/nowhere/python`");
}

fn start(lab: &Lab) -> Child {
    let mut command = lab.command(&["run", "small", "train.m1"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until a trainer has reported so many steps.
fn wait_for(lab: &Lab, steps: usize) {
    let begun = Instant::now();
    loop {
        let text = workshop(lab).map(|folder| fs::read_to_string(folder.join("steps.jsonl")));
        if text.is_some_and(|text| text.unwrap_or_default().lines().count() >= steps) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "no step {steps}");
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_at_any_step_mrx_and_its_trainer_make_the_same_model() {
    let whole = undisturbed();
    let lab = lab(&[("FAKE_STEP", "15")]);
    lab.mrx(&["run", "small", "pair.m0", "reference.m0"]).success();
    for steps in [1, 4, 7, 11, 16] {
        let mut child = start(&lab);
        wait_for(&lab, steps);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(&lab).success();
    assert_eq!(weights_of(&lab), whole);
    assert_eq!(left_behind(&lab.path), Vec::<String>::new(), "no trainer outlives its mrx");
}

/// The processes that work in a folder.
fn left_behind(folder: &Path) -> Vec<String> {
    let inside = |pid: &String| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    };
    let begun = Instant::now();
    loop {
        let all = fs::read_dir("/proc").unwrap();
        let pids = all.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let left: Vec<String> = pids.filter(inside).collect();
        if left.is_empty() || begun.elapsed() > Duration::from_secs(15) {
            return left;
        }
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn ctrl_c_stops_a_trainer_and_the_same_command_goes_on() {
    let lab = lab(&[("FAKE_STEP", "30")]);
    lab.mrx(&["run", "small", "pair.m0", "reference.m0"]).success();
    let child = start(&lab);
    wait_for(&lab, 6);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let outcome = child.wait_with_output().unwrap();
    assert_eq!(outcome.status.code(), Some(130));
    assert_eq!(left_behind(&lab.path), Vec::<String>::new());
    run(&lab).success();
    assert_eq!(weights_of(&lab), undisturbed());
}

#[test]
fn settings_that_a_trainer_does_not_have_are_refused_by_name() {
    let lab = lab(&[]);
    let refuse = |set: &str, said: &str| {
        lab.mrx(&["plan", "small", "--set", set]).fails_with(1).says(said);
    };
    refuse("train.group_by_length=true", "`group_by_length` is the local trainer's");
    refuse("train.trainer=local", "`[trainer]` is about TRL");
    refuse("trainer.launch='it \"is", "a quote is open");
    refuse("trainer.dtype=float8", "float8");
    refuse("adapter.rank=0", "a whole number from 1");
    let both = ["--set", "train.label_smoothing=0.1", "--set", "train.length_normalised=true"];
    let both = lab.mrx(&[&["plan", "small"], &both[..]].concat());
    both.fails_with(1).says("no label smoothing of the length-normalised loss");
    lab.write("random/experiment.toml", RANDOM);
    lab.mrx(&["plan", "random"]).fails_with(1).says("an adapter on random weights learns little");
    lab.write("mrx.toml", "[trainer]\ndtype = \"bfloat16\"\n");
    let machine = lab.command(&["plan", "small"]).env("MRX_CONFIG", "mrx.toml").output().unwrap();
    let said = String::from_utf8_lossy(&machine.stderr).into_owned();
    assert!(
        said.contains("`dtype` decides results: it belongs in the experiment's own file"),
        "{said}"
    );
}

#[test]
fn a_launcher_that_starts_fewer_processes_than_it_is_asked_for_is_told() {
    let lab = lab(&[]);
    let script = lab.path.join("fake.sh");
    let launch = |processes: u32| {
        let words = format!("trainer.launch=sh '{}' --num_processes {processes}", script.display());
        let name = format!("name=of-{processes}");
        let batch = format!("train.batch={processes}");
        let set = ["--set", &words, "--set", &name, "--set", &batch];
        lab.mrx(&[&["run", "small", "train.m1"], &set[..]].concat()).success()
    };
    launch(4).says("the launcher was asked for 4 processes, and 3 trained");
    launch(3).does_not_say("the launcher");
    let shown = lab.mrx(&["show", "of-4/train.m1"]).success();
    shown.prints("--num_processes 4").prints("fake.sh (");
}

#[test]
fn where_the_trainer_asks_the_reference_no_node_does() {
    let lab = lab(&[]);
    let set = ["--set", "trainer.reference=trainer"];
    let plan = lab.mrx(&[&["plan", "small"], &set[..]].concat()).success();
    assert!(!plan.stdout.contains("reference.m0"), "{}", plan.stdout);
    lab.mrx(&[&["run", "small", "train.m1"], &set[..]].concat()).success();
    let unknown = "SELECT bool_and(ref_chosen_logps IS NULL) FROM lessons";
    assert_eq!(lab.ask(unknown), "true");
    let m0 = [&set[..], &["--set", "train.reference=m0"]].concat();
    lab.mrx(&[&["run", "small", "train.m2"], &m0[..]].concat()).success();
}
