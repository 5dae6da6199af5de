//! Adapters that are trained here: the steps of PEFT, gradients against candle's own way back, and the loop on them.
//!
//! `tests/data/make_adapter_reference.py` made the numbers, and says with which versions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use mrx::model::adapter::{Adapter, adapted_files};
use mrx::model::weights::{self, Weights};
use mrx::model::{Batch, Config, Gradients, Keep, Network};
use mrx::train::{Dpo, Metrics, Preference, Schedule, Settings, Start, Trainer};
use serde::Deserialize;
use serde_json::Value;

use crate::lab::Lab;
use crate::local;
use crate::model::{data, files};

fn start(family: &str, dtype: DType) -> (Arc<Config>, Weights) {
    let mut files = files(&data("models").join(family));
    files.remove("references.safetensors");
    let config = Config::read(&files["config.json"]).unwrap();
    let weights = weights::load(&files, &config, dtype, &Device::Cpu).unwrap();
    (Arc::new(config), weights)
}

#[derive(Deserialize)]
struct Reference {
    pairs: Vec<Pair>,
    steps: Vec<serde_json::Map<String, Value>>,
    final_logits: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Pair {
    prompt_ids: Vec<u32>,
    chosen_ids: Vec<u32>,
    rejected_ids: Vec<u32>,
    reference_chosen_logps: f64,
    reference_rejected_logps: f64,
}

fn reference() -> (Reference, Vec<Preference>) {
    let text = std::fs::read_to_string(data("training/lora_dpo.json")).unwrap();
    let mut reference: Reference = serde_json::from_str(&text).unwrap();
    let pair = |pair: Pair| Preference {
        prompt: pair.prompt_ids,
        chosen: pair.chosen_ids,
        rejected: pair.rejected_ids,
        reference_chosen: pair.reference_chosen_logps,
        reference_rejected: pair.reference_rejected_logps,
    };
    let pairs = std::mem::take(&mut reference.pairs).into_iter().map(pair).collect();
    (reference, pairs)
}

/// The adapter of PEFT that the reference starts from, over its base.
fn adapted() -> BTreeMap<String, PathBuf> {
    let mut base = files(&data("models/smollm"));
    base.remove("references.safetensors");
    adapted_files(&base, files(&data("adapter/start")))
}

fn settings() -> Settings {
    let schedule = Schedule::Constant;
    Settings { learning_rate: 1e-3, schedule, batch: 4, shuffle: false, ..Settings::default() }
}

/// Fails unless `found` is within 1e-4 of `expected`, or 2e-6 where that is near 0.
fn close(found: &Metrics, expected: &serde_json::Map<String, Value>) {
    for (name, value) in &found.values {
        // At the first step both rewards are rounding errors, and so is which is larger.
        if found.step == 1 && *name == "rewards/accuracies" {
            continue;
        }
        let expected = expected[name.as_ref()].as_f64().unwrap();
        let limit = (1e-4 * expected.abs()).max(2e-6);
        let off = (value - expected).abs();
        assert!(off <= limit, "step {}: {name} is {value}, not {expected}", found.step);
    }
}

#[test]
fn an_adapter_takes_the_steps_of_peft() {
    let (reference, pairs) = reference();
    let (config, weights) = start("smollm", DType::F32);
    let files = adapted();
    let adapter = Adapter::open(&files).unwrap().unwrap();
    let tensors = Adapter::tensors(&files, &config, &Device::Cpu).unwrap().unwrap();
    let begin =
        || Start { config: config.clone(), weights: &weights, adapter: Some((&adapter, &tensors)) };
    let mut trainer = Trainer::from(begin(), Dpo::default(), &pairs, settings()).unwrap();
    for expected in &reference.steps {
        let found = trainer.step().unwrap().unwrap();
        assert_eq!(found.values.len(), 9);
        close(&found, expected);
    }
    let learned = trainer.weights();
    assert_eq!(learned.len(), 2 * adapter.target_modules.len() * config.num_hidden_layers);

    // What it adds, read back from files and merged.
    let folder = tempfile::tempdir().unwrap();
    let mut written =
        std::fs::File::create(folder.path().join("adapter_model.safetensors")).unwrap();
    adapter.write(&learned, &config, &mut written, &mut |_, _| {}).unwrap();
    let mut merged = files.clone();
    merged.extend(crate::model::files(folder.path()));
    let merged = weights::load(&merged, &config, DType::F32, &Device::Cpu).unwrap();
    let first = [pairs[0].prompt.as_slice(), &pairs[0].chosen].concat();
    let logits = |network: &Network| {
        let hidden = network.hidden(&Batch::of([first.as_slice()])).unwrap();
        network.logits(&hidden).unwrap().to_vec2::<f32>().unwrap()
    };
    let merged = Network::new(config.clone(), &merged).unwrap();
    for found in [logits(&merged), logits(trainer.network())] {
        let each = found.iter().zip(&reference.final_logits).flat_map(|(a, b)| a.iter().zip(b));
        let worst = each.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "after training the logits are off by {worst}");
    }

