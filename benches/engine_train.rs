//! Full and adapter training steps on a real model, beside PyTorch, TRL and PEFT on the same weights and ids:
//! seconds a step and the most memory that a process took, a process a figure.
//!
//! `MRX_BENCH_MODEL=FOLDER MRX_BENCH_PYTHON=python3 cargo bench --bench engine_train`. The folder holds a
//! model as Hugging Face publishes it (made for SmolLM2-135M-Instruct); Python needs torch, transformers,
//! trl and peft. `MRX_BENCH_ROWS` names some of the rows, `MRX_BENCH_ROUNDS` is how often all is measured,
//! `MRX_BENCH_PYTHON=` measures mrx alone;
//! `MRX_BENCH_CHECKPOINTING=1` has it run layers again on the way back.

#![expect(unsafe_code, reason = "what is settled for the process wants it to be alone")]
#![expect(clippy::cast_precision_loss, reason = "counts of tokens and bytes are small")]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/process.rs"]
mod process;
#[path = "support/python.rs"]
mod python;
#[path = "../src/settle.rs"]
mod settle;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device};
use compare::{Outcome, asked, median, print, rounds, scaled, verdict};
use mrx::model::adapter::Adapter;
use mrx::model::{Batch, Config, Keep, Network, listed, weights};
use mrx::train::{Dpo, Example, Objective, Preference, Schedule, Settings, Sft, Start, Trainer};
use process::stdout_of;
use python::python;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEPS: usize = 4;
const LEARNING_RATE: f64 = 1e-5;

/// Times as fast as PyTorch that each row should be.
const TARGET: f64 = 1.3;

/// A row of the table: its name, what is learned, examples a step, lengths of prompts and of answers.
struct Row {
    name: &'static str,
    kind: Kind,
    batch: usize,
    prompt: (u32, u32),
    answer: (u32, u32),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sft,
    Dpo,
    LoraDpo,
}

const ROWS: [Row; 6] = [
    Row { name: "sft-1000", kind: Kind::Sft, batch: 8, prompt: (30, 60), answer: (60, 100) },
    Row { name: "sft-4000", kind: Kind::Sft, batch: 8, prompt: (100, 200), answer: (250, 450) },
    Row { name: "dpo-1000", kind: Kind::Dpo, batch: 4, prompt: (30, 60), answer: (60, 110) },
    Row { name: "dpo-4000", kind: Kind::Dpo, batch: 4, prompt: (100, 200), answer: (250, 450) },
    Row {
        name: "lora-dpo-1000",
        kind: Kind::LoraDpo,
        batch: 4,
        prompt: (30, 60),
        answer: (60, 110),
    },
    Row {
        name: "lora-dpo-4000",
        kind: Kind::LoraDpo,
        batch: 4,
        prompt: (100, 200),
        answer: (250, 450),
    },
];

/// What a process measured.
#[derive(Serialize, Deserialize)]
struct Measured {
    seconds: Vec<f64>,
    losses: Vec<f64>,
    peak: f64,
    #[serde(default)]
    tokens: usize,
    #[serde(default)]
    version: String,
}

impl Measured {
    /// A median step, but for the first, in which memory is taken.
    fn step(&self) -> f64 {
        median(self.seconds.iter().skip(1).copied())
    }
}

