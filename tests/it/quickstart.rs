//! The quickstart in small: a real model is fine-tuned, judges itself, and is trained; killed, it goes on.

use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::lab::{Lab, PROJECT, copy_folder};

/// Settings under which the quickstart takes seconds. What it learns is little.
pub(crate) const SMALL: [&str; 22] = [
    "--set",
    "sft.max_steps=30",
    "--set",
    "iterations=2",
    "--set",
    "pairs.judge.enabled=[true, true]",
    "--set",
    "prompts.per_iteration=6",
    "--set",
    "respond.samples=3",
    "--set",
    "judge.samples=3",
    "--set",
    "judge.max_tokens=20",
    "--set",
    "train.on_no_pairs=keep",
    "--set",
    "evaluate.max_tokens=6",
    "--set",
    "evaluate.prompts=few.sql",
    "--set",
    "sft.sql=fewer.sql",
];

/// The quickstart in `quickstart/`, with fewer prompts and examples.
fn quickstart() -> Lab {
    let lab = Lab::new();
    small_quickstart(&lab, "quickstart");
    lab
}

/// Copies the quickstart and puts the files beside it that [`SMALL`] names.
pub(crate) fn small_quickstart(lab: &Lab, folder: &str) {
    copy_folder(&Path::new(PROJECT).join("experiments/quickstart"), &lab.path.join(folder));
    let first = |name: &str, rows: usize| {
        let sql = std::fs::read_to_string(lab.path.join(folder).join(name)).unwrap();
        format!("SELECT * FROM ({}) ORDER BY md5_number(prompt) LIMIT {rows}", sql.trim_end())
    };
    lab.write(&format!("{folder}/few.sql"), &first("eval.sql", 20));
    // The same examples, made from a fortieth of the draws.
    let examples = std::fs::read_to_string(lab.path.join(folder).join("examples.sql")).unwrap();
    let fewer = examples.replace("12000", "300").replace("21600", "540").replace("14400", "360");
    assert_ne!(fewer, examples);
    lab.write(&format!("{folder}/fewer.sql"), &fewer);
}

fn run<'a>(experiment: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", experiment], &SMALL[..], more].concat()
}

#[test]
fn a_newcomer_sees_a_model_made_judged_and_trained() {
    let lab = quickstart();
    lab.mrx(&run("quickstart", &[]))
        .success()
        .prints("win rate")
        .says("mrx diff quickstart/m0 quickstart/m2");
    assert_eq!(lab.ask("SELECT count(*), count(DISTINCT example_id) FROM examples"), "1200,1200");
    let steps = "SELECT max(step) FROM metrics WHERE node = 'sft.m0' AND metric = 'loss'";
    assert_eq!(lab.ask(steps), "30");
    let falls = "SELECT arg_min(value, step) > arg_max(value, step) FROM metrics WHERE node = 'sft.m0' AND metric = 'loss'";
    assert_eq!(lab.ask(falls), "true", "the loss is highest first");
    // A pair and its reference's log-probabilities stand side by side.
    let scored = "SELECT bool_and(ref_chosen_logps <= 0 AND ref_rejected_logps <= 0 AND chosen_tokens > 0) FROM reference_logps";
    assert_eq!(lab.ask(scored), "true");
    assert_eq!(
        lab.ask("SELECT count(*) FROM pairs WHERE kept"),
        lab.ask("SELECT count(*) FROM reference_logps JOIN pairs USING (experiment, model, pair_id) WHERE kept")
    );
    assert_eq!(lab.ask("SELECT count(DISTINCT model) FROM responses WHERE part = 'eval'"), "3");
    assert_eq!(lab.ask("SELECT count(*) FROM estimates WHERE name = 'judge_agreement'"), "3");
    lab.mrx(&run("quickstart", &[])).success().says("nothing to do");
    // The commands that a run suggests work as they are printed.
    lab.mrx(&["diff", "quickstart/m0", "quickstart/m2"]).success().prints("decided by the oracle");
}

#[test]
fn the_twins_start_from_the_same_m0() {
    let lab = quickstart();
    lab.mrx(&run("quickstart", &["sft.m0"])).success();
    let twins = ["self_rewarding.toml", "no_length_control.toml", "judge_throughout.toml"];
    for twin in twins {
        let outcome = lab.mrx(&run(&format!("quickstart/{twin}"), &["pair.m0"])).success();
        outcome.does_not_say("sft.m0").does_not_say("examples.m0");
    }
    let lines = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(lab.path.join("quickstart").join(name)).unwrap();
        let (settings, _) = text.split_once("[claims]").unwrap();
        let told = |l: &&str| !l.starts_with('#') && !l.starts_with("name") && !l.is_empty();
        settings.lines().filter(told).map(ToOwned::to_owned).collect()
    };
    let all = lines("experiment.toml");
    let [alone, long, throughout] = twins.map(|twin| {
        let beside = |line: &String| !all.contains(line);
        lines(twin).into_iter().filter(beside).collect::<Vec<_>>()
    });
    assert_eq!(alone, ["enabled = false"], "one switch");
    assert_eq!(long.len(), 2, "ρ, and what it means for ties: {long:?}");
    assert_eq!(throughout.len(), 1, "when the judge is trained: {throughout:?}");
}

