//! Every fault as a client sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::scope;
use std::time::{Duration, Instant};

use serde_json::json;

use super::raw::{Raw, post};
use super::{Fault, Faults, Options, Server};

const PATH: &str = "/v1/completions";

fn server(share: f64, kinds: Vec<Fault>) -> Server {
    let faults = Faults { share, seed: 1, kinds };
    Server::start(Options { faults, keeps_requests: true, ..Options::instant("yes indeed") })
}

fn ask(server: &Server, id: &str) -> Raw {
    let body = json!({ "model": "tested", "prompt": [1, 2, 3], "return_token_ids": true });
    post(server, PATH, &[&format!("x-request-id: {id}")], &body)
}

/// Twelve requests that all go wrong in one way.
fn all_wrong(fault: Fault, check: impl Fn(&Raw) -> bool) {
    let server = server(1.0, vec![fault]);
    for nth in 0..12 {
        let raw = ask(&server, &nth.to_string());
        assert!(check(&raw), "{fault:?} {nth}: {raw:?}");
    }
    assert_eq!(server.counts().faults, BTreeMap::from([(fault, 12)]));
    assert_eq!(server.counts().received, 12);
}

#[test]
fn a_server_turns_away_what_it_cannot_take() {
    all_wrong(Fault::TooMany, |raw| raw.status == 429 && raw.header("retry-after").is_none());
    let waits = |raw: &Raw| raw.status == 429 && raw.header("retry-after") == Some("1");
    all_wrong(Fault::TooManyWithRetryAfter(1), waits);
    all_wrong(Fault::Internal, |raw| raw.status == 500);
    all_wrong(Fault::Unavailable, |raw| raw.status == 503);
}

#[test]
fn a_body_breaks_off_or_is_none_at_all() {
    all_wrong(Fault::Reset, |raw| raw.ended && !raw.is_whole());
    let half = |raw: &Raw| raw.ended && !raw.body.is_empty() && !raw.is_whole();
    all_wrong(Fault::HalfABody, half);
    all_wrong(Fault::Garbage, |raw| raw.status == 200 && raw.is_whole() && raw.json().is_null());
}

#[test]
fn a_server_that_hangs_lets_go_when_the_client_does() {
    let server = server(1.0, vec![Fault::Hang]);
    let raw = ask(&server, "a");
    assert!(raw.status == 0 && !raw.ended, "{raw:?}");
    assert_eq!(server.counts().answered, 0);
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < Duration::from_secs(2), "nothing is waited for");
}

#[test]
fn a_slow_body_is_whole_in_the_end() {
    let drip = Fault::SlowDrip(Duration::from_millis(100));
    let began = Instant::now();
    all_wrong(drip, |raw| raw.is_whole() && raw.json()["choices"][0]["text"] == "yes indeed");
    assert!(began.elapsed() > Duration::from_secs(1));
}

#[test]
fn one_count_of_a_wrong_usage_is_off() {
    let right = json!({ "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 });
    all_wrong(Fault::WrongUsage, |raw| raw.json()["usage"] != right && raw.status == 200);
}

#[test]
fn a_duplicate_is_an_earlier_answer_with_its_id() {
    let server = server(0.5, vec![Fault::Duplicate]);
    let mut seen = BTreeSet::new();
    let mut repeated = 0;
    for nth in 0..40 {
        let raw = ask(&server, &nth.to_string());
        let found = raw.json()["id"].as_str().unwrap().to_owned();
        if found != format!("cmpl-{nth}") {
            assert!(raw.is_whole() && seen.contains(&found), "{found}");
            repeated += 1;
        }
        seen.insert(format!("cmpl-{nth}"));
    }
    assert_eq!(server.counts().faults, BTreeMap::from([(Fault::Duplicate, repeated)]));
    assert!((10..30).contains(&repeated), "{repeated}");
}

#[test]
fn two_at_the_same_time_change_places() {
    let server = server(1.0, vec![Fault::AnothersAnswer]);
    let ids = scope(|scope| {
        let ask = |id| ask(&server, id).json()["id"].as_str().unwrap().to_owned();
        let one = scope.spawn(move || ask("one"));
        (ask("other"), one.join().unwrap())
    });
    assert_eq!(ids, ("cmpl-one".to_owned(), "cmpl-other".to_owned()));
    assert_eq!(server.counts().faults, BTreeMap::from([(Fault::AnothersAnswer, 2)]));
    let late = ask(&server, "late").json()["id"].clone();
    assert!(late == "cmpl-one" || late == "cmpl-other", "nobody came: {late}");
}

#[test]
fn the_seed_decides_which_requests_go_wrong() {
    let faults = |seed| {
        let kinds = vec![Fault::TooMany, Fault::Internal, Fault::Unavailable];
        let faults = Faults { share: 0.2, seed, kinds };
        let server = Server::start(Options { faults, ..Options::default() });
        let asked: Vec<u16> =
            (0..200).map(|nth: u32| ask(&server, &nth.to_string()).status).collect();
        let counts = server.counts();
        assert_eq!(counts.answered + counts.faults.values().sum::<u64>(), 200);
        asked
    };
    let asked = faults(7);
    let wrong = asked.iter().filter(|status| **status != 200).count();
    assert!((20..60).contains(&wrong), "{wrong}");
    assert_eq!(asked, faults(7));
    assert_ne!(asked, faults(8));
}

#[test]
fn all_faults_together_lose_no_count() {
    let all = Faults::all(0.0, 0).kinds.into_iter().filter(|kind| *kind != Fault::Hang).collect();
    let server = server(0.5, all);
    scope(|scope| {
        for from in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for nth in 0..25 {
                    ask(server, &format!("{from}-{nth}"));
                }
            });
        }
    });
    let counts = server.counts();
    let slow = counts.faults.iter().filter(|(kind, _)| matches!(kind, Fault::SlowDrip(_)));
    let slow: u64 = slow.map(|(_, count)| count).sum();
    assert_eq!(counts.received, 200);
    assert_eq!(counts.answered + counts.faults.values().sum::<u64>() - slow, 200);
    assert!(counts.faults.len() > 8 && counts.most_under_way > 1, "{counts:?}");
    let kept = server.received();
    assert_eq!((kept.len(), kept[0].path), (200, PATH));
    assert!(
        kept[0].headers["x-request-id"].contains('-') && kept[0].body["prompt"] == json!([1, 2, 3])
    );
}
