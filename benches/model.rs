//! Training steps and generation on a random model of 4 layers × 128, beside PyTorch, transformers
//! and TRL on the same weights and ids.
//!
//! `MRX_BENCH_PYTHON=python3 cargo bench --bench model`. Python needs torch, transformers and trl.
//! `MRX_BENCH_SCALE` shrinks the number of steps, `MRX_BENCH_ROUNDS` is how often all is measured, `MRX_BENCH_PYTHON=` measures mrx alone.

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

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use compare::{Outcome, asked, median, print, rounds, scaled, verdict};
use mrx::model::{
    Ask, Chat, Config, Decoding, Local, Network, Prompt, Tokenizer, Weights, draw_all,
    train_tokenizer, weights,
};
use mrx::train::{Dpo, Example, Objective, Preference, Schedule, Settings, Sft, Trainer};
use process::stdout_of;
use python::python;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEPS: usize = 24;
const VOCABULARY: u32 = 512;

/// Times as fast as Python that each workload should be.
const TARGETS: [(&str, f64); 4] = [("sft", 1.5), ("dpo", 1.5), ("respond", 1.0), ("judge", 3.0)];

struct Work {
    sft: Vec<Example>,
    pairs: Vec<Preference>,
    respond: Vec<Vec<u32>>,
    judge: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Theirs {
    seconds: Vec<f64>,
    version: String,
}

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    // As `mrx` does.
    // SAFETY: there is no other thread yet.
    unsafe { settle::settle() };
    let folder = tempfile::tempdir()?;
    let (config, weights) = model(folder.path())?;
    let network = Network::new(config.clone(), &weights)?;
    let work = Work::draw(&network)?;
    std::fs::write(folder.path().join("work.json"), serde_json::to_vec(&work.json())?)?;
    let local = local(network, folder.path())?;
    let compare = std::env::var_os("MRX_BENCH_PYTHON").is_none_or(|python| !python.is_empty());
    let peak = peak()?;
    let mut table =
        vec![row!["work", "round", "mrx", "Python", "times as fast", "of sgemm's peak"]];
    let mut met = vec![row!["work", "times as fast", "target", ""]];
    let mut version = String::from("not asked");
    for (name, target) in TARGETS {
        let mut ratios = Vec::new();
        for round in 1..=rounds() {
            let (ours, flops) = work.measure(name, &config, &weights, &local)?;
            let theirs = if compare {
                let out = stdout_of(python("model.py").arg(folder.path()).arg(name))?;
                let theirs: Theirs = serde_json::from_slice(&out)?;
                version = theirs.version;
                median(theirs.seconds)
            } else {
                f64::NAN
            };
            ratios.push(theirs / ours);
            table.push(row![
                name,
                round,
                format!("{:.1} ms", ours * 1e3),
                format!("{:.1} ms", theirs * 1e3),
                format!("{:.2}", theirs / ours),
                format!("{:.0} %", 100.0 * flops / ours / peak),
            ]);
        }
        let ratio = median(ratios);
        let limit = format!("at least {target}");
        met.push(row![name, format!("{ratio:.2}"), limit, verdict(target, ratio)]);
    }
    print(&format!("{version}; sgemm's peak here is {:.0} GFLOP/s", peak / 1e9), &table)?;
    print("targets", &met)
}

/// The most floating-point operations a second that a product of 1024 × 1024 reaches.
fn peak() -> Outcome<f64> {
    let side = 1024;
    let a = Tensor::ones((side, side), candle_core::DType::F32, &Device::Cpu)?;
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let began = Instant::now();
        a.matmul(&a)?;
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(2.0 * (side as f64).powi(3) / best)
}

fn model(folder: &Path) -> Outcome<(Arc<Config>, Weights)> {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 128,
        "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 4, "vocab_size": VOCABULARY, "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true, "hidden_act": "silu",
        "initializer_range": 0.05, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    });
    std::fs::write(folder.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
    let config = Arc::new(Config::read(&folder.join("config.json"))?);
    let weights = weights::initialise(&config, 0, &Device::Cpu)?;
    weights::save(&weights, &config, &folder.join("model.safetensors"))?;
    Ok((config, weights))
}

fn local(network: Network, folder: &Path) -> Outcome<Local> {
    let path = folder.join("tokenizer.json");
    std::fs::write(&path, train_tokenizer(std::iter::empty(), 256, &[])?)?;
    let tokenizer = Tokenizer::open(&path, VOCABULARY as usize)?;
    Ok(Local::new(network, tokenizer, Chat::new(String::new(), None, None)?, Vec::new()))
}