fn main() -> Outcome {
    // As `mrx` does.
    // SAFETY: there is no other thread yet.
    unsafe { settle::settle() };
    let Some(model) = std::env::var_os("MRX_BENCH_MODEL").map(PathBuf::from) else {
        return Ok(());
    };
    if let Some(work) = std::env::var_os("MRX_BENCH_WORK") {
        return one_row(&model, Path::new(&work));
    }
    if !asked() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let work = folder.path().join("work.json");
    std::fs::write(&work, serde_json::to_vec(&draw(&model)?)?)?;
    let compare = std::env::var_os("MRX_BENCH_PYTHON").is_none_or(|python| !python.is_empty());
    let mut table = vec![row![
        "work",
        "round",
        "tokens",
        "mrx",
        "PyTorch",
        "times as fast",
        "mrx",
        "PyTorch",
        "loss apart"
    ]];
    let mut met = vec![row!["work", "times as fast", "target", "", "memory", ""]];
    let mut version = String::from("not asked");
    for row in wanted() {
        let (mut ratios, mut shares) = (Vec::new(), Vec::new());
        for round in 1..=rounds() {
            let ours = ours(&work, row.name)?;
            let theirs = if compare { Some(theirs(&model, &work, row.name)?) } else { None };
            let step = theirs.as_ref().map_or(f64::NAN, Measured::step);
            let peak = theirs.as_ref().map_or(f64::NAN, |theirs| theirs.peak);
            if let Some(theirs) = &theirs {
                version.clone_from(&theirs.version);
            }
            let apart = theirs.map_or(f64::NAN, |theirs| apart(&ours.losses, &theirs.losses));
            ratios.push(step / ours.step());
            shares.push(ours.peak / peak);
            table.push(row![
                row.name,
                round,
                ours.tokens,
                format!("{:.2} s", ours.step()),
                format!("{step:.2} s"),
                format!("{:.2}", step / ours.step()),
                format!("{:.2} GB", ours.peak / 1e9),
                format!("{:.2} GB", peak / 1e9),
                format!("{apart:.1e}"),
            ]);
        }
        let (ratio, share) = (median(ratios), median(shares));
        let limit = format!("at least {TARGET}");
        let memory = format!("{:.0} %", 100.0 * share);
        met.push(row![
            row.name,
            format!("{ratio:.2}"),
            limit,
            verdict(TARGET, ratio),
            memory,
            verdict(share, 1.0)
        ]);
    }
    print(&version, &table)?;
    print("targets", &met)
}

/// The rows that are asked for.
fn wanted() -> impl Iterator<Item = &'static Row> {
    let named = std::env::var("MRX_BENCH_ROWS").unwrap_or_default();
    ROWS.iter().filter(move |row| named.is_empty() || named.split(',').any(|name| name == row.name))
}

/// The largest difference of losses, as a share.
fn apart(ours: &[f64], theirs: &[f64]) -> f64 {
    let off = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs();
    ours.iter().zip(theirs).map(off).fold(0.0, f64::max)
}

fn ours(work: &Path, name: &str) -> Outcome<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env("MRX_BENCH_WORK", work).env("MRX_BENCH_ROWS", name);
    Ok(serde_json::from_slice(&stdout_of(&mut command)?)?)
}

fn theirs(model: &Path, work: &Path, name: &str) -> Outcome<Measured> {
    let out = stdout_of(python("engine_train.py").arg(model).arg(work).arg(name))?;
    Ok(serde_json::from_slice(&out)?)
}

fn lora() -> Adapter {
    let target_modules =
        ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"];
    let target_modules = target_modules.map(str::to_owned).to_vec();
    Adapter { rank: 16, alpha: 32.0, dropout: 0.0, target_modules }
}

fn opened(model: &Path) -> Outcome<(Arc<Config>, weights::Weights)> {
    let files: BTreeMap<String, PathBuf> = listed(model)?;
    let config = Arc::new(Config::open(&files)?);
    let weights = weights::load(&files, &config, DType::F32, &Device::Cpu)?;
    Ok((config, weights))
}

/// The steps of every row, with what the start makes of preferences.
fn draw(model: &Path) -> Outcome<Value> {
    let (config, weights) = opened(model)?;
    let network = Network::new(config.clone(), &weights)?;
    let vocabulary = u32::try_from(config.vocab_size)?;
    let mut all = serde_json::Map::new();
    let wanted: Vec<&str> = wanted().map(|row| row.name).collect();
    let each = ROWS.iter().zip(1..).filter(|(row, _)| wanted.contains(&row.name));
    for (row, seed) in each {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut ids = |(from, to): (u32, u32)| -> Vec<u32> {
            let count = dice.random_range(from..=to);
            (0..count).map(|_| dice.random_range(4..vocabulary)).collect()
        };
        let mut steps = Vec::new();
        for _ in 0..scaled(STEPS).max(2) {
            let mut step = Vec::new();
            for _ in 0..row.batch {
                let (prompt, answer) = (ids(row.prompt), ids(row.answer));
                if row.kind == Kind::Sft {
                    step.push(json!([prompt, answer]));
                    continue;
                }
                let other = ids(row.answer);
                let (one, two) =
                    (logp(&network, &prompt, &answer)?, logp(&network, &prompt, &other)?);
                step.push(json!([prompt, answer, other, one, two]));
            }
            steps.push(step);
        }
        let kind = if row.kind == Kind::Sft { "sft" } else { "dpo" };
        let lora = (row.kind == Kind::LoraDpo).then(lora);
        let work =
            json!({ "kind": kind, "lora": lora, "learning_rate": LEARNING_RATE, "steps": steps });
        all.insert(row.name.to_owned(), work);
    }
    Ok(all.into())
}