    // Killed and resumed is uninterrupted.
    let state = folder.path().join("state");
    let mut first = Trainer::from(begin(), Dpo::default(), &pairs, settings()).unwrap();
    for _ in 0..4 {
        first.step().unwrap();
    }
    first.snapshot().write(&mut std::fs::File::create(&state).unwrap()).unwrap();
    drop(first);
    let checkpointed = Trainer::from(begin(), Dpo::default(), &pairs, settings()).unwrap();
    let mut second = checkpointed.keeping(Keep::Inputs);
    second.resume(&state, 4).unwrap();
    while second.step().unwrap().is_some() {}
    for (name, tensor) in second.weights() {
        assert_eq!(numbers(&tensor), numbers(&learned[&name]), "{name}");
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
    tensor.to_vec1::<f64>().unwrap()
}

/// Two prompts, one with two targets: the batch, sources and targets.
fn work() -> (Batch, Vec<u32>, Vec<u32>) {
    let (a, b) = ([5, 9, 20, 7, 33, 12, 8, 50], [5, 9, 21]);
    let groups = [(&a[..], vec![&b[..], &a[2..6]]), (&b[..], vec![&a[1..5]])];
    let (batch, sources) = Batch::of_continuations(groups);
    (batch, sources, [&b[..], &a[2..6], &a[1..5]].concat())
}

#[test]
fn gradients_are_those_of_candles_own_way_back_and_layers_that_are_run_again_change_no_bit() {
    let adapter = Adapter {
        rank: 3,
        alpha: 4.0,
        dropout: 0.0,
        target_modules: ["down_proj", "k_proj", "o_proj", "up_proj"].map(str::to_owned).to_vec(),
    };
    for family in ["llama3", "mistral", "qwen2", "qwen3", "smollm"] {
        let (config, weights) = start(family, DType::F64);
        let tensors = adapter.initialise(&config, 2, &Device::Cpu).unwrap();
        let all = weights.iter().chain(&tensors).map(|(name, tensor)| {
            let tensor = tensor.to_dtype(DType::F64).unwrap();
            // B is zero at first, and A then has no gradient.
            let tensor = if name.contains("lora_B") { (tensor + 0.02).unwrap() } else { tensor };
            (name.clone(), Var::from_tensor(&tensor).unwrap())
        });
        let vars: BTreeMap<String, Var> = all.collect();
        let own = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let network = Network::adapted(config, &own, Some(&adapter)).unwrap();
        let (batch, sources, targets) = work();
        let slopes: Vec<f64> =
            (0..).take(targets.len()).map(|i| 1.0 - f64::from(i) * 0.3).collect();
        let logps = network.logps(&batch, &sources, &targets).unwrap();
        let scale = Tensor::new(slopes.clone(), &Device::Cpu).unwrap();
        let expected = (&logps * scale).unwrap().sum_all().unwrap().backward().unwrap();
        let run = |keep| {
            let onto = Gradients::of(vars.values().map(Var::as_tensor)).unwrap();
            let pass = network.forwards(&batch, (&sources, &targets), keep).unwrap();
            let apart = pass.logps().iter().zip(numbers(&logps)).map(|(a, b)| f64::from(*a) - b);
            assert!(apart.map(f64::abs).fold(0.0, f64::max) < 1e-5, "{family}");
            pass.backwards(&slopes, &onto).unwrap();
            onto
        };
        let (plain, again) = (run(Keep::All), run(Keep::Inputs));
        for (name, var) in &vars {
            let expected = numbers(expected.get(var.as_tensor()).unwrap());
            let found = numbers(plain.sum(var.as_tensor()).unwrap());
            let largest = expected.iter().map(|g| g.abs()).fold(0.0, f64::max);
            assert!(largest > 1e-9, "{family}: {name} has no gradient");
            let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-10 * largest.max(1.0), "{family}: {name} is off by {off}");
            assert_eq!(found, numbers(again.sum(var.as_tensor()).unwrap()), "{family}: {name}");
        }
    }
}