impl Work {
    fn draw(network: &Network) -> Outcome<Self> {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let mut ids = |from: u32, to: u32| -> Vec<u32> {
            let count = dice.random_range(from..=to);
            (0..count).map(|_| dice.random_range(4..VOCABULARY)).collect()
        };
        let sft = (0..64 * scaled(STEPS))
            .map(|_| Example { prompt: ids(10, 30), target: ids(10, 30) })
            .collect();
        let pairs = (0..32 * scaled(STEPS))
            .map(|_| Preference {
                prompt: ids(10, 30),
                chosen: ids(10, 30),
                rejected: ids(10, 30),
                reference_chosen: 0.0,
                reference_rejected: 0.0,
            })
            .collect();
        let respond = (0..64).map(|_| ids(10, 40)).collect();
        let rubric = ids(200, 200);
        let judge = (0..64).map(|_| [rubric.clone(), ids(60, 120)].concat()).collect();
        let mut work = Self { sft, pairs, respond, judge };
        for Preference { prompt, chosen, rejected, reference_chosen, reference_rejected } in
            &mut work.pairs
        {
            for (target, to) in [(chosen, reference_chosen), (rejected, reference_rejected)] {
                let groups = [(prompt.as_slice(), vec![target.as_slice()])];
                let (batch, sources) = mrx::model::Batch::of_continuations(groups);
                let logps = network.logps(&batch, &sources, target)?.to_vec1::<f32>()?;
                *to = logps.into_iter().map(f64::from).sum();
            }
        }
        Ok(work)
    }

    fn json(&self) -> Value {
        let sft: Vec<Value> = self.sft.iter().map(|e| json!([e.prompt, e.target])).collect();
        let pair = |p: &Preference| json!([p.prompt, p.chosen, p.rejected]);
        let dpo: Vec<Value> = self.pairs.iter().map(pair).collect();
        json!({
            "sft": sft.chunks(64).collect::<Vec<_>>(),
            "dpo": dpo.chunks(32).collect::<Vec<_>>(),
            "respond": { "prompts": self.respond, "samples": 7, "tokens": 40 },
            "judge": { "prompts": self.judge, "samples": 11, "tokens": 40 },
        })
    }

    /// Seconds of a workload (a median step, or all of the generation), and the floating-point
    /// operations that its matrix products take.
    fn measure(
        &self,
        name: &str,
        config: &Arc<Config>,
        weights: &Weights,
        local: &Local,
    ) -> Outcome<(f64, f64)> {
        let settings = |batch| Settings {
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            batch,
            shuffle: false,
            ..Settings::default()
        };
        let forward = 2.0 * weight_count(config);
        let (seconds, tokens) = match name {
            "sft" => train(Trainer::new(config.clone(), weights, Sft, &self.sft, settings(64))?)?,
            "dpo" => {
                let dpo = Dpo::default();
                train(Trainer::new(config.clone(), weights, dpo, &self.pairs, settings(32))?)?
            }
            "respond" => return generate(local, &self.respond, 7, forward),
            _ => return generate(local, &self.judge, 11, forward),
        };
        Ok((seconds, 3.0 * forward * tokens))
    }
}

/// Weights that a token is multiplied by: all, the embedding being the head.
fn weight_count(config: &Config) -> f64 {
    let count = |p: weights::Parameter| p.shape.iter().product::<usize>();
    weights::parameters(config).into_iter().map(count).sum::<usize>() as f64
}

/// A median step: seconds and tokens.
fn train<O: Objective>(mut trainer: Trainer<'_, O>) -> Outcome<(f64, f64)> {
    let (mut seconds, mut tokens) = (Vec::new(), Vec::new());
    loop {
        let began = Instant::now();
        let Some(step) = trainer.step()? else { break };
        seconds.push(began.elapsed().as_secs_f64());
        tokens.push(step.tokens as f64);
    }
    Ok((median(seconds), median(tokens)))
}

fn generate(
    local: &Local,
    prompts: &[Vec<u32>],
    samples: u64,
    flops_per_token: f64,
) -> Outcome<(f64, f64)> {
    let decoding =
        Decoding { temperature: 0.8, top_p: 0.95, max_tokens: 40, ..Decoding::default() };
    let ask = |prompt: &Vec<u32>| Ask {
        prompt: Prompt::Tokens(prompt.clone()),
        decoding,
        stop: Vec::new(),
        seeds: (0..samples).collect(),
        names: Vec::new(),
    };
    let asks: Vec<Ask> = prompts.iter().map(ask).collect();
    let began = Instant::now();
    let replies = draw_all(local, &asks)?;
    let drawn: usize = replies.iter().flatten().map(|reply| reply.tokens.len()).sum();
    let seconds = began.elapsed().as_secs_f64();
    if drawn != replies.iter().map(Vec::len).sum::<usize>() * 40 {
        return Err("a text ended early".into());
    }
    Ok((seconds, drawn as f64 * flops_per_token))
}