fn logp(network: &Network, prompt: &[u32], target: &[u32]) -> Outcome<f64> {
    let (batch, sources) = Batch::of_continuations([(prompt, vec![target])]);
    let logps = network.logps(&batch, &sources, target)?.to_vec1::<f32>()?;
    Ok(logps.into_iter().map(f64::from).sum())
}

/// Takes the steps of one row, and prints what they took.
fn one_row(model: &Path, work: &Path) -> Outcome {
    let name = std::env::var("MRX_BENCH_ROWS")?;
    let mut all: Value = serde_json::from_slice(&std::fs::read(work)?)?;
    let work = all[&name]["steps"].take();
    let (config, weights) = opened(model)?;
    let kind = ROWS.iter().find(|row| row.name == name).map(|row| row.kind);
    let kind = kind.ok_or("no such row")?;
    let batch = ROWS.iter().find(|row| row.name == name).map_or(1, |row| row.batch);
    let settings = Settings {
        learning_rate: LEARNING_RATE,
        schedule: Schedule::Constant,
        batch,
        shuffle: false,
        ..Settings::default()
    };
    let measured =
        if kind == Kind::Sft {
            let steps: Vec<Vec<(Vec<u32>, Vec<u32>)>> = serde_json::from_value(work)?;
            let example = |(prompt, target)| Example { prompt, target };
            let examples: Vec<Example> = steps.into_iter().flatten().map(example).collect();
            let start = Start { config, weights: &weights, adapter: None };
            let trainer = Trainer::from(start, Sft, &examples, settings)?;
            drop(weights);
            take(trainer)?
        } else {
            type Pair = (Vec<u32>, Vec<u32>, Vec<u32>, f64, f64);
            let steps: Vec<Vec<Pair>> = serde_json::from_value(work)?;
            let pair = |(prompt, chosen, rejected, reference_chosen, reference_rejected)| {
                Preference { prompt, chosen, rejected, reference_chosen, reference_rejected }
            };
            let pairs: Vec<Preference> = steps.into_iter().flatten().map(pair).collect();
            let adapter = lora();
            let tensors = adapter.initialise(&config, 0, &Device::Cpu)?;
            let own = (kind == Kind::LoraDpo).then_some((&adapter, &tensors));
            let start = Start { config, weights: &weights, adapter: own };
            let trainer = Trainer::from(start, Dpo::default(), &pairs, settings)?;
            drop((weights, tensors));
            take(trainer)?
        };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&measured)?)?;
    Ok(())
}

fn take<O: Objective>(mut trainer: Trainer<'_, O>) -> Outcome<Measured> {
    let checkpointing = std::env::var_os("MRX_BENCH_CHECKPOINTING").is_some();
    trainer = trainer.keeping(Keep::checkpointing(checkpointing));
    let (mut seconds, mut losses, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let began = Instant::now();
        let Some(step) = trainer.step()? else { break };
        seconds.push(began.elapsed().as_secs_f64());
        tokens.push(step.tokens as f64);
        losses.extend(step.values.iter().filter(|(name, _)| name == "loss").map(|(_, loss)| *loss));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let tokens = median(tokens) as usize;
    Ok(Measured { seconds, losses, peak: peak()?, tokens, version: String::new() })
}

/// The most bytes of memory that this process took, on Linux.
fn peak() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")).ok_or("no VmHWM")?;
    Ok(kibibytes.trim().parse::<f64>()? * 1024.0)
}