fn lab() -> Lab {
    let lab = local::lab();
    let text = std::fs::read_to_string(lab.path.join("small/experiment.toml")).unwrap();
    let table = "\n[adapter]\nrank = 3\ntarget_modules = [\"q_proj\", \"up_proj\"]\n";
    lab.write("small/experiment.toml", &text.replace("epochs = 6", "epochs = 2"));
    lab.edit("small/experiment.toml", "[train]", &format!("{table}\n[train]"));
    lab
}

#[test]
fn a_loop_trains_an_adapter_and_goes_on_with_it() {
    let lab = lab();
    lab.mrx(&["run", "small"]).success();
    let files = |model: &str| {
        lab.ask(&format!(
            "SELECT string_agg(DISTINCT file, ' ' ORDER BY file) FROM checkpoints WHERE model = '{model}'"
        ))
    };
    let expected = "adapter_config.json adapter_model.safetensors base/model.safetensors \
                    chat_template.jinja config.json tokenizer.json";
    assert_eq!([files("m1"), files("m2")], [expected; 2]);
    let objects = |file: &str| {
        lab.ask(&format!("SELECT count(DISTINCT object) FROM checkpoints WHERE file = '{file}'"))
    };
    assert_eq!(objects("base/model.safetensors"), "1", "the base is kept once");
    assert_eq!(objects("adapter_model.safetensors"), "2");
    let names = "SELECT string_agg(DISTINCT tensor, ' ' ORDER BY tensor) FROM checkpoints \
                 WHERE file = 'adapter_model.safetensors' AND tensor LIKE '%layers.0.mlp%'";
    let stem = "base_model.model.model.layers.0.mlp.up_proj";
    assert_eq!(lab.ask(names), format!("{stem}.lora_A.weight {stem}.lora_B.weight"));

    let planned = |set: &str| lab.mrx(&["plan", "small", "--set", set]).success();
    planned("train.gradient_checkpointing=true").says("nothing to do");
    planned("adapter.rank=2").prints("adapter.rank");
    let other = lab.mrx(&["run", "small", "--set", "adapter.target_modules=[\"query\"]"]);
    other.fails_with(3).says("the model has no projection `query`");
    lab.mrx(&["plan", "small", "--set", "adapter.dropout=0.1"])
        .fails_with(1)
        .says("`dropout` of an adapter is TRL's");
    lab.mrx(&["plan", "small", "--set", "adapter.rank=0"]).fails_with(1).says("from 1");
}

#[test]
fn an_adapter_is_learned_the_same_with_layers_that_are_run_again() {
    let weights = |set: &[&str]| {
        let lab = lab();
        let words = ["run", "small", "train.m1"].into_iter().chain(set.iter().copied());
        lab.mrx(&words.collect::<Vec<_>>()).success();
        lab.digests("small")["train.m1/checkpoints"]
    };
    let plain = weights(&[]);
    assert_eq!(plain, weights(&["--set", "train.gradient_checkpointing=true"]));
}
