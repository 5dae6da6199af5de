//! The local engine on a real small model, beside other engines on the same machine: answers, judgements,
//! and one answer at a time.
//!
//! `MRX_BENCH_MODEL=SmolLM2-135M-Instruct cargo bench --bench engine` takes a Hugging Face folder and measures
//! mrx alone. Others are asked where they are named: `MRX_BENCH_SERVERS="llama.cpp=http://127.0.0.1:8080
//! vLLM=http://127.0.0.1:8000"`, servers of the same model with as many threads as mrx has, that take token
//! ids at `/v1/completions`; and `MRX_BENCH_PYTHON`, a Python with torch and transformers. `MRX_BENCH_WORK`
//! names the works to do, `MRX_BENCH_SCALE` shrinks the number of prompts.

#![expect(unsafe_code, reason = "an environment variable for candle")]
#![expect(clippy::cast_precision_loss, reason = "counts of tokens and weights are small")]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/process.rs"]
mod process;
#[path = "support/python.rs"]
mod python;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::Device;
use compare::{Outcome, asked, print, rounds, scaled};
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
    },
    Work {
        name: "judge",
        prompts: 64,
        draws: 4,
        shared: 260,
        own: (120, 260),
        tokens: 96,
        at_a_time: usize::MAX,
    },
    Work { name: "one", prompts: 4, draws: 1, shared: 8, own: (20, 90), tokens: 128, at_a_time: 1 },
];

#[derive(Deserialize)]
struct Theirs {
    seconds: f64,
    tokens: usize,
    version: String,
}

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    // As `mrx` does.
    // SAFETY: there is no other thread yet that could read the environment.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    let Some(folder) = std::env::var_os("MRX_BENCH_MODEL") else {
        println!("MRX_BENCH_MODEL names no model's folder: nothing is measured");
        return Ok(());
    };
    let began = Instant::now();
    let files = listed(Path::new(&folder))?;
    let model = endless(&files, Local::open(&files, &Device::Cpu)?)?;
    println!("opened in {:.2} s", began.elapsed().as_secs_f64());
    let wanted = std::env::var("MRX_BENCH_WORK").unwrap_or_default();
    for work in WORKS.iter().filter(|work| wanted.is_empty() || wanted.contains(work.name)) {
        let prompts = work.prompts(model.network().config().vocab_size as u32);
        for _ in 0..rounds() {
            let (seconds, tokens) = work.ours(&model, &prompts)?;
            println!(
                "{}: {:.1} tokens/s ({tokens} in {seconds:.1} s)",
                work.name,
                tokens as f64 / seconds
            );
        }
    }
    Ok(())
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

    fn ours(&self, model: &Local, prompts: &[Vec<u32>]) -> Outcome<(f64, usize)> {
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
        let began = Instant::now();
        let mut drawn = 0;
        for asks in asks.chunks(self.at_a_time.min(asks.len())) {
            drawn += draw_all(model, asks)?
                .iter()
                .flatten()
                .map(|reply| reply.tokens.len())
                .sum::<usize>();
        }
        Ok((began.elapsed().as_secs_f64(), drawn))
    }
}
