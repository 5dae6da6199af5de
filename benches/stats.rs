//! Length control with 1,000 bootstrap refits, and 5,000 small tournaments, beside scikit-learn and choix
//! on the same numbers.
//!
//! `MRX_BENCH_PYTHON=python3 cargo bench --bench stats`. Python needs scikit-learn and choix, and runs on
//! one thread; mrx uses all. `MRX_BENCH_SCALE` shrinks the number of tournaments, `MRX_BENCH_ROUNDS` is
//! how often all is measured, `MRX_BENCH_PYTHON=` measures mrx alone.

#![expect(clippy::cast_precision_loss, reason = "counts are small")]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/process.rs"]
mod process;
#[path = "support/python.rs"]
mod python;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use compare::{Outcome, asked, median, print, rounds, scaled, verdict};
use mrx::stats::{Bootstrap, Bouts, BradleyTerry, Clusters, LengthControl, fit_each};
use process::stdout_of;
use python::python;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times as fast as scikit-learn that each workload should be.
const TARGET: f64 = 20.0;

const PRIOR: f64 = 0.01;

struct Work {
    length_control: LengthControl,
    tournaments: Vec<Bouts>,
}

/// What a tool answered, and how long it took.
struct Answer {
    seconds: f64,
    number: f64,
}

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let work = Work::draw(folder.path())?;
    let compare = std::env::var_os("MRX_BENCH_PYTHON").is_none_or(|python| !python.is_empty());
    let theirs = if compare {
        let rounds = rounds().to_string();
        let mut command = python("stats.py");
        let out = stdout_of(command.arg(folder.path()).arg(rounds).env("OMP_NUM_THREADS", "1"))?;
        let lines = String::from_utf8(out)?;
        lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?
    } else {
        Vec::new()
    };
    let mut table = vec![row!["work", "tool", "seconds", "times as fast", "answer"]];
    let mut met = vec![row!["work", "mrx as fast as scikit-learn", "target", ""]];
    let mut version = "Python was not asked".to_owned();
    for (name, answer_of) in [
        ("length_control", Work::length_control as fn(&Work) -> Outcome<Answer>),
        ("tournaments", Work::tournaments),
    ] {
        let answers: Vec<Answer> =
            (0..rounds()).map(|_| answer_of(&work)).collect::<Outcome<_>>()?;
        let ours = median(answers.iter().map(|answer| answer.seconds));
        table.push(row![
            name,
            "mrx",
            format!("{ours:.4}"),
            "",
            format!("{:.6}", answers[0].number)
        ]);
        for line in theirs.iter().filter(|line| line["name"] == name) {
            let seconds = line["seconds"].as_array().into_iter().flatten();
            let seconds = median(seconds.filter_map(Value::as_f64));
            let (tool, answers) = (line["tool"].as_str().unwrap_or_default(), &line["answers"]);
            let number = answers["estimate"].as_f64().or(answers["mean_square"].as_f64());
            let number = number.unwrap_or(f64::NAN);
            line["version"].as_str().unwrap_or_default().clone_into(&mut version);
            let ratio = seconds / ours;
            table.push(row![
                "",
                tool,
                format!("{seconds:.4}"),
                format!("{ratio:.0}"),
                format!("{number:.6}")
            ]);
            if tool == "scikit-learn" {
                let limit = format!("at least {TARGET}");
                met.push(row![name, format!("{ratio:.0}"), limit, verdict(TARGET, ratio)]);
            }
        }
    }
    print(&version, &table)?;
    print("targets", &met)
}

impl Work {
    fn draw(folder: &Path) -> Outcome<Self> {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let rows = 805;
        let (mut preferences, mut differences) = (Vec::new(), Vec::new());
        let mut lengths = String::from("cluster,preference,length_difference\n");
        for row in 0..rows {
            let difference = f64::from(dice.random_range(-3000..2000));
            // As a judge's log-probabilities give them: mostly near a win or near a loss.
            let lean = -1.0 - difference / 2000.0 + 8.0 * (dice.random::<f64>() - 0.5);
            let preference = 1.0 / (1.0 + (-lean).exp());
            writeln!(lengths, "{row},{preference:.12},{difference}")?;
            preferences.push(format!("{preference:.12}").parse()?);
            differences.push(difference);
        }
        std::fs::write(folder.join("length.csv"), lengths)?;
        let length_control = LengthControl::new(preferences, differences, Clusters::rows(rows));

        let mut games = String::from("tournament,winner,loser,weight\n");
        let mut tournaments = Vec::new();
        for tournament in 0..scaled(5000) {
            let strengths: Vec<f64> = (0..11).map(|_| 3.0 * dice.random::<f64>()).collect();
            let mut bouts = Bouts::new(11);
            for first in 0..11 {
                for second in (0..11).filter(|second| *second != first) {
                    let lead: f64 = strengths[first] - strengths[second] + 0.4;
                    let first_wins = dice.random_bool(1.0 / (1.0 + (-lead).exp()));
                    let (winner, loser, weight) =
                        if first_wins { (first, second, 0.4) } else { (second, first, 0.6) };
                    bouts.add(winner, loser, weight);
                    writeln!(games, "{tournament},{winner},{loser},{weight}")?;
                }
            }
            tournaments.push(bouts);
        }
        std::fs::write(folder.join("tournaments.csv"), games)?;
        Ok(Self { length_control, tournaments })
    }

    /// One fit, 1,000 refits, and the percentile interval.
    fn length_control(&self) -> Outcome<Answer> {
        let began = Instant::now();
        let resampled = self.length_control.drawn(&Bootstrap::default())?;
        let interval = resampled.percentile(0.95).ok_or("no interval")?;
        let seconds = began.elapsed().as_secs_f64();
        assert!(interval.covers(resampled.value));
        Ok(Answer { seconds, number: 100.0 * resampled.value })
    }

    /// The strengths in every tournament.
    fn tournaments(&self) -> Outcome<Answer> {
        let began = Instant::now();
        let model = BradleyTerry { prior: PRIOR, order_effect: false };
        let fitted = fit_each(&self.tournaments, model, 2.0)?;
        let seconds = began.elapsed().as_secs_f64();
        let strengths = || fitted.iter().flat_map(|rated| &rated.strengths.of_player);
        let squares: f64 = strengths().map(|strength| strength * strength).sum();
        Ok(Answer { seconds, number: squares / strengths().count() as f64 })
    }
}
