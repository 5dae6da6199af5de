//! Killed anywhere, interrupted, raced: the tables come out the same.

use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::lab::Lab;

/// One iteration over many prompts: thousands of draws.
fn long_loop() -> Lab {
    one_iteration(1500)
}

/// The scripted loop's first iteration alone, over so many prompts.
pub(crate) fn one_iteration(prompts: u32) -> Lab {
    let lab = Lab::with_loop();
    let sql = format!("SELECT 'Question ' || i AS prompt FROM range({prompts}) t(i)");
    lab.write("loop/prompts.sql", &sql);
    lab.edit("loop/experiment.toml", "per_iteration = 10", &format!("per_iteration = {prompts}"));
    lab.edit("loop/experiment.toml", "files = [\"prompts.jsonl\"]", "");
    for list in
        ["[0.0, 0.32, 0.32, 0.4]", "[2500, false, false, false]", "[1100, 1000, false, false]"]
    {
        lab.edit("loop/experiment.toml", list, if list.starts_with("[0") { "0.1" } else { "2500" });
    }
    lab.edit("loop/experiment.toml", "[true, true, false, false]", "true");
    lab.edit("loop/experiment.toml", "iterations = 4", "iterations = 1");
    lab
}

fn start(lab: &Lab) -> Child {
    let mut command = lab.command(&["run", "loop"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn forget_everything(lab: &Lab) {
    std::fs::remove_dir_all(lab.path.join(".mrx")).unwrap();
}

/// Starts a run and kills it at this moment; false where it had ended before, and well.
fn is_killed(lab: &Lab, moment: Duration) -> bool {
    let mut child = start(lab);
    sleep(moment);
    if let Some(ended) = child.try_wait().unwrap() {
        assert!(ended.success(), "{ended}");
        return false;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

#[test]
fn killed_at_fifty_moments_it_makes_the_same_bytes() {
    let lab = long_loop();
    let began = Instant::now();
    lab.mrx(&["run", "loop"]).success();
    let whole = began.elapsed();
    let undisturbed = lab.digests("scripted");
    let mut moments = ChaCha8Rng::seed_from_u64(7);
    let (mut kills, mut rounds) = (0, 0);
    while kills < 50 {
        forget_everything(&lab);
        rounds += 1;
        while is_killed(&lab, whole.mul_f64(moments.random_range(0.01..0.25))) {
            kills += 1;
            if kills % 10 == 0 {
                lab.mrx(&["store", "verify"]).success().says("all is well");
            }
        }
        assert_eq!(lab.digests("scripted"), undisturbed, "after {kills} kills");
        lab.mrx(&["store", "verify"]).success().says("all is well");
        lab.mrx(&["run", "loop"]).success().says("nothing to do");
    }
    assert!(rounds < kills, "most attempts were cut short: {rounds} rounds, {kills} kills");
}

#[test]
fn four_processes_at_once_make_each_node_once() {
    let lab = long_loop();
    // To files, for a full pipe would make one process wait for another's reader.
    let log = |number: u32| lab.path.join(format!("events-{number}.jsonl"));
    let start = |number: u32| {
        let mut command = lab.command(&["run", "loop", "--json"]);
        let events = std::fs::File::create(log(number)).unwrap();
        command.stdout(events).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..4).map(start).collect();
    let mut finished = Vec::new();
    for (number, mut child) in (0..).zip(children) {
        assert!(child.wait().unwrap().success());
        let events = std::fs::read_to_string(log(number)).unwrap();
        finished
            .extend(events.lines().filter(|l| l.contains("\"finished\"")).map(ToOwned::to_owned));
    }
    assert_eq!(finished.len(), 11, "{finished:#?}");
    lab.mrx(&["store", "verify"]).success().says("all is well");
}

/// Starts a run and sends it Ctrl-C as soon as a judgement is safe, `times` times.
fn interrupted(lab: &Lab, times: usize) -> Output {
    let mut command = lab.command(&["run", "loop"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now();
    while judged(lab).is_none() {
        assert!(patience.elapsed() < Duration::from_mins(1), "no judgement ever landed");
        sleep(Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    for _ in 0..times {
        // The process may be gone before the second signal: then the first was enough.
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
        sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// Ctrl-C ends what is under way, says that all is safe, and exits 130.
#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let lab = long_loop();
    lab.mrx(&["run", "loop"]).success();
    let undisturbed = lab.digests("scripted");
    forget_everything(&lab);
    let output = interrupted(&lab, 1);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("ending what is under way"), "{stderr}");
    assert!(stderr.contains("what was made is safe"), "{stderr}");
    lab.mrx(&["run", "loop"]).success();
    assert_eq!(lab.digests("scripted"), undisturbed);
    let attempts = lab.ask("SELECT max(attempts) FROM nodes");
    assert_eq!(attempts, "2", "the manifest says that the work was resumed");
    forget_everything(&lab);
    assert_eq!(interrupted(&lab, 2).status.code(), Some(130), "a second Ctrl-C leaves at once");
    lab.mrx(&["run", "loop"]).success();
    assert_eq!(lab.digests("scripted"), undisturbed);
}

/// The lock of a dead process is nobody's.
#[test]
fn a_lock_left_by_a_dead_process_stops_nobody() {
    let lab = long_loop();
    let mut child = start(&lab);
    sleep(Duration::from_millis(60));
    child.kill().unwrap();
    child.wait().unwrap();
    lab.mrx(&["run", "loop"]).success().does_not_say("waiting");
}

/// What is damaged in a journal is named, and drawn again; what stands around it is not.
#[test]
fn a_damaged_record_is_drawn_again_in_its_place() {
    let lab = long_loop();
    lab.mrx(&["run", "loop"]).success();
    let undisturbed = lab.digests("scripted");
    forget_everything(&lab);
    let journal = killed_while_judging(&lab);
    // What an unfinished run has made is needed, whatever its age.
    lab.mrx(&["store", "gc", "--grace", "0s"]).success().says("nothing to delete");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();
    lab.mrx(&["store", "verify"]).fails_with(4).prints("are not what was written");
    lab.mrx(&["store", "verify", "--repair"]);
    assert!(journal.exists(), "what is whole in it is kept");
    lab.mrx(&["run", "loop"])
        .success()
        .says("bytes of its journal from byte")
        .says("are damaged: what they held is drawn again");
    assert_eq!(lab.digests("scripted"), undisturbed);
    lab.mrx(&["store", "verify"]).success().says("all is well");
}

/// A power cut may leave half a record at the end: it is cut off, and said.
#[test]
fn a_torn_record_is_cut_off_and_drawn_again() {
    let lab = long_loop();
    lab.mrx(&["run", "loop"]).success();
    let undisturbed = lab.digests("scripted");
    forget_everything(&lab);
    let journal = killed_while_judging(&lab);
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() - 1]).unwrap();
    lab.mrx(&["store", "verify"]).success().says("all is well");
    lab.mrx(&["run", "loop"]).success().says("bytes of its journal are half a record, and cut off");
    assert_eq!(lab.digests("scripted"), undisturbed);
}

/// A model whose replies come in another order, and that refuses every prompt with a 7 in it.
fn unruly(lab: &Lab) {
    let config = std::fs::read_to_string(lab.path.join("loop/model/config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["replies"] = "shuffled".into();
    let refuses = serde_json::json!({ "contains": "Question 7", "refuses": "no sevens" });
    config["rules"].as_array_mut().unwrap().insert(0, refuses);
    lab.write("loop/model/config.json", &config.to_string());
    lab.edit("loop/experiment.toml", "seed = 0", "seed = 0\nmax_refused = 0.5");
}

/// Every draw is safe by itself: killed among draws that land in any order, the tables are the same.
#[test]
fn killed_among_draws_that_land_in_any_order_it_makes_the_same_bytes() {
    let lab = long_loop();
    unruly(&lab);
    let began = Instant::now();
    lab.mrx(&["run", "loop"]).success();
    let whole = began.elapsed();
    let undisturbed = lab.digests("scripted");
    let refused = "SELECT count(*) FROM responses WHERE refusal = 'no sevens'";
    assert_eq!(lab.ask(refused), (7 * 111).to_string(), "7, 70 to 79, 700 to 799");
    let mut moments = ChaCha8Rng::seed_from_u64(11);
    let mut kills = 0;
    while kills < 20 {
        forget_everything(&lab);
        while is_killed(&lab, whole.mul_f64(moments.random_range(0.01..0.25))) {
            kills += 1;
        }
        assert_eq!(lab.digests("scripted"), undisturbed, "after {kills} kills");
        lab.mrx(&["store", "verify"]).success().says("all is well");
    }
}

/// Starts a run and kills it once some judgements are safe; returns their journal.
fn killed_while_judging(lab: &Lab) -> std::path::PathBuf {
    let mut child = start(lab);
    let patience = Instant::now();
    let journal = loop {
        if let Some(journal) = judged(lab) {
            break journal;
        }
        assert!(patience.elapsed() < Duration::from_mins(1), "no judgement ever landed");
    };
    child.kill().unwrap();
    child.wait().unwrap();
    journal
}

/// The journal of judgements, once some kilobytes are in it.
fn judged(lab: &Lab) -> Option<std::path::PathBuf> {
    let runs = std::fs::read_dir(lab.path.join(".mrx/partial")).into_iter().flatten().flatten();
    let mut journals = runs.map(|run| run.path().join("judgements.journal"));
    journals.find(|path| std::fs::metadata(path).is_ok_and(|found| found.len() > 10_000))
}
