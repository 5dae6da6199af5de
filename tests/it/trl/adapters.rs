//! Adapters: read as PEFT writes them, over a base, and refused where they do not fit.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use mrx::model::adapter::{Adapter, adapted_files};
use mrx::model::{Config, Error, weights};

use crate::lab::Lab;
use crate::local;

const RANK: usize = 2;

fn files_in(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect()
}

fn adapter() -> Adapter {
    let target_modules = vec!["down_proj".to_owned(), "q_proj".to_owned()];
    Adapter { rank: RANK, alpha: 5.0, dropout: 0.0, target_modules }
}

/// A, filled with `a`, and B, filled with `b`, of every adapted projection of the lab's model.
fn tensors(a: f32, b: f32) -> HashMap<String, Tensor> {
    let mut tensors = HashMap::new();
    for layer in 0..2 {
        for (module, outputs, inputs) in [("self_attn.q_proj", 16, 16), ("mlp.down_proj", 16, 32)] {
            let stem = format!("base_model.model.model.layers.{layer}.{module}");
            let full =
                |value, shape: (usize, usize)| Tensor::full(value, shape, &Device::Cpu).unwrap();
            tensors.insert(format!("{stem}.lora_A.weight"), full(a, (RANK, inputs)));
            tensors.insert(format!("{stem}.lora_B.weight"), full(b, (outputs, RANK)));
        }
    }
    tensors
}

/// Puts an adapter beside the lab's model, and lists both.
fn beside(lab: &Lab, config: &str, tensors: &HashMap<String, Tensor>) -> BTreeMap<String, PathBuf> {
    lab.write("adapter/adapter_config.json", config);
    let folder = lab.path.join("adapter");
    safetensors::save(tensors, folder.join("adapter_model.safetensors")).unwrap();
    adapted_files(&files_in(&lab.path.join("small/model")), files_in(&folder))
}

fn load(files: &BTreeMap<String, PathBuf>) -> Result<mrx::model::Weights, Error> {
    let config = Config::open(files)?;
    weights::load(files, &config, DType::F32, &Device::Cpu)
}

#[test]
fn what_an_adapter_adds_is_added_as_weights_are_read_and_as_they_are_merged() {
    let lab = local::lab();
    let base = load(&files_in(&lab.path.join("small/model"))).unwrap();
    let files = beside(&lab, &adapter().to_json("a digest"), &tensors(0.5, 0.25));
    assert_eq!(Adapter::open(&files).unwrap(), Some(adapter()));
    let read = load(&files).unwrap();
    // alpha / rank · Σ over the rank of 0.25 · 0.5
    let added = 5.0 / 2.0 * 2.0 * 0.125;
    for (name, tensor) in &read {
        let is_adapted = name.contains("q_proj") || name.contains("down_proj");
        let expected = if is_adapted { (&base[name] + added).unwrap() } else { base[name].clone() };
        let apart = (tensor - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(apart.to_scalar::<f32>().unwrap() < 1e-6, "{name}");
    }
    let merged = lab.path.join("merged.safetensors");
    weights::save_merged(&files, &Config::open(&files).unwrap(), &merged).unwrap();
    let mut folder = files_in(&lab.path.join("small/model"));
    folder.insert("model.safetensors".to_owned(), merged);
    for (name, tensor) in load(&folder).unwrap() {
        let apart = (tensor - &read[&name]).unwrap().abs().unwrap().max_all().unwrap();
        assert!(apart.to_scalar::<f32>().unwrap() == 0.0, "{name}");
    }
}

#[test]
fn an_adapter_that_does_not_fit_is_refused_by_what_does_not() {
    let lab = local::lab();
    let good = tensors(1.0, 1.0);
    let config = adapter().to_json("a digest");
    let refuse = |config: &str, tensors: &HashMap<String, Tensor>, said: &str| {
        let error = load(&beside(&lab, config, tensors)).unwrap_err();
        let text = whole(&error);
        assert!(text.contains(said), "expected `{said}` in {text}");
    };
    let changed = |from: &str, to: &str| {
        assert!(config.contains(from), "{config}");
        config.replace(from, to)
    };
    refuse(&changed("\"r\": 2", "\"r\": 0"), &good, "`r` is 0: expected at least 1");
    refuse(
        &changed("q_proj", "query"),
        &good,
        "the model has no projection `query`; it has down_proj",
    );
    refuse(&changed("\"LORA\"", "\"IA3\""), &good, "`peft_type` is IA3: expected `LORA`");
    let dora = changed("\"bias\"", "\"use_dora\": true, \"bias\"");
    refuse(&dora, &good, "`use_dora` is true: expected nothing");
    let name = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight";
    let mut some = good.clone();
    let taken = some.remove(name).unwrap();
    refuse(&config, &some, &format!("the tensor `{name}` is missing"));
    some.insert(name.to_owned(), taken.t().unwrap().contiguous().unwrap());
    refuse(&config, &some, "is [16, 2]: expected [2, 16]");
    some.insert(name.to_owned(), taken.clone());
    some.insert("base_model.model.lm_head.lora_A.weight".to_owned(), taken);
    refuse(&config, &some, "belongs to no projection that is adapted");
}

/// An error and all that it comes of.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn an_adapter_that_was_trained_elsewhere_is_taken_on_the_base_that_it_names() {
    let lab = local::lab();
    lab.edit("small/experiment.toml", "[train]", "[train]\ntrainer = \"import\"");
    lab.mrx(&["run", "small", "reference.m0"]).success();
    let import = || lab.mrx(&["import", "checkpoint", "adapter", "--as", "small/m1"]);
    let base = lab.path.join("small/model").display().to_string();
    let other = local::lab_of_seed(12);
    let theirs = other.path.join("small/model").display().to_string();
    let another = "whose weights are not those of the model to start from";
    beside(&lab, &adapter().to_json(&theirs), &tensors(0.01, 0.02));
    import().fails_with(1).says("adapter cannot be taken").says(another);
    beside(&lab, &adapter().to_json(&"0".repeat(64)), &tensors(0.01, 0.02));
    import().fails_with(1).says(another);
    beside(&lab, &adapter().to_json(&base), &tensors(0.01, 0.02));
    import().success();
    let files =
        "SELECT string_agg(DISTINCT file, ' ' ORDER BY file) FROM checkpoints WHERE model = 'm1'";
    assert_eq!(
        lab.ask(files),
        "adapter_config.json adapter_model.safetensors base/model.safetensors chat_template.jinja config.json \
         tokenizer.json"
    );
    let export = lab.mrx(&["export", "pairs", "small/m1", "--to", "trl"]);
    export.fails_with(1).says("pair.m1 is not made yet");
    lab.mrx(&["run", "small", "reference.m1"]).success();
    let export = lab.mrx(&["export", "pairs", "small/m1", "--to", "trl"]);
    export.fails_with(1).says("train.m2 starts from an adapter on a base");
    let row = lab.ask("SELECT response_id FROM responses WHERE model = 'm1' LIMIT 1");
    let traced = lab.mrx(&["trace", &row]).success();
    traced.prints("adapter_model.safetensors").prints("base/model.safetensors");
}
