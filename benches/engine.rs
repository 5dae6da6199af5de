//! The local engine on a real small model, beside other engines on the same machine: answers, judgements,
//! and one answer at a time.
//!
//! `MRX_BENCH_MODEL=SmolLM2-135M-Instruct cargo bench --bench engine` takes a Hugging Face folder and measures
//! mrx alone. Others are asked where they are named: `MRX_BENCH_SERVERS="llama.cpp=http://127.0.0.1:8080
//! vLLM=http://127.0.0.1:8000"`, servers of the same model with as many threads as mrx has, that take token
//! ids at `/v1/completions`; and `MRX_BENCH_PYTHON`, a Python with torch and transformers. `MRX_BENCH_WORK`
//! names the works to do, `MRX_BENCH_SCALE` shrinks the number of prompts.

#![expect(unsafe_code, reason = "what is settled for the process wants it to be alone")]
#![expect(clippy::cast_precision_loss, reason = "counts of tokens and weights are small")]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/process.rs"]
mod process;
#[path = "support/python.rs"]
mod python;
#[path = "../src/settle.rs"]
mod settle;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::Device;
use compare::{Outcome, asked, median, print, rounds, scaled, verdict};
use mrx::model::{Ask, Chat, Decoding, Local, Prompt, Tokenizer, draw_all, listed};
use process::stdout_of;
use python::python;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes of keys and values that may be kept: what `mrx` takes by itself where 16 GiB are free.
const CACHE_MEMORY: u64 = 8 << 30;

/// Prompts, draws of each, tokens of a prompt that all share, tokens of its own at least and at most, tokens
/// of a draw; and how many draws are asked for at a time.
struct Work {
    name: &'static str,
    prompts: usize,
    draws: u64,
    shared: usize,
    own: (usize, usize),
    tokens: u32,
    at_a_time: usize,
    /// Times as fast as the best of the others that it should be.
    aim: f64,
}

const WORKS: [Work; 3] = [
    Work {
        name: "respond",
        prompts: 64,
        draws: 4,
        shared: 8,
        own: (20, 90),
        tokens: 128,
        at_a_time: usize::MAX,
        aim: 2.5,
    },
    Work {
        name: "judge",
        prompts: 64,
        draws: 4,
        shared: 260,
        own: (120, 260),
        tokens: 96,
        at_a_time: usize::MAX,
        aim: 3.0,
    },
    Work {
        name: "one",
        prompts: 4,
        draws: 1,
        shared: 8,
        own: (20, 90),
        tokens: 128,
        at_a_time: 1,
        aim: 1.0,
    },
];

#[derive(Deserialize)]
struct Theirs {
    seconds: f64,
    tokens: usize,
}

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    // As `mrx` does.
    // SAFETY: there is no other thread yet.
    unsafe { settle::settle() };
    let Some(folder) = std::env::var_os("MRX_BENCH_MODEL") else {
        return Err("MRX_BENCH_MODEL names no model's folder".into());
    };
    let began = Instant::now();
    let files = listed(Path::new(&folder))?;
    let model =
        endless(&files, Local::open(&files, &Device::Cpu)?)?.with_cache_memory(CACHE_MEMORY);
    let opened = format!("opened in {:.2} s; tokens a second", began.elapsed().as_secs_f64());
    let others = others(&folder);
    let mut head = row!["work", "mrx"];
    head.extend(others.iter().map(|(name, _)| name.clone()));
    head.extend(row!["times the best", "aim", ""]);
    let mut table = vec![head];
    let wanted = std::env::var("MRX_BENCH_WORK").unwrap_or_default();
    for work in WORKS.iter().filter(|work| wanted.is_empty() || wanted.contains(work.name)) {
        let prompts = work.prompts(u32::try_from(model.network().config().vocab_size)?);
        let mut figures = vec![Vec::new(); others.len() + 1];
        for _ in 0..rounds() {
            figures[0].push(work.ours(&model, &prompts)?);
            for ((_, place), figures) in others.iter().zip(&mut figures[1..]) {
                figures.push(work.theirs(&prompts, place)?);
            }
        }
        let figures: Vec<f64> = figures.into_iter().map(median).collect();
        let best = figures[1..].iter().copied().fold(f64::NAN, f64::max);
        let mut line = row![work.name];
        line.extend(figures.iter().map(|figure| format!("{figure:.0}")));
        let times = figures[0] / best;
        line.extend(row![format!("{times:.2}"), work.aim, verdict(work.aim, times)]);
        table.push(line);
    }
    print(&opened, &table)
}

