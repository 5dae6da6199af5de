//! Nothing to do: `mrx run` and `mrx plan` of a finished experiment, in a store that has seen
//! 10,000 runs of other experiments, of which 200 are recorded; also plans that have misses, and queries.
//!
//! `cargo bench --bench idle`. Needs no Python. `MRX_BENCH_SCALE` shrinks the ten thousand,
//! `MRX_BENCH_ROUNDS` times seven is how often each command is started.

#[path = "support/command.rs"]
mod command;
#[path = "support/compare.rs"]
mod compare;
#[path = "support/process.rs"]
mod process;

use std::path::Path;

use command::{milliseconds, mrx, timed};
use compare::{Outcome, asked, median, print, rounds, scaled, verdict};
use mrx::store::{Manifest, PlannedNode, RecordedPlan, Store};
use process::stdout_of;
use serde_json::json;

const MANIFESTS: usize = 10_000;
const EXPERIMENTS: usize = 200;
const STARTS: usize = 7;

/// Seconds that a command may take.
const LIMIT: f64 = 0.1;

const EXPERIMENT: &str = "experiments/scripted";
const MISS: &str = "judge.temperature=0.7";

const COMMANDS: [(&str, &[&str]); 9] = [
    ("run", &["run", EXPERIMENT]),
    ("plan", &["plan", EXPERIMENT]),
    ("plan, a miss", &["plan", EXPERIMENT, "--set", MISS]),
    // Without a recorded plan to compare with, the nearest of all runs is looked for.
    ("plan, a miss of a new name", &["plan", EXPERIMENT, "--set", MISS, "--set", "name=other"]),
    ("sql, select 1", &["sql", "select 1"]),
    ("sql, count of runs", &["sql", "select count(*) from runs"]),
    (
        "sql, nodes by stage",
        &["sql", "select stage, count(*) from nodes group by all order by all"],
    ),
    ("sql, pairs of one", &["sql", "select count(*) from pairs where experiment = 'scripted'"]),
    (
        "sql, scores of all",
        &["sql", "select model, avg(score) from judgements group by all order by all"],
    ),
];

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("store");
    stdout_of(mrx(&root).args(["run", EXPERIMENT]))?;
    let store = Store::open(&root)?;
    let mut table = vec![row!["command", "few runs", "many runs", "slowest", "target", ""]];
    let few = COMMANDS.iter().map(|(_, words)| times(&root, words)).collect::<Outcome<Vec<_>>>()?;
    let made = store.run_keys()?.len();
    multiply(&store, scaled(MANIFESTS))?;
    record(&store, EXPERIMENTS)?;
    for ((name, words), few) in COMMANDS.iter().zip(few) {
        let many = times(&root, words)?;
        let slowest = many.iter().copied().fold(0.0, f64::max);
        let (few, many) = (median(few), median(many));
        // A finished experiment is what the limit is about; the rest stands beside it.
        let has_limit = matches!(*name, "run" | "plan" | "sql, select 1");
        let limit = format!("at most {}", milliseconds(LIMIT));
        table.push(row![
            name,
            milliseconds(few),
            milliseconds(many),
            milliseconds(slowest),
            if has_limit { limit } else { String::new() },
            if has_limit { verdict(many, LIMIT) } else { String::new() },
        ]);
    }
    let all = store.run_keys()?.len();
    print(&format!("medians in a store of {made} and of {all} runs"), &table)
}

/// Adds copies of what is there under other keys until there are `wanted` manifests.
fn multiply(store: &Store, wanted: usize) -> Outcome {
    let models = store.manifests()?;
    for copy in models.len()..wanted {
        let mut manifest: Manifest = models[copy % models.len()].clone();
        manifest.key.config["seed"] = json!(copy);
        manifest.run = manifest.key.digest();
        "another".clone_into(&mut manifest.experiment);
        store.write_manifest(&manifest)?;
    }
    Ok(())
}

/// Records plans of the size of the finished one, over the copies.
fn record(store: &Store, wanted: usize) -> Outcome {
    let plan = store.plan("scripted")?.ok_or("the experiment has a plan")?;
    let copies: Vec<Manifest> = store
        .manifests()?
        .into_iter()
        .filter(|manifest| manifest.experiment == "another")
        .collect();
    let per_plan = plan.nodes.len().min(copies.len() / wanted.max(1)).max(1);
    for (number, copies) in copies.chunks(per_plan).take(wanted).enumerate() {
        let node = |copy: &Manifest| PlannedNode {
            node: copy.node.clone(),
            model: copy.node.split('.').nth(1).unwrap_or_default().to_owned(),
            run: Some(copy.run),
            finished: true,
        };
        let (experiment, nodes) = (format!("other-{number}"), copies.iter().map(node).collect());
        store.record_plan(&RecordedPlan { experiment, nodes, ..plan.clone() })?;
    }
    Ok(())
}

fn times(store: &Path, words: &[&str]) -> Outcome<Vec<f64>> {
    (0..STARTS * rounds()).map(|_| Ok(timed(store, words)?.0)).collect()
}
