//! A checkpoint that was trained elsewhere becomes the result of the node that waits for it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use mrx::store::Digest;
use serde_json::json;

use super::waiting;
use crate::lab::Lab;
use crate::local;

/// The tensors of a model's folder, as they are stored.
fn tensors(folder: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap()
}

/// Trains elsewhere: moves all weights of a folder a little, and saves them as transformers does.
fn train(lab: &Lab, from: &str, to: &str) {
    let folder = lab.path.join(to);
    fs::create_dir_all(&folder).unwrap();
    let moved = tensors(&lab.path.join(from)).into_iter();
    let moved: HashMap<String, Tensor> =
        moved.map(|(name, tensor)| (name, (tensor * 1.01).unwrap())).collect();
    candle_core::safetensors::save(&moved, folder.join("model.safetensors")).unwrap();
    fs::copy(lab.path.join(from).join("config.json"), folder.join("config.json")).unwrap();
}

/// The same in bfloat16, in two files with their index.
fn in_shards(lab: &Lab, from: &str, to: &str) {
    let folder = lab.path.join(to);
    train(lab, from, to);
    let mut all: Vec<(String, Tensor)> = tensors(&folder)
        .into_iter()
        .map(|(name, tensor)| (name, tensor.to_dtype(DType::BF16).unwrap()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let mut map = BTreeMap::new();
    let half = all.len() / 2;
    for (shard, tensors) in [
        ("model-00001-of-00002.safetensors", &all[..half]),
        ("model-00002-of-00002.safetensors", &all[half..]),
    ] {
        map.extend(tensors.iter().map(|(name, _)| (name.clone(), shard)));
        let tensors: HashMap<String, Tensor> = tensors.iter().cloned().collect();
        candle_core::safetensors::save(&tensors, folder.join(shard)).unwrap();
    }
    let index = json!({ "metadata": {}, "weight_map": map });
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

#[test]
fn the_loop_waits_for_what_is_trained_elsewhere_and_goes_on_from_it() {
    let lab = waiting();
    lab.mrx(&["export", "pairs", "small/m0", "--to", "trl", "--out", "out"])
        .success()
        .prints("out/pairs.jsonl")
        .says("becomes train.m1 by `mrx import checkpoint FOLDER --as small/m1`");
    // What training starts from lies beside the pairs.
    in_shards(&lab, "out/model", "trained");
    lab.write(
        "log.jsonl",
        "{\"step\":1,\"epoch\":0.5,\"loss\":0.6931,\"rewards/margins\":0.0}\n{\"step\":2,\"epoch\":1.0,\"loss\":0.65}\n",
    );
    let import = ["import", "checkpoint", "trained", "--as", "small/m1"];
    lab.mrx(&[&import[..], &["--metrics", "log.jsonl", "--by", "TRL 1.16, 8 cards"]].concat())
        .success()
        .prints("train.m1         is made");
    let kept = "SELECT count(*) FILTER (dtype = 'BF16') > 9, count(DISTINCT file) FROM checkpoints";
    assert_eq!(
        lab.ask(kept),
        "true,6",
        "two shards, their index, the config, and two files of the start"
    );
    assert_eq!(
        lab.ask("SELECT string_agg(value::VARCHAR, ' ' ORDER BY step, metric) FROM metrics"),
        "0.6931 0.0 0.65"
    );
    lab.mrx(&["show", "train.m1"])
        .success()
        .prints(
            "imported  LAB/trained, made by TRL 1.16, 8 cards"
                .replace("LAB", &lab.path.to_string_lossy())
                .as_str(),
        )
        .prints("trainer.name                 \"import\"");
    lab.mrx(&import).fails_with(1).says("train.m1 is made already, and a node is made once");

    // The next iteration draws from it, makes pairs of its own, and waits again.
    lab.mrx(&["run", "small"]).fails_with(3).says("train.m2: it waits");
    assert_eq!(lab.ask("SELECT count(*) > 0 FROM responses WHERE model = 'm1'"), "true");
    let m1 =
        ["export", "pairs", "small/m1", "--set", "train.reference=m0", "--out", "again", "--to"];
    lab.mrx(&[&m1[..], &["trl"]].concat())
        .fails_with(1)
        .says("`reference` of `[train]` cannot be said to TRL 1.16");
    lab.mrx(&[&m1[..], &["llama-factory"]].concat()).success().prints("again/reference");
    let config = fs::read_to_string(lab.path.join("again/dpo.yaml")).unwrap();
    assert!(config.contains("\nmodel_name_or_path: model\nref_model: reference\n"), "{config}");
    let same = |one: &str, other: &str| {
        let read = |path: &str| fs::read(lab.path.join(path)).unwrap();
        read(one) == read(other)
    };
    assert!(same("again/reference/model.safetensors", "small/model/model.safetensors"));
    assert!(same(
        "again/model/model-00001-of-00002.safetensors",
        "trained/model-00001-of-00002.safetensors"
    ));
    train(&lab, "out/model", "trained again");
    lab.write(
        "trained again/chat_template.jinja",
        "{% for m in messages %}{{ m.content }} {% endfor %}",
    );
    lab.mrx(&["import", "checkpoint", "trained again", "--as", "small/experiment.toml/m2"])
        .success()
        .says("trained again/chat_template.jinja is not the chat template of the model that training starts from");
    lab.mrx(&["run", "small"]).success().says("nothing to do");
    lab.mrx(&["trace", &lab.ask("SELECT min(response_id) FROM responses WHERE model = 'm1'")])
        .success()
        .prints("model from train.m1, imported from");
    lab.mrx(&["store", "verify"]).success();
}

#[test]
fn what_is_imported_is_kept_to_the_byte() {
    let lab = waiting();
    train(&lab, "small/model", "trained");
    lab.mrx(&["import", "checkpoint", "trained", "--as", "small/m1"]).success();
    let bytes = fs::read(lab.path.join("trained/model.safetensors")).unwrap();
    let kept = "SELECT DISTINCT object FROM checkpoints WHERE tensor IS NOT NULL";
    assert_eq!(lab.ask(kept), Digest::of(&bytes).to_hex());
    let inherited =
        "SELECT string_agg(file, ' ' ORDER BY file) FROM checkpoints WHERE tensor IS NULL";
    assert_eq!(lab.ask(inherited), "chat_template.jinja config.json tokenizer.json");
}

#[test]
fn m0_may_be_fine_tuned_elsewhere_too() {
    let lab = local::lab();
    lab.write(
        "small/examples.sql",
        "SELECT 'a b ' || i AS prompt, 'c d' AS target FROM range(4) t(i)",
    );
    lab.edit(
        "small/experiment.toml",
        "[prompts]",
        "[sft]\nsql = \"examples.sql\"\ntrainer = \"import\"\n\n[prompts]",
    );
    lab.mrx(&["import", "checkpoint", "small/model", "--as", "small/m0"])
        .fails_with(1)
        .says("no store");
    lab.mrx(&["run", "small", "respond.m0"]).fails_with(3).says("sft.m0: it waits");
    lab.mrx(&["import", "checkpoint", "small/model", "--as", "small/m0"])
        .success()
        .says("sft.m0: its weights are those that training starts from");
    lab.mrx(&["run", "small", "train.m1"]).success();
    assert_eq!(
        lab.ask("SELECT count(*) > 0 FROM metrics WHERE node = 'train.m1'"),
        "true",
        "trained here"
    );
}

#[test]
fn what_cannot_be_the_next_model_is_refused_with_file_and_tensor() {
    let lab = waiting();
    let refused = |folder: &str, told: &str| {
        lab.mrx(&["import", "checkpoint", folder, "--as", "small/m1"])
            .fails_with(1)
            .says(&format!("{folder} cannot be taken"))
            .says(told);
    };
    let changed = |folder: &str, change: &dyn Fn(&mut HashMap<String, Tensor>)| {
        train(&lab, "small/model", folder);
        let path = lab.path.join(folder);
        let mut all = tensors(&path);
        change(&mut all);
        candle_core::safetensors::save(&all, path.join("model.safetensors")).unwrap();
    };
    let norm = "model.norm.weight";
    changed("missing", &|all| drop(all.remove(norm)));
    refused("missing", "the model has no tensor `model.norm.weight`");
    changed("more", &|all| drop(all.insert("v_head.weight".to_owned(), all[norm].clone())));
    refused("more", "more/model.safetensors holds the tensor `v_head.weight`");
    changed("shape", &|all| {
        drop(all.insert(norm.to_owned(), Tensor::ones(8, DType::F32, &Device::Cpu).unwrap()));
    });
    refused("shape", "tensor `model.norm.weight` has the shape [8]");
    changed("nan", &|all| drop(all.insert(norm.to_owned(), (&all[norm] * f64::NAN).unwrap())));
    refused(
        "nan",
        "nan/model.safetensors: the tensor `model.norm.weight` has numbers that are not finite",
    );
    changed("whole", &|all| {
        drop(all.insert(norm.to_owned(), all[norm].to_dtype(DType::I64).unwrap()));
    });
    refused("whole", "whole/model.safetensors does not hold weights: `model.norm.weight` is I64");

    train(&lab, "small/model", "other");
    lab.edit("other/config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 4");
    refused(
        "other",
        "other/config.json is of another network than the model that training starts from: \
                      `num_attention_heads` is 4, expected 2",
    );
    lab.write("empty/README.md", "nothing");
    refused("empty", "the model has no `config.json`");
    lab.write("adapter/adapter_config.json", "{}").write("adapter/adapter_model.safetensors", "");
    refused(
        "adapter",
        "adapter/adapter_config.json is not a model's configuration: missing field `peft_type`",
    );
    assert_eq!(lab.ask("SELECT count(*) FROM checkpoints"), "0", "nothing was taken");
}

#[test]
fn an_import_that_nobody_waits_for_is_refused() {
    let lab = local::lab();
    train(&lab, "small/model", "trained");
    lab.mrx(&["run", "small", "prompts.m0"]).success();
    let import = |model: &str, more: &[&str]| {
        lab.mrx(&[&["import", "checkpoint", "trained", "--as", model], more].concat())
    };
    import("small/m1", &[])
        .fails_with(1)
        .says(
            "train.m1 waits for no checkpoint: `trainer` of `[train]` is \"local\", not \"import\"",
        )
        .says("say `trainer = \"import\"` in `[train]`");
    let by_hand = ["--set", "train.trainer=import"];
    import("small/m1", &by_hand)
        .fails_with(1)
        .says("train.m1 stands on respond.m0, which is not made yet")
        .says("`mrx run EXPERIMENT respond.m0` makes it");
    import("small/m9", &by_hand).fails_with(2).says("`train.m9` is not a node of `small`");
    import("small/m0", &by_hand).fails_with(2).says("`sft.m0` is not a node of `small`");
    import("small", &by_hand)
        .fails_with(2)
        .says("expected an experiment and a model of it, as `EXPERIMENT/m1`");
    lab.mrx(&["import", "checkpoint", "nowhere", "--as", "small/m1"])
        .fails_with(1)
        .says("cannot read the folder nowhere");
    lab.mrx(&["run", "small", "reference.m0"]).success();
    lab.write("log.jsonl", "{\"step\":1,\"epoch\":1,\"loss\":0.5}\n{\"loss\":0.4}\n");
    import("small/m1", &[&by_hand[..], &["--metrics", "log.jsonl"]].concat())
        .fails_with(1)
        .says("log.jsonl, line 2: expected a number of steps, `step`, found none");
    lab.mrx(&["run", "small", "train.m1", "--set", "train.trainer=slurm"])
        .fails_with(1)
        .says("unknown variant `slurm`");
}

#[test]
fn who_trains_is_in_the_key_only_where_it_is_somebody_else() {
    let lab = waiting();
    let why =
        lab.mrx(&["plan", "small", "--set", "train.trainer=local", "--format", "csv"]).success();
    why.prints("train.m1,miss");
    lab.mrx(&["run", "small", "train.m1", "--set", "train.trainer=local"]).success();
    lab.mrx(&["show", "train.m1", "--format", "json"]).success().prints("\"engine\"");
    let waits = lab.mrx(&["plan", "small", "--format", "csv"]).success();
    waits.prints("trainer (absent) → ");
    // Nothing to train on is carried on as here: nobody is waited for.
    let none = ["--set", "respond.samples=1", "--set", "train.on_no_pairs=keep"];
    lab.mrx(&[&["run", "small", "train.m1"], &none[..]].concat()).success();
}