/// Who else does the work: a name, and where.
fn others(folder: &OsStr) -> Vec<(String, OsString)> {
    let servers = std::env::var("MRX_BENCH_SERVERS").unwrap_or_default();
    let server = |server: &str| {
        let (name, place) = server.split_once('=').unwrap_or((server, server));
        (name.to_owned(), place.into())
    };
    let mut others: Vec<_> = servers.split_whitespace().map(server).collect();
    if std::env::var_os("MRX_BENCH_PYTHON").is_some() {
        others.push(("transformers".to_owned(), folder.to_owned()));
    }
    others
}

/// The same model, whose texts no token ends: all work is of a known size.
fn endless(files: &BTreeMap<String, PathBuf>, model: Local) -> Outcome<Local> {
    let network = model.network().clone();
    let tokenizer = Tokenizer::open(&files["tokenizer.json"], network.config().vocab_size)?;
    Ok(Local::new(network, tokenizer, Chat::open(files)?, Vec::new()))
}

impl Work {
    fn prompts(&self, vocabulary: u32) -> Vec<Vec<u32>> {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let mut ids = |count: usize| -> Vec<u32> {
            (0..count).map(|_| dice.random_range(100..vocabulary)).collect()
        };
        let shared = ids(self.shared);
        let mut lengths = ChaCha8Rng::seed_from_u64(2);
        (0..scaled(self.prompts))
            .map(|_| [shared.clone(), ids(lengths.random_range(self.own.0..=self.own.1))].concat())
            .collect()
    }

    /// Tokens a second.
    fn ours(&self, model: &Local, prompts: &[Vec<u32>]) -> Outcome<f64> {
        let decoding =
            Decoding { temperature: 0.8, max_tokens: self.tokens, ..Decoding::default() };
        let ask = |prompt: &Vec<u32>| Ask {
            prompt: Prompt::Tokens(prompt.clone()),
            decoding,
            stop: Vec::new(),
            seeds: (0..self.draws).collect(),
            names: Vec::new(),
        };
        let asks: Vec<Ask> = prompts.iter().map(ask).collect();
        // Once unmeasured: servers took their memory when they started.
        if self.at_a_time > 1 {
            draw_all(model, &asks)?;
        }
        let began = Instant::now();
        let mut drawn = 0;
        for asks in asks.chunks(self.at_a_time.min(asks.len())) {
            let replies = draw_all(model, asks)?;
            drawn += replies.iter().flatten().map(|reply| reply.tokens.len()).sum::<usize>();
        }
        Ok(drawn as f64 / began.elapsed().as_secs_f64())
    }

    /// The same by another.
    fn theirs(&self, prompts: &[Vec<u32>], place: &OsStr) -> Outcome<f64> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("work.json");
        let at_a_time = self.at_a_time.min(1 << 20);
        let work = json!({ "prompts": prompts, "draws": self.draws, "tokens": self.tokens, "at_a_time": at_a_time });
        std::fs::write(&path, serde_json::to_vec(&work)?)?;
        let out = stdout_of(python("engine.py").arg(&path).arg(place))?;
        let Theirs { seconds, tokens } = serde_json::from_slice(&out)?;
        Ok(tokens as f64 / seconds)
    }
}
