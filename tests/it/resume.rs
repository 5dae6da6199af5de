//! Killed anywhere, interrupted, raced: the tables come out the same.

use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::lab::Lab;

/// One iteration over many prompts: respond and judge have dozens of shards.
fn long_loop() -> Lab {
    let lab = Lab::with_loop();
    lab.write("loop/prompts.sql", "SELECT 'Question ' || i AS prompt FROM range(1500) t(i)");
    lab.edit("loop/experiment.toml", "per_iteration = 10", "per_iteration = 1500");
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
        loop {
            let mut child = start(&lab);
            sleep(whole.mul_f64(moments.random_range(0.01..0.25)));
            if let Some(ended) = child.try_wait().unwrap() {
                assert!(ended.success(), "{ended}");
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
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

/// Starts a run and sends it Ctrl-C as soon as a shard is safe, `times` times.
fn interrupted(lab: &Lab, times: usize) -> Output {
    let mut command = lab.command(&["run", "loop"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now();
    while judged_shards(lab).is_empty() {
        assert!(patience.elapsed() < Duration::from_mins(1), "no shard was ever written");
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

/// Ctrl-C finishes the shard in hand, says that all is safe, and exits 130.
#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let lab = long_loop();
    lab.mrx(&["run", "loop"]).success();
    let undisturbed = lab.digests("scripted");
    forget_everything(&lab);
    let output = interrupted(&lab, 1);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("finishing the shard in hand"), "{stderr}");
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

/// A damaged shard is named; once it is removed, the run makes it again, in its place.
#[test]
fn a_damaged_shard_is_made_again_in_its_place() {
    let lab = long_loop();
    lab.mrx(&["run", "loop"]).success();
    let undisturbed = lab.digests("scripted");
    forget_everything(&lab);
    let shards = killed_with_four_shards(&lab);
    // What an unfinished run has made is needed, whatever its age.
    lab.mrx(&["store", "gc", "--grace", "0s"]).success().says("nothing to delete");
    let bytes = std::fs::read(&shards[1]).unwrap();
    std::fs::remove_file(&shards[1]).unwrap();
    std::fs::write(&shards[1], &bytes[..bytes.len() - 1]).unwrap();
    lab.mrx(&["run", "loop"]).fails_with(4).says("is damaged");
    lab.mrx(&["store", "verify", "--repair"]).success().says("1 damaged files removed");
    lab.mrx(&["run", "loop"]).success();
    assert_eq!(lab.digests("scripted"), undisturbed);
}

/// A shard says where it belongs: under another's name it is damage, not data.
#[test]
fn shards_that_changed_places_are_refused() {
    let lab = long_loop();
    let shards = killed_with_four_shards(&lab);
    let renamed = |shard: &std::path::Path, number: &str| {
        let name = shard.file_name().unwrap().to_string_lossy().into_owned();
        shard.with_file_name(format!("{number}{}", &name[8..]))
    };
    std::fs::rename(&shards[0], renamed(&shards[0], "99999999")).unwrap();
    std::fs::rename(&shards[1], renamed(&shards[1], "00000000")).unwrap();
    std::fs::rename(renamed(&shards[0], "99999999"), renamed(&shards[0], "00000001")).unwrap();
    lab.mrx(&["run", "loop"]).fails_with(4).says("it was not written as");
}

/// Starts a run and kills it once four shards of judgements are safe.
fn killed_with_four_shards(lab: &Lab) -> Vec<std::path::PathBuf> {
    let mut child = start(lab);
    let patience = Instant::now();
    let shards = loop {
        let shards = judged_shards(lab);
        if shards.len() >= 4 {
            break shards;
        }
        assert!(patience.elapsed() < Duration::from_mins(1), "no four shards were ever written");
    };
    child.kill().unwrap();
    child.wait().unwrap();
    shards
}

fn judged_shards(lab: &Lab) -> Vec<std::path::PathBuf> {
    let runs = std::fs::read_dir(lab.path.join(".mrx/partial")).into_iter().flatten().flatten();
    let folders =
        runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten());
    let judged = folders.filter(|f| f.file_name().to_string_lossy().starts_with("judgements"));
    let files = judged.flat_map(|f| std::fs::read_dir(f.path()).into_iter().flatten().flatten());
    let mut shards: Vec<_> = files.map(|file| file.path()).collect();
    shards.retain(|path| path.extension().is_some_and(|extension| extension == "arrow"));
    shards.sort();
    shards
}
