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

/// The paper's experiment, beside folders that stand for what it names.
fn paper(lab: &Lab) {
    let experiments = std::path::Path::new(crate::lab::PROJECT).join("experiments");
    crate::lab::copy_folder(&experiments, &lab.path.join("e"));
    for model in ["Meta-Llama-3-8B-Instruct", "judge"] {
        let folder = lab.path.join("e/models").join(model);
        crate::lab::copy_folder(&experiments.join("scripted/model"), &folder);
    }
    for data in ["examples", "prompts", "alpaca_eval"] {
        lab.write(&format!("e/llama3_8b/{data}.jsonl"), "{}");
    }
}

#[test]
fn the_plan_says_what_the_paper_costs_at_most_and_how_long_it_takes_at_the_rate_that_was_measured()
{
    let lab = Lab::with_loop();
    paper(&lab);
    let plan = || {
        let engine = [
            "engine.preset=vllm",
            "engine.version=v1",
            "engine.replicas=4",
            "engine.prices={ prompt = 0.1, completion = 0.4 }",
        ];
        let set = engine.iter().flat_map(|set| ["--set", set]);
        let all: Vec<&str> =
            ["plan", "e/meta_rewarding_llama3_8b.toml"].into_iter().chain(set).collect();
        lab.mrx(&all).success()
    };
    // Four iterations of 35,000 answers, 385,000 judgements, and 550,000 comparisons in two of them.
    let told = plan().says("no time is told").prints("2,780,000").prints("2,990,080,000");
    let (read, drawn) = (9_050_560_000.0_f64, 2_990_080_000.0);
    told.prints(&format!("{:.2}", (read * 0.1 + drawn * 0.4) / 1e6));
    let server = scripted(&lab, Options { version: Some("1".to_owned()), ..Options::default() });
    with_engine(&lab, &endpoints(&[&server], "preset = \"vllm\"\ntoken_ids = false"));
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    plan().says("tokens/s, as in respond.m0 of scripted");
}
