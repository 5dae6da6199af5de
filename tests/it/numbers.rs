//! Statistics against figures that others published, where their data is at hand.

use std::collections::BTreeMap;

use mrx::records::{FinishReason, Status};
use mrx::stages::{BuiltIn, Form, Rule, RuleOptions, Which};
use mrx::stats::{Agreement, Bouts, BradleyTerry, Clusters, Ratings, WinnerShown};
use serde_json::Value;

use crate::data::{data, rows};

/// What a judge preferred, `1` or `2`, or nothing that could be read.
fn verdict(text: &str) -> usize {
    match text {
        "1" => 1,
        "2" => 2,
        _ => 0,
    }
}

#[test]
fn judges_of_llmbar_agree_with_people_and_with_themselves_as_published() {
    let Some(data) = data() else { return };
    let mut verdicts = BTreeMap::<(String, String), Vec<[usize; 3]>>::new();
    for row in rows(&data.join("agreement/llmbar_verdicts_slim.csv")) {
        let judged = ["gold_label", "winner_orig_order", "winner_swapped_order_mapped_back"];
        let key = (row["dataset"].clone(), row["evaluator"].clone());
        verdicts.entry(key).or_default().push(judged.map(|name| verdict(&row[name])));
    }
    let mut compared = 0;
    for published in rows(&data.join("agreement/llmbar_published_statistics.csv")) {
        let key = (published["dataset"].clone(), published["evaluator"].clone());
        let Some(rows) = verdicts.get(&key) else { continue };
        let number = |name: &str| published[name].parse::<f64>().unwrap();
        assert_eq!(rows.len().to_string(), published["n"], "{key:?}");
        let n = number("n");
        let close = |found: f64, expected: f64, what: &str| {
            assert!((found - expected).abs() < 1e-12, "{key:?}: {what} {found} for {expected}");
        };
        let compare = |read: &dyn Fn(&[usize; 3]) -> (usize, usize)| -> Agreement {
            let pairs: Vec<(usize, usize)> = rows.iter().map(read).collect();
            let clusters = Clusters::rows(pairs.len());
            Ratings::new(pairs, 3, clusters).unwrap().agreement()
        };
        let right = |order: usize| compare(&|row| (row[0], row[order])).share().unwrap();
        close(right(1) * n, number("correct_orig"), "right in the first order");
        close(right(2) * n, number("correct_swapped"), "right in the second order");
        let both = compare(&|row| (row[1], row[2]));
        close(both.share().unwrap() * n, number("equal"), "the same in both orders");
        // Upstream's κ takes what could not be read for a `2`; its count of equals does not.
        let read = |verdict: usize| if verdict == 1 { 1 } else { 2 };
        let kappa = compare(&|row| (read(row[1]), read(row[2])));
        // Raters that only ever say one thing have no κ; upstream prints what a division makes of it.
        if let Some(kappa) = kappa.kappa() {
            close(kappa, number("published_kappa_agreement"), "κ");
        }
        compared += 1;
    }
    assert_eq!(compared, 66);
}

#[test]
fn ratings_of_mt_bench_are_read_out_of_their_texts() {
    let Some(data) = data() else { return };
    let texts = data.join("mt_bench/mt_bench_judgment_texts_sample.jsonl");
    let texts = std::fs::read_to_string(texts).unwrap();
    let (mut read, mut unreadable) = (0, 0);
    let options = RuleOptions { which: Which::First, ..RuleOptions::default() };
    let first = Rule::new(Form::Rule(BuiltIn::Rating), options).unwrap();
    for line in texts.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let verdict = first.read(row["judgment"].as_str().unwrap(), FinishReason::Stop);
        match row["score"].as_f64().unwrap() {
            // Upstream's mark of a text without a rating, which is never a score here.
            -1.0 => {
                assert_eq!((verdict.value, verdict.status), (None, Status::Missing), "{line}");
                unreadable += 1;
            }
            score => {
                assert_eq!((verdict.value, verdict.status), (Some(score), Status::Ok), "{line}");
                read += 1;
            }
        }
    }
    assert_eq!((read, unreadable), (646, 4));
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() < tolerance, "{found} for {expected}");
}

