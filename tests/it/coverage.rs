//! Intervals cover the truth about as often as they say: a small version of `benches/coverage.rs`.

use mrx::stats::{Bootstrap, Clusters, Games, Method};

use crate::simulated::{KINDS, Kind, World, coverage};

const SIMULATIONS: u64 = 1000;

/// Coverage of 95 % intervals in cells of few and of more prompts, over all kinds and rates.
fn cells(of: impl Fn(World) -> [f64; 1]) -> Vec<(World, f64)> {
    let mut cells = Vec::new();
    for kind in KINDS {
        for prompts in [50, 200] {
            for rate in [0.1, 0.5, 0.8] {
                let world = World { kind, prompts, rate };
                let [covered] = of(world);
                cells.push((world, covered));
            }
        }
    }
    cells
}

/// In 1,000 simulations a coverage of 93 % to 97 % comes out within two points of that nearly always;
/// the mean of all cells lies much closer to 95 %.
fn assert_about_95(cells: &[(World, f64)]) {
    for (world, covered) in cells {
        assert!((0.91..=0.99).contains(covered), "{world:?}: {covered}");
    }
    let mean = cells.iter().map(|(_, covered)| covered).sum::<f64>() / cells.len() as f64;
    assert!((0.94..=0.965).contains(&mean), "{mean}");
}

#[test]
fn win_rates_are_covered() {
    assert_about_95(&cells(|world| {
        coverage(SIMULATIONS, world.rate, |seed| {
            [world.games(seed).interval(0.95).map(|(interval, _)| interval)]
        })
    }));
}

#[test]
fn length_controlled_win_rates_are_covered() {
    assert_about_95(&cells(|world| {
        coverage(SIMULATIONS, world.rate, |seed| {
            [world.length_control(seed).interval(0.95).ok().flatten().map(|(interval, _)| interval)]
        })
    }));
}

#[test]
fn differences_are_covered() {
    assert_about_95(&cells(|world| {
        coverage(SIMULATIONS, 0.1, |seed| [Some(world.paired(0.1, seed).interval(0.95).0)])
    }));
}

#[test]
fn a_bootstrap_over_rows_covers_too_little() {
    let world = World { kind: Kind::Clustered, prompts: 100, rate: 0.4 };
    let bootstrap = Bootstrap { resamples: 200, ..Bootstrap::default() };
    let by = |clusters: fn(&Games) -> Clusters| {
        coverage(SIMULATIONS, world.rate, |seed| {
            let games = world.games(seed);
            let clusters = clusters(&games);
            [games.over(clusters).resampled(&bootstrap).percentile(0.95)]
        })
    };
    let [rows] = by(|games| Clusters::rows(games.clusters().of_row().len()));
    let [prompts] = by(|games| games.clusters().clone());
    assert!(rows < 0.85, "{rows}");
    assert!(prompts > 0.91, "{prompts}");
}

#[test]
fn what_does_not_vary_falls_back_to_wilson_and_says_so() {
    let won = Games::new(vec![Some(1.0); 40], Clusters::rows(40)).unwrap();
    let (interval, method) = won.interval(0.95).unwrap();
    assert_eq!(method, Method::WilsonForNoSpread);
    assert!(interval.low > 0.9 && interval.low < 0.92 && interval.high > 0.9999, "{interval:?}");
    let resampled = won.resampled(&Bootstrap::default());
    assert!(resampled.is_degenerate());
    assert_eq!(
        resampled.share_interval(Method::Bca, 0.95, None),
        (interval, Method::WilsonForNoSpread)
    );
    assert!(method.to_string().contains("nothing varies"));
}
