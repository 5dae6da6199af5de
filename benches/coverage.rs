//! How often 95 % intervals cover a truth that is known, beside those of the bootstrap over prompts and
//! of the bootstrap over rows that the field's tools use.
//!
//! `cargo bench --bench coverage`; some minutes on two cores. `MRX_BENCH_SCALE` shrinks the number of
//! simulations: 4,000 a cell for the interval that `mrx` prints; 400 of 400 resamples for the others, and
//! 100 where there are 800 prompts.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot go on ends the bench")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

#[expect(dead_code, reason = "nothing is timed")]
#[path = "support/compare.rs"]
mod compare;
#[path = "../tests/it/simulated.rs"]
mod simulated;

use compare::{Outcome, asked, print, scaled};
use mrx::stats::{Bootstrap, Clusters, Interval, LengthControl, Method, Resampled};
use simulated::{KINDS, World, coverage};

const RATES: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];
const PROMPTS: [usize; 3] = [50, 200, 800];

/// One estimand: intervals of one simulated world by each method.
struct Estimand {
    title: &'static str,
    truth: fn(World) -> f64,
    ours: fn(World, u64) -> Option<Interval>,
    others: fn(World, u64) -> [Option<Interval>; 3],
}

/// The other methods, in the order of [`Estimand::others`].
const OTHERS: [&str; 3] = ["percentile", "BCa", "rows"];

fn bootstrap(seed: u64) -> Bootstrap {
    Bootstrap { resamples: scaled(400).max(100), seed, level: 0.95 }
}

fn rows(prompts: &Clusters) -> Clusters {
    Clusters::rows(prompts.of_row().len())
}

/// The gain of the second model: none where it would win more often than is simulated.
fn gain(world: World) -> f64 {
    if world.rate < 0.85 { 0.1 } else { 0.0 }
}

/// Both intervals of one bootstrap over prompts, and the percentiles of one over rows.
fn shares(over_prompts: &Resampled, over_rows: &Resampled) -> [Option<Interval>; 3] {
    let share =
        |resampled: &Resampled, method| Some(resampled.share_interval(method, 0.95, None).0);
    [
        share(over_prompts, Method::Percentile),
        share(over_prompts, Method::Bca),
        share(over_rows, Method::Percentile),
    ]
}

const ESTIMANDS: [Estimand; 3] = [
    Estimand {
        title: "win rate",
        truth: |world| world.rate,
        ours: |world, seed| Some(world.games(seed).interval(0.95)?.0),
        others: |world, seed| {
            let games = world.games(seed);
            let by_row = games.over(rows(games.clusters()));
            shares(&games.resampled(&bootstrap(seed)), &by_row.resampled(&bootstrap(seed)))
        },
    },
    Estimand {
        title: "length-controlled win rate",
        truth: |world| world.rate,
        ours: |world, seed| Some(world.length_control(seed).interval(0.95).ok()??.0),
        others: |world, seed| {
            let control = world.length_control(seed);
            let by_row = LengthControl { clusters: rows(&control.clusters), ..control.clone() };
            match (control.resampled(&bootstrap(seed)), by_row.drawn(&bootstrap(seed))) {
                (Ok(over_prompts), Ok(over_rows)) => shares(&over_prompts, &over_rows),
                _ => [None; 3],
            }
        },
    },
    Estimand {
        title: "paired difference",
        truth: gain,
        ours: |world, seed| Some(world.paired(gain(world), seed).interval(0.95).0),
        others: |world, seed| {
            let resampled = world.paired(gain(world), seed).resampled(&bootstrap(seed));
            [resampled.percentile(0.95), resampled.bca(0.95), None]
        },
    },
];

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    for estimand in &ESTIMANDS {
        let mut table = vec![row!["verdicts", "prompts", "mrx, worst", "mrx, best"]];
        table[0].extend(OTHERS.map(ToOwned::to_owned));
        let mut all = Vec::new();
        for kind in KINDS {
            for prompts in PROMPTS {
                let worlds = RATES.map(|rate| World { kind, prompts, rate });
                let ours = worlds.map(|world| {
                    let simulations = scaled(4000) as u64;
                    let [covered] = coverage(simulations, (estimand.truth)(world), |seed| {
                        [(estimand.ours)(world, seed)]
                    });
                    covered
                });
                let simulations = scaled(400 * 200 / prompts.max(200)) as u64;
                let others = worlds.map(|world| {
                    coverage(simulations, (estimand.truth)(world), |seed| {
                        (estimand.others)(world, seed)
                    })
                });
                all.extend(ours);
                let (worst, best) =
                    (ours.into_iter().fold(1.0, f64::min), ours.into_iter().fold(0.0, f64::max));
                let mut row = row![
                    format!("{kind:?}").to_lowercase(),
                    prompts,
                    percent(worst),
                    percent(best)
                ];
                for which in 0..OTHERS.len() {
                    let worst = others.iter().map(|covered| covered[which]).fold(1.0, f64::min);
                    row.push(if worst > 0.0 { percent(worst) } else { "–".to_owned() });
                }
                table.push(row);
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
            &table,
        )?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}
