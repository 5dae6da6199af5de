//! The decoder on a GPU beside the one on the CPU: `MRX_TEST_DEVICE=cuda cargo test --release --features cuda gpu::`.
//! Skipped, and told, where no device is named. `benches/gpu.sh` runs these where there is one.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use mrx::model::{
    Ask, Batch, Config, Continuation, Decoding, LanguageModel, Local, Network, Prompt,
    ScoreRequest, draw_all, open_device, weights,
};

use crate::lab::skip;
use crate::model::{data, files, local};

const FAMILIES: [&str; 4] = ["llama3", "mistral", "qwen3", "smollm_bf16"];

fn device() -> Option<Device> {
    let Some(name) = std::env::var_os("MRX_TEST_DEVICE") else {
        skip("MRX_TEST_DEVICE names no device: nothing was computed on a GPU");
        return None;
    };
    Some(open_device(&name.to_string_lossy()).unwrap())
}

fn network(folder: &Path, dtype: DType, device: &Device) -> Network {
    let mut files = files(folder);
    files.remove("references.safetensors");
    let config = Config::read(&files["config.json"]).unwrap();
    let weights = weights::load(&files, &config, dtype, device).unwrap();
    Network::new(Arc::new(config), &weights).unwrap()
}

fn sequences() -> Vec<Vec<u32>> {
    (3..9_u32).map(|length| (0..4 * length).map(|i| (i * i + length) % 60).collect()).collect()
}

fn logits(network: &Network) -> Tensor {
    let sequences = sequences();
    let batch = Batch::of(sequences.iter().map(Vec::as_slice));
    let logits = network.logits(&network.hidden(&batch).unwrap()).unwrap();
    assert_eq!(logits.dtype(), DType::F32);
    logits.to_device(&Device::Cpu).unwrap()
}

/// The largest difference, and the root mean square of what is compared with.
fn apart(found: &Tensor, expected: &Tensor) -> (f32, f32) {
    let [found, expected] = [found, expected].map(|x| x.flatten_all().unwrap());
    let numbers = |x: &Tensor| x.to_vec1::<f32>().unwrap();
    let worst =
        numbers(&(&found - &expected).unwrap()).into_iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    let square = expected.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
    (worst, square.sqrt())
}

#[test]
fn logits_are_those_of_the_cpu() {
    let Some(device) = device() else { return };
    for family in FAMILIES {
        let folder = data("models").join(family);
        let expected = logits(&network(&folder, DType::F32, &Device::Cpu));
        let (worst, _) = apart(&logits(&network(&folder, DType::F32, &device)), &expected);
        assert!(worst < 1e-3, "{family} in f32: off by {worst}");
        for half in [DType::BF16, DType::F16] {
            let rounded = |device: &Device| network(&folder, half, device);
            let (worst, scale) = apart(&logits(&rounded(&device)), &expected);
            // Eight bits of a number, over a few layers.
            let most = if half == DType::BF16 { 0.06 } else { 0.01 };
            assert!(worst < most * scale.max(1.0), "{family} in {half:?}: off by {worst}");
        }
    }
}

#[test]
fn texts_are_drawn_and_scored_as_on_the_cpu() {
    let Some(device) = device() else { return };
    for family in FAMILIES {
        let folder = data("models").join(family);
        let ask = |prompt: Vec<u32>| Ask {
            prompt: Prompt::Tokens(prompt),
            decoding: Decoding { temperature: 0.0, max_tokens: 24, ..Decoding::default() },
            stop: Vec::new(),
            seeds: vec![0, 1],
            names: Vec::new(),
        };
        let request = |prompt: Vec<u32>| ScoreRequest {
            prompt: Prompt::Tokens(prompt),
            continuations: [5, 11].map(|id| Continuation::Tokens(vec![id; 9])).into(),
        };
        let asks: Vec<Ask> = sequences().into_iter().map(ask).collect();
        let requests: Vec<ScoreRequest> = sequences().into_iter().map(request).collect();
        let said = [&Device::Cpu, &device].map(|device| {
            let model: Local = local(network(&folder, DType::F32, device), &[]);
            let drawn = draw_all(&model, &asks).unwrap().concat();
            let tokens: Vec<_> = drawn.into_iter().map(|reply| reply.tokens).collect();
            (tokens, model.score(&requests).unwrap().concat())
        });
        let [(drawn, scores), (drawn_there, scores_there)] = said;
        assert_eq!(drawn, drawn_there, "{family}");
        for (here, there) in scores.iter().zip(scores_there) {
            assert!((here - there).abs() < 1e-3 * here.abs().max(1.0), "{family}: {here}, {there}");
        }
    }
}
