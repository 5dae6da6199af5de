//! What tokens cost, and a budget that is never passed.

use super::{endpoints, scripted, with_engine};
use crate::lab::Lab;
use crate::server::Options;

const PRICES: &str = "prices = { prompt = 1000.0, completion = 10000.0 }";

fn money(lab: &Lab) -> f64 {
    let store = lab.store();
    let manifests = store.manifests().unwrap();
    manifests.iter().filter_map(|manifest| manifest.cost.spent.money).sum()
}

#[test]
fn tokens_and_their_cost_stand_in_the_manifest() {
    let lab = Lab::with_loop();
    let server = scripted(&lab, Options::default());
    with_engine(&lab, &endpoints(&[&server], PRICES));
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    let sums = lab.ask("SELECT sum(prompt_tokens), sum(completion_tokens) FROM responses");
    let store = lab.store();
    let made = store.manifests().unwrap().into_iter().find(|m| m.node == "respond.m0").unwrap();
    let spent = made.cost.spent;
    assert_eq!(sums, format!("{},{}", spent.prompt_tokens, spent.completion_tokens));
    let expected =
        (spent.prompt_tokens as f64 * 1000.0 + spent.completion_tokens as f64 * 10000.0) / 1e6;
    assert!((spent.money.unwrap() - expected).abs() < 1e-9, "{spent:?}");
    lab.mrx(&["show", "respond.m0"]).success().prints("cost");
}

#[test]
fn a_budget_is_not_passed_and_a_higher_one_goes_on() {
    let lab = Lab::with_loop();
    let server = scripted(&lab, Options::default());
    with_engine(&lab, &endpoints(&[&server], &format!("{PRICES}\nmax_cost = 4.5")));
    let run = ["run", "loop", "respond.m0", "judge.m0"];
    lab.mrx(&run).fails_with(3).says("the budget is spent").says("with a higher `max_cost`");
    lab.mrx(&run).fails_with(3).says("the budget is spent");
    assert!(money(&lab) <= 4.5, "{}", money(&lab));
    let landed = server.counts().answered;
    let higher = ["run", "loop", "respond.m0", "judge.m0", "--set", "engine.max_cost=100000"];
    lab.mrx(&higher).success();
    assert!(server.counts().answered > landed);
    let rows: u64 = lab
        .ask("SELECT (SELECT count(*) FROM responses) + (SELECT count(*) FROM judgements)")
        .parse()
        .unwrap();
    assert_eq!(server.counts().answered, rows, "nothing was paid for twice");
}