#[test]
fn strengths_of_published_tournaments_are_found_again() {
    let Some(data) = data() else { return };
    let text = std::fs::read_to_string(data.join("bradley_terry/bt_reference_cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    for (name, expected) in
        [("choix_pairwise_1", "ml_est"), ("choix_pairwise_2", "exact"), ("choix_8random", "exact")]
    {
        let case = &cases[name];
        let mut bouts = Bouts::new(usize::try_from(case["n"].as_u64().unwrap()).unwrap());
        for bout in case["data"].as_array().unwrap() {
            let [winner, loser] =
                [0, 1].map(|at| usize::try_from(bout[at].as_u64().unwrap()).unwrap());
            bouts.add(winner, loser, 1.0);
        }
        // Upstream's penalty is α·Σθ², twice the half that a Gaussian of precision λ gives.
        let prior = 2.0 * case["alpha"].as_f64().unwrap_or(0.0);
        let fitted = bouts.fit(BradleyTerry { prior, order_effect: false }).unwrap();
        for (found, expected) in fitted.of_player.iter().zip(numbers(&case[expected])) {
            close(*found, expected, 1e-8);
        }
    }
    let case = &cases["citations"];
    let mut bouts = Bouts::new(4);
    for (cited, row) in case["rows_cited_cols_citing"].as_array().unwrap().iter().enumerate() {
        for (citing, count) in numbers(row).into_iter().enumerate() {
            bouts.add(cited, citing, count);
        }
    }
    let plain = BradleyTerry::default();
    let fitted = bouts.fit(plain).unwrap();
    let errors = bouts.standard_errors_from(0, &fitted, plain).unwrap();
    let (abilities, published) = (&case["log_abilities_ref_Biometrika"], &case["se"]);
    for (player, ability) in numbers(abilities).into_iter().enumerate() {
        close(fitted.of_player[player] - fitted.of_player[0], ability, 1e-8);
        close(errors[player], numbers(published)[player], 1e-6);
    }
}

#[test]
fn playing_at_home_helps_as_agresti_found() {
    let Some(data) = data() else { return };
    let text = std::fs::read_to_string(data.join("bradley_terry/bt_reference_cases.json")).unwrap();
    let expected = &serde_json::from_str::<Value>(&text).unwrap()["baseball"];
    let seasons = rows(&data.join("bradley_terry/baseball_1987_agresti.csv"));
    let teams = seasons.iter().map(|row| row["home.team"].replace(' ', ""));
    let teams: Vec<String> = teams.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    assert_eq!(teams.len(), 7);
    let mut bouts = Bouts::new(7);
    for row in &seasons {
        let team = |name: &str| teams.binary_search(&row[name].replace(' ', "")).unwrap();
        let (home, away) = (team("home.team"), team("away.team"));
        bouts.add_shown(home, away, row["home.wins"].parse().unwrap(), WinnerShown::First);
        bouts.add_shown(away, home, row["away.wins"].parse().unwrap(), WinnerShown::Second);
    }
    for (order_effect, model) in [(false, "exact_model1"), (true, "exact_model2")] {
        let fitted = bouts.fit(BradleyTerry { prior: 0.0, order_effect }).unwrap();
        for (team, name) in teams.iter().enumerate().filter(|(_, name)| *name != "Baltimore") {
            // Baltimore, first by name, is the one that the others are measured from.
            let ability = fitted.of_player[team] - fitted.of_player[0];
            close(ability, expected[model][name].as_f64().unwrap(), 1e-8);
        }
        let at_home = expected[model]["at_home"].as_f64().unwrap_or(0.0);
        close(fitted.order_effect, at_home, 1e-8);
    }
}
