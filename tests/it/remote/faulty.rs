//! Servers that fail in every way, and a run that is killed meanwhile: the tables come out the same.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use super::{endpoints, scripted, with_engine};
use crate::lab::Lab;
use crate::resume::one_iteration;
use crate::server::{Fault, Faults, Options};

/// A node of so many draws, seven for each prompt.
fn many(rows: u32) -> Lab {
    one_iteration(rows / 7)
}

const NODE: &str = "respond.m0/responses";

/// What a server without faults makes of it.
fn undisturbed(lab: &Lab, table: &str) -> mrx::store::Digest {
    let server = scripted(lab, Options::default());
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    with_engine(lab, &endpoints(&[&server], ""));
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    let digest = lab.digests("scripted")[table];
    lab.write("loop/experiment.toml", &toml);
    std::fs::remove_dir_all(lab.path.join(".mrx")).unwrap();
    digest
}

fn faults(seed: u64) -> Options {
    let Faults { share, mut kinds, .. } = Faults::all(0.2, seed);
    kinds.retain(|kind| !matches!(kind, Fault::TooManyWithRetryAfter(_) | Fault::SlowDrip(_)));
    kinds.extend([Fault::TooManyWithRetryAfter(0), Fault::SlowDrip(Duration::from_millis(50))]);
    Options { faults: Faults { share, seed, kinds }, ..Options::default() }
}

#[test]
fn twenty_thousand_rows_survive_every_fault_of_two_servers() {
    let lab = many(20_006);
    let expected = undisturbed(&lab, NODE);
    let servers = [1, 2].map(|seed| scripted(&lab, faults(seed)));
    with_engine(&lab, &endpoints(&[&servers[0], &servers[1]], "timeout = \"300ms\""));
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    assert_eq!(lab.digests("scripted")[NODE], expected);
    assert_eq!(
        lab.ask("SELECT count(*), count(DISTINCT response_id) FROM responses"),
        "20006,20006"
    );
    let hit: u64 = servers.iter().flat_map(|server| server.counts().faults.into_values()).sum();
    assert!(hit > 3000, "{hit} faults");
    for server in &servers {
        assert_eq!(server.counts().faults.len(), 12, "every kind: {:?}", server.counts().faults);
    }
}

#[test]
fn killed_twenty_times_among_faults_it_makes_the_same_rows() {
    let lab = many(20_006);
    let expected = undisturbed(&lab, NODE);
    let slower = |seed| Options { latency: Duration::from_millis(5), ..faults(seed) };
    let servers = [3, 4, 5, 6].map(|seed| scripted(&lab, slower(seed)));
    let servers: Vec<_> = servers.iter().collect();
    with_engine(&lab, &endpoints(&servers, "timeout = \"300ms\""));
    let mut kills = 0;
    for moment in (1..=20).map(|nth| Duration::from_millis(120 + 13 * nth)) {
        let mut child = lab
            .command(&["run", "loop", "respond.m0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(moment);
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills >= 15, "{kills} kills");
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    assert_eq!(lab.digests("scripted")[NODE], expected);
    let made =
        lab.store().manifests().unwrap().into_iter().find(|m| m.node == "respond.m0").unwrap();
    assert!(made.cost.attempts > 15, "{:?}", made.cost);
}

#[test]
fn one_slow_server_of_four_does_not_hold_up_the_others() {
    let lab = many(2800);
    let quick = [(); 3].map(|()| scripted(&lab, Options::default()));
    let slow =
        scripted(&lab, Options { latency: Duration::from_millis(500), ..Options::default() });
    with_engine(
        &lab,
        &endpoints(&[&quick[0], &quick[1], &quick[2], &slow], "max_concurrency = 32"),
    );
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    let answered = |server: &crate::server::Server| server.counts().answered;
    let others: u64 = quick.iter().map(answered).sum();
    assert_eq!(others + answered(&slow), 2800);
    assert!(answered(&slow) < 600, "{} of 2800 went to the slow one", answered(&slow));
}

#[test]
fn a_server_that_has_enough_is_asked_less() {
    let lab = many(1400);
    let options =
        Options { reject_above: Some(4), latency: Duration::from_millis(2), ..Options::default() };
    let server = scripted(&lab, options);
    with_engine(&lab, &endpoints(&[&server], ""));
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    let counts = server.counts();
    assert_eq!(counts.answered, 1400);
    assert!(counts.rejected < 700, "{counts:?}");
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_asked_again() {
    let lab = many(2100);
    let steady =
        scripted(&lab, Options { latency: Duration::from_millis(20), ..Options::default() });
    let latency = Duration::from_millis(20);
    let gone = scripted(&lab, Options { latency, ..Options::default() });
    let port = gone.port();
    with_engine(&lab, &endpoints(&[&steady, &gone], "max_concurrency = 8"));
    let child = lab.command(&["run", "loop", "respond.m0"]).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(300));
    drop(gone);
    sleep(Duration::from_millis(700));
    let back = scripted(&lab, Options { latency, port, ..Options::default() });
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(back.counts().answered > 0, "it is asked again");
    assert_eq!(lab.ask("SELECT count(*) FROM responses"), "2100");
}
