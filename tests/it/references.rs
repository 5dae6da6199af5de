//! Statistics against scipy, statsmodels, scikit-learn and choix: `tests/data/statistics.json`, which
//! `make_statistics.py` beside it makes.

use std::path::Path;

use mrx::stats::{
    Agreement, Bootstrap, Bouts, BradleyTerry, Clusters, Draw, Games, Ranks, Ratings, Signs, Split,
    WinnerShown, holm, minimum_detectable, wilson,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lab::PROJECT;

/// The cases of one section.
fn cases<T: DeserializeOwned>(section: &str) -> T {
    let path = Path::new(PROJECT).join("tests/data/statistics.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    serde_json::from_value(all[section].clone()).unwrap()
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let scale = expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance * scale, "{what}: {found} for {expected}");
}

/// One label per row of nested lists.
fn labels<T>(clusters: &[Vec<T>]) -> Clusters {
    let rows = clusters.iter().enumerate();
    Clusters::of(rows.flat_map(|(cluster, rows)| std::iter::repeat_n(cluster, rows.len())))
}

#[test]
fn wilson_intervals_are_those_of_statsmodels() {
    #[derive(Deserialize)]
    struct Case {
        wins: f64,
        n: f64,
        level: f64,
        low: f64,
        high: f64,
    }
    for case in cases::<Vec<Case>>("wilson") {
        let found = wilson(case.wins / case.n, case.n, case.level);
        close(found.low, case.low, 1e-12, "low");
        close(found.high, case.high, 1e-12, "high");
    }
}

#[test]
fn standard_errors_are_over_clusters() {
    #[derive(Deserialize)]
    struct Mean {
        clusters: Vec<Vec<f64>>,
        mean: f64,
        standard_error: f64,
    }
    for case in cases::<Vec<Mean>>("cluster_mean") {
        let preferences = case.clusters.iter().flatten().map(|p| Some(*p)).collect();
        let games = Games::new(preferences, labels(&case.clusters)).unwrap();
        close(games.tally().rate().unwrap(), case.mean, 1e-12, "mean");
        close(games.standard_error().unwrap(), case.standard_error, 1e-12, "standard error");
    }
}

#[test]
fn kappas_are_those_of_statsmodels() {
    #[derive(Deserialize)]
    struct Case {
        table: Vec<Vec<f64>>,
        kappa: f64,
        se_kappa: f64,
        linear_kappa: f64,
        quadratic_kappa: f64,
    }
    for case in cases::<Vec<Case>>("kappa") {
        let agreement = Agreement::of(case.table.clone());
        close(agreement.kappa().unwrap(), case.kappa, 1e-12, "κ");
        let linear = |a: usize, b: usize| a.abs_diff(b) as f64;
        close(agreement.weighted_kappa(linear).unwrap(), case.linear_kappa, 1e-12, "linear κ");
        let quadratic = |a, b| linear(a, b).powi(2);
        close(agreement.weighted_kappa(quadratic).unwrap(), case.quadratic_kappa, 1e-12, "κ²");
        // Rows that are independent: the bootstrap's standard error is about the delta method's.
        let cells = case.table.iter().enumerate().flat_map(|(a, row)| {
            let count = |n: &f64| (0..1000).filter(|i| f64::from(*i) < *n).count();
            row.iter().enumerate().flat_map(move |(b, n)| std::iter::repeat_n((a, b), count(n)))
        });
        let pairs: Vec<(usize, usize)> = cells.collect();
        let clusters = Clusters::rows(pairs.len());
        let ratings = Ratings::new(pairs, case.table.len(), clusters).unwrap();
        let resampled = Bootstrap::default().draw(ratings.clusters(), |counts| {
            vec![ratings.agreement_of(counts).kappa().unwrap_or(f64::NAN)]
        });
        let ratio = resampled[0].standard_error() / case.se_kappa;
        assert!((0.85..1.15).contains(&ratio), "{ratio}");
    }
}

#[test]
fn rank_correlations_allow_for_ties_as_scipy_does() {
    #[derive(Deserialize)]
    struct Case {
        x: Vec<f64>,
        y: Vec<f64>,
        spearman: f64,
        kendall_tau_b: f64,
    }
    for case in cases::<Vec<Case>>("ranks") {
        let clusters = Clusters::rows(case.x.len());
        let once = clusters.once();
        let ranks = Ranks::new(&case.x, &case.y, clusters).unwrap();
        close(ranks.spearman(&once).unwrap(), case.spearman, 1e-12, "ρ");
        close(ranks.kendall(&once).unwrap(), case.kendall_tau_b, 1e-12, "τ-b");
        // A row that counts twice is a row that is there twice.
        let mut twice = once;
        twice[0] = 2.0;
        let (mut x, mut y) = (case.x.clone(), case.y.clone());
        x.push(case.x[0]);
        y.push(case.y[0]);
        let clusters = Clusters::rows(x.len());
        let longer = Ranks::new(&x, &y, clusters.clone()).unwrap();
        let once = clusters.once();
        close(ranks.spearman(&twice).unwrap(), longer.spearman(&once).unwrap(), 1e-12, "ρ");
        close(ranks.kendall(&twice).unwrap(), longer.kendall(&once).unwrap(), 1e-12, "τ-b");
    }
}

#[test]
fn tests_of_signs_and_their_corrections_are_the_published_ones() {
    #[derive(Deserialize)]
    struct Counted {
        better: usize,
        worse: usize,
        p: f64,
    }
    #[derive(Deserialize)]
    struct Corrected {
        p: Vec<f64>,
        adjusted: Vec<f64>,
    }
    #[derive(Deserialize)]
    struct Detected {
        standard_error: f64,
        level: f64,
        power: f64,
        effect: f64,
    }
    for Counted { better, worse, p } in cases::<Vec<Counted>>("mcnemar") {
        let found = Signs { better, worse, equal: 3 }.p_value();
        assert!((found - p).abs() <= 1e-9 * p, "{better} and {worse}: {found} for {p}");
    }
    for case in cases::<Vec<Corrected>>("holm") {
        for (found, expected) in holm(&case.p).into_iter().zip(case.adjusted) {
            close(found, expected, 1e-12, "Holm");
        }
    }
    for case in cases::<Vec<Detected>>("minimum_detectable") {
        let found = minimum_detectable(case.standard_error, case.level, case.power);
        close(found, case.effect, 1e-9, "minimum detectable effect");
    }
}

#[test]
fn strengths_are_those_of_independent_solvers() {
    #[derive(Deserialize)]
    struct Case {
        players: usize,
        games: Vec<(usize, usize, f64)>,
        prior: f64,
        penalised: Vec<f64>,
        strengths: Option<Vec<f64>>,
        standard_errors: Option<Vec<f64>>,
    }
    let all_close = |found: &[f64], expected: &[f64], what: &str| {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(f, e)| close(*f, *e, 1e-8, what));
    };
    for case in cases::<Vec<Case>>("bradley_terry") {
        let mut bouts = Bouts::new(case.players);
        for (winner, loser, weight) in &case.games {
            bouts.add(*winner, *loser, *weight);
        }
        let ridge = BradleyTerry { prior: case.prior, order_effect: false };
        all_close(&bouts.fit(ridge).unwrap().of_player, &case.penalised, "with a prior");
        let plain = BradleyTerry::default();
        match (case.strengths, bouts.fit(plain)) {
            (Some(strengths), Ok(fitted)) => {
                all_close(&fitted.of_player, &strengths, "without a prior");
                let errors = bouts.standard_errors(&fitted, plain, 1.0).unwrap();
                all_close(&errors, &case.standard_errors.unwrap(), "standard errors");
            }
            (None, Err(error)) => assert!(error.to_string().contains("never lost"), "{error}"),
            (strengths, found) => panic!("{strengths:?} and {found:?}"),
        }
    }
}

