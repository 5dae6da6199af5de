//! Drawing with a model of 8 billion random weights in bf16 on a GPU, at 1, 64 and 256 sequences, beside the limits of
//! the device that are measured in the same call: bytes a second of a copy, and of a product of large matrices.
//!
//! `MRX_TEST_DEVICE=cuda cargo bench --features cuda --bench gpu`, or `benches/gpu.sh`. `MRX_BENCH_LAYERS` makes the
//! model smaller. Skipped, and told, where no device is named.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::cast_possible_truncation, reason = "counts of sequences are small")]
#![expect(clippy::cast_precision_loss, reason = "counts of tokens and weights are small")]

use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use mrx::model::weights::{Kind, parameters};
use mrx::model::{
    Ask, Chat, Config, Decoding, Local, Network, Prompt, Tokenizer, Weights, draw_all, open_device,
};
use serde_json::json;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const VOCABULARY: usize = 128_256;
const PROMPT: u32 = 64;
const DRAWN: u32 = 64;

fn main() -> Outcome {
    let Some(name) = std::env::var_os("MRX_TEST_DEVICE") else {
        println!("skipped: MRX_TEST_DEVICE names no device");
        return Ok(());
    };
    let device = open_device(&name.to_string_lossy())?;
    let (bandwidth, products) = (bandwidth(&device)?, products(&device)?);
    println!("copy {:.0} GB/s, product in bf16 {:.0} TFLOP/s", bandwidth / 1e9, products / 1e12);
    let config = Arc::new(config()?);
    let weights = random(&config, &device)?;
    let count: usize = parameters(&config).iter().map(|p| p.shape.iter().product::<usize>()).sum();
    let model = local(Network::new(config, &weights)?)?;
    // Every weight is read once a step, and takes two operations a sequence; the embedding takes none.
    let read = 2.0 * count as f64 / bandwidth;
    for sequences in [1_usize, 64, 256] {
        let least = read.max(2.0 * (count * sequences) as f64 / products);
        draw(&model, sequences, 2)?;
        let (whole, prompts) = (draw(&model, sequences, DRAWN)?, draw(&model, sequences, 1)?);
        let step = (whole - prompts) / f64::from(DRAWN - 1);
        println!(
            "{sequences:>4} sequences: {:>7.0} tokens/s, {:.1} ms a step, {:.0} % of the limit",
            sequences as f64 / step,
            1e3 * step,
            100.0 * least / step
        );
    }
    Ok(())
}

/// Seconds until every sequence has so many tokens.
fn draw(model: &Local, sequences: usize, tokens: u32) -> Outcome<f64> {
    let ask = |nth: usize| Ask {
        prompt: Prompt::Tokens(
            (0..PROMPT).map(|i| (i * 7919 + nth as u32 * 31) % 100_000).collect(),
        ),
        decoding: Decoding { max_tokens: tokens, ..Decoding::default() },
        stop: Vec::new(),
        seeds: vec![nth as u64],
        names: Vec::new(),
    };
    let asks: Vec<Ask> = (0..sequences).map(ask).collect();
    let began = Instant::now();
    let drawn = draw_all(model, &asks)?;
    assert!(drawn.concat().iter().all(|reply| reply.tokens.len() == tokens as usize));
    Ok(began.elapsed().as_secs_f64())
}

/// Bytes a second, of those read and those written.
fn bandwidth(device: &Device) -> Outcome<f64> {
    const BYTES: usize = 4 << 30;
    let x = Tensor::zeros(BYTES / 2, DType::BF16, device)?;
    fastest(device, 2.0 * BYTES as f64, || Ok(x.copy()?))
}

/// Operations a second.
fn products(device: &Device) -> Outcome<f64> {
    const SIDE: usize = 8192;
    let x = Tensor::randn(0.0_f32, 1.0, (SIDE, SIDE), device)?.to_dtype(DType::BF16)?;
    fastest(device, 2.0 * (SIDE as f64).powi(3), || Ok(x.matmul(&x)?))
}

fn fastest(device: &Device, work: f64, run: impl Fn() -> Outcome<Tensor>) -> Outcome<f64> {
    let mut best = 0.0_f64;
    for _ in 0..8 {
        device.synchronize()?;
        let began = Instant::now();
        run()?;
        device.synchronize()?;
        best = best.max(work / began.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Of the shape of Llama 3 8B.
fn config() -> Outcome<Config> {
    let layers = std::env::var("MRX_BENCH_LAYERS").map_or(Ok(32), |layers| layers.parse())?;
    let text = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": layers, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": VOCABULARY, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
        "rope_theta": 500_000.0, "eos_token_id": 0,
    });
    let text = text.as_object().cloned().unwrap_or_default();
    Ok(Config::of(text)?)
}

fn random(config: &Config, device: &Device) -> Outcome<Weights> {
    let one = |parameter: mrx::model::weights::Parameter| {
        let mut shape = parameter.shape;
        if parameter.kind == Kind::Projection {
            shape.reverse();
        }
        let tensor = match parameter.kind {
            Kind::Scale => Tensor::ones(shape, DType::BF16, device)?,
            _ => Tensor::randn(0.0_f32, 0.02, shape, device)?.to_dtype(DType::BF16)?,
        };
        Ok((parameter.name, tensor))
    };
    parameters(config).into_iter().map(one).collect()
}

/// A tokenizer of as many words as there are ids.
fn local(network: Network) -> Outcome<Local> {
    let words: serde_json::Map<_, _> =
        (0..VOCABULARY).map(|id| (format!("w{id}"), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": words, "unk_token": "w0" },
    });
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), tokenizer.to_string())?;
    let tokenizer = Tokenizer::open(file.path(), VOCABULARY)?;
    let chat = Chat::new("{{ messages[0].content }}".to_owned(), None, None)?;
    Ok(Local::new(network, tokenizer, chat, Vec::new()))
}