#[test]
fn killed_at_any_moment_it_ends_in_the_same_bytes() {
    let lab = quickstart();
    lab.mrx(&run("quickstart", &[])).success();
    let undisturbed = lab.digests("quickstart");
    std::fs::remove_dir_all(lab.path.join(".mrx")).unwrap();
    let mut kills = 0;
    loop {
        let mut child = lab
            .command(&run("quickstart", &[]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Later and later, so that it gets further each time.
        sleep(Duration::from_millis(60 + 400 * kills));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 3, "{kills} kills");
    assert_eq!(lab.digests("quickstart"), undisturbed, "after {kills} kills");
    lab.mrx(&["store", "verify"]).success().says("all is well");
}

#[test]
fn where_there_are_no_pairs_the_model_is_carried_on_or_the_run_stops() {
    let lab = quickstart();
    // Nobody can be told apart by one answer.
    let one = ["--set", "respond.samples=1", "--set", "judge.samples=1"];
    lab.mrx(&run("quickstart", &one))
        .success()
        .says("the model is carried on as it is: no pairs to train on");
    let same = "SELECT count(DISTINCT digest) FROM checkpoints WHERE tensor IS NOT NULL AND model IN ('m0', 'm1') GROUP BY tensor ORDER BY 1 DESC LIMIT 1";
    assert_eq!(lab.ask(same), "1", "M1 is M0");
    let stop = [&one[..], &["--set", "train.on_no_pairs=stop"]].concat();
    lab.mrx(&run("quickstart", &stop)).fails_with(3).says("no pairs to train on; dropped:");
}

#[test]
fn training_starts_from_and_is_held_to_the_model_that_the_file_names() {
    let lab = quickstart();
    lab.mrx(&run("quickstart", &["train.m1"])).success();
    let first = |set: &str| {
        let name = format!("name={}", set.replace(['.', '='], "-"));
        lab.mrx(&run("quickstart", &["train.m2", "--set", set, "--set", &name])).success();
        let experiment = name.trim_start_matches("name=").to_owned();
        let value = |metric: &str| {
            let sql = format!(
                "SELECT value FROM metrics WHERE experiment = '{experiment}' AND node = 'train.m2' AND metric = '{metric}' AND step = 1"
            );
            lab.ask(&sql).parse::<f64>().unwrap()
        };
        let made = |node: &str| {
            let sql = format!(
                "SELECT from_node FROM lineage WHERE experiment = '{experiment}' AND node = '{node}' AND input = 'model'"
            );
            lab.ask(&sql)
        };
        (value("rewards/margins"), made("train.m2"), made("reference.m1"))
    };
    // Before the first step a model that is its own reference prefers nothing.
    let (margin, start, reference) = first("train.start=previous");
    assert!(margin.abs() < 1e-3, "{margin}");
    assert_eq!((start.as_str(), reference.as_str()), ("train.m1", "train.m1"));
    let (margin, start, reference) = first("train.start=m0");
    assert!(margin.abs() < 1e-3, "{margin}");
    assert_eq!((start.as_str(), reference.as_str()), ("sft.m0", "sft.m0"));
    let (_, start, reference) = first("train.reference=m0");
    assert_eq!((start.as_str(), reference.as_str()), ("train.m1", "sft.m0"));
}

#[test]
fn examples_that_are_none_are_refused() {
    let lab = quickstart();
    let with = |sql: &str| {
        lab.write("quickstart/fewer.sql", sql);
        lab.mrx(&run("quickstart", &["sft.m0"]))
    };
    with("SELECT 'a' AS prompt").fails_with(3).says("the query gives no column `target`");
    with("SELECT 'a' AS prompt, NULL AS target")
        .fails_with(3)
        .says("row 1 has no target: it is NULL");
    with("SELECT 'a' AS prompt, '' AS target")
        .fails_with(3)
        .says("row 1 has no target: it is empty");
    with("SELECT 'a' AS prompt, 'b' AS target WHERE false")
        .fails_with(3)
        .says("the query gives no rows");
    with("SELECT '' AS prompt, 'b' AS target").fails_with(3).says("row 1 has no prompt");
    with("SELECT 'a' AS prompt, 'b' AS target, 1 AS extra").fails_with(3).says("column `extra`");
    // How often an example is shown is for the query to say.
    with("SELECT 'reverse abc' AS prompt, 'c b a' AS target FROM range(3)").success();
    assert_eq!(lab.ask("SELECT count(DISTINCT example_id) FROM examples"), "3");
    let long = "SELECT repeat('a ', 400) AS prompt, 'b' AS target";
    with(long).fails_with(3).says("row x_").says("tokens do not fit a context of 256");
}

#[test]
fn a_model_is_a_folder_or_random_weights_and_not_both() {
    let lab = quickstart();
    let set = |set: &str| lab.mrx(&run("quickstart", &["--set", set])).fails_with(1);
    set("model.path=model").says("expected one of `path` and `init` in `[model]`");
    lab.edit("quickstart/experiment.toml", "[model.init]\n", "[model]\n");
    lab.mrx(&run("quickstart", &["sft.m0"])).fails_with(3).says("model.safetensors");
    let lab = quickstart();
    let toml = std::fs::read_to_string(lab.path.join("quickstart/experiment.toml")).unwrap();
    let (before, after) = (toml.find("[sft]").unwrap(), toml.find("[prompts]").unwrap());
    lab.write("quickstart/experiment.toml", &(toml[..before].to_owned() + &toml[after..]));
    lab.mrx(&["run", "quickstart"]).fails_with(1).says("`[model.init]` needs `[sft]`");
}
