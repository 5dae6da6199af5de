//! How often 95 % intervals cover a truth that is known, beside those of the bootstrap over prompts and
//! of the bootstrap over rows that the field's tools use.
//!
//! `cargo bench --bench coverage`; about ten minutes on two cores. `MRX_BENCH_SCALE` shrinks the number
//! of simulations: 4,000 a cell for the interval that `mrx` prints, 400 of 400 resamples for the others.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot go on ends the bench")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

#[expect(dead_code, reason = "nothing is timed")]
#[path = "support/compare.rs"]
mod compare;
#[path = "../tests/it/simulated.rs"]
mod simulated;

use compare::{Outcome, asked, print, scaled};
use mrx::stats::{Bootstrap, Clusters, Interval, Method};
use simulated::{KINDS, World, coverage};

const RATES: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];
const PROMPTS: [usize; 3] = [50, 200, 800];

/// One estimand: intervals of one simulated world by each method.
struct Estimand {
    title: &'static str,
    truth: fn(World) -> f64,
    ours: fn(World, u64) -> Option<Interval>,
    others: fn(World, u64, Over, Method) -> Option<Interval>,
}

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Prompts,
    Rows,
}

fn bootstrap(seed: u64) -> Bootstrap {
    Bootstrap { resamples: scaled(400).max(100), seed, level: 0.95 }
}

fn clusters(over: Over, prompts: &Clusters) -> Clusters {
    match over {
        Over::Prompts => prompts.clone(),
        Over::Rows => Clusters::rows(prompts.of_row().len()),
    }
}

/// The gain of the second model: none where it would win more often than is simulated.
fn gain(world: World) -> f64 {
    if world.rate < 0.85 { 0.1 } else { 0.0 }
}

const ESTIMANDS: [Estimand; 3] = [
    Estimand {
        title: "win rate",
        truth: |world| world.rate,
        ours: |world, seed| Some(world.games(seed).interval(0.95)?.0),
        others: |world, seed, over, method| {
            let games = world.games(seed);
            let games = games.over(clusters(over, games.clusters()));
            Some(games.resampled(&bootstrap(seed)).share_interval(method, 0.95).0)
        },
    },
    Estimand {
        title: "length-controlled win rate",
        truth: |world| world.rate,
        ours: |world, seed| Some(world.length_control(seed).interval(0.95).ok()?.0),
        others: |world, seed, over, method| {
            let mut control = world.length_control(seed);
            control.clusters = clusters(over, &control.clusters);
            let resampled = control.resampled(&bootstrap(seed)).ok()?;
            Some(resampled.share_interval(method, 0.95).0)
        },
    },
    Estimand {
        title: "paired difference",
        truth: gain,
        ours: |world, seed| Some(world.paired(gain(world), seed).interval(0.95).0),
        others: |world, seed, over, method| {
            let paired = world.paired(gain(world), seed);
            let resampled = match over {
                Over::Prompts => paired.resampled(&bootstrap(seed)),
                Over::Rows => return None,
            };
            match method {
                Method::Percentile => resampled.percentile(0.95),
                _ => resampled.bca(0.95),
            }
        },
    },
];

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    for estimand in &ESTIMANDS {
        let mut rows = vec![row![
            "verdicts",
            "prompts",
            "mrx, worst",
            "mrx, best",
            "percentile",
            "BCa",
            "rows"
        ]];
        let mut all = Vec::new();
        for kind in KINDS {
            for prompts in PROMPTS {
                let worlds = RATES.map(|rate| World { kind, prompts, rate });
                let ours = worlds.map(|world| {
                    let simulations = scaled(4000) as u64;
                    coverage(simulations, (estimand.truth)(world), |seed| {
                        (estimand.ours)(world, seed)
                    })
                });
                let worst = |over, method| -> String {
                    let cells = worlds.map(|world| {
                        let simulations = scaled(400) as u64;
                        coverage(simulations, (estimand.truth)(world), |seed| {
                            (estimand.others)(world, seed, over, method)
                        })
                    });
                    let worst = cells.into_iter().fold(1.0, f64::min);
                    if worst > 0.0 { percent(worst) } else { "–".to_owned() }
                };
                all.extend(ours);
                rows.push(row![
                    format!("{kind:?}").to_lowercase(),
                    prompts,
                    percent(ours.into_iter().fold(1.0, f64::min)),
                    percent(ours.into_iter().fold(0.0, f64::max)),
                    worst(Over::Prompts, Method::Percentile),
                    worst(Over::Prompts, Method::Bca),
                    worst(Over::Rows, Method::Percentile),
                ]);
            }
        }
        // In whole per cent: 4,000 simulations tell no finer.
        let inside = all.iter().filter(|covered| (0.925..0.975).contains(*covered)).count();
        print(
            &format!(
                "{}: coverage of 95 % intervals over true rates of 0.1 to 0.9; {inside} of {} cells of \
                 mrx within 93 to 97 %; the worst cell of the others",
                estimand.title,
                all.len()
            ),
            &rows,
        )?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}