#[test]
fn being_shown_first_is_an_effect_of_its_own() {
    #[derive(Deserialize)]
    struct Case {
        players: usize,
        games: Vec<(usize, usize, f64, f64)>,
        strengths: Vec<f64>,
        order_effect: f64,
        standard_errors: Vec<f64>,
    }
    for case in cases::<Vec<Case>>("bradley_terry_order") {
        let mut bouts = Bouts::new(case.players);
        for (first, second, outcome, weight) in &case.games {
            bouts.add_shown(*first, *second, weight * outcome, WinnerShown::First);
            bouts.add_shown(*second, *first, weight * (1.0 - outcome), WinnerShown::Second);
        }
        let model = BradleyTerry { prior: 0.0, order_effect: true };
        let fitted = bouts.fit(model).unwrap();
        close(fitted.order_effect, case.order_effect, 1e-8, "order effect");
        let errors = bouts.standard_errors(&fitted, model, 1.0).unwrap();
        for (player, error) in errors.into_iter().enumerate() {
            close(fitted.of_player[player], case.strengths[player], 1e-8, "strength");
            close(error, case.standard_errors[player], 1e-8, "standard error");
        }
    }
}

#[test]
fn variance_components_are_those_of_the_balanced_design() {
    #[derive(Deserialize)]
    struct Components {
        components: Value,
    }
    #[derive(Deserialize)]
    struct Case {
        y: Vec<Vec<Vec<Vec<f64>>>>,
        mean: f64,
        order_fixed: Components,
    }
    let case: Case = cases("components");
    let mut draws = Vec::new();
    for (prompt, samples) in case.y.iter().enumerate() {
        for (sample, orders) in samples.iter().enumerate() {
            for (order, values) in orders.iter().enumerate() {
                draws.extend(values.iter().map(|value| Draw {
                    prompt: format!("p{prompt}"),
                    sample: format!("s{sample}"),
                    order: format!("o{order}"),
                    value: *value,
                }));
            }
        }
    }
    let split = Split::of(&draws).unwrap();
    close(split.mean, case.mean, 1e-12, "mean");
    assert_eq!(split.units, [12, 36, 72, 144]);
    for (part, name) in split.parts.iter().zip(["prompt", "sample", "order", "residual"]) {
        let expected = case.order_fixed.components[name].as_f64().unwrap().max(0.0);
        close(part.unwrap().variance, expected, 1e-12, name);
    }
}
