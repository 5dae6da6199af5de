//! The real TRL, where `MRX_TRL_PYTHON` names a Python that has it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{DType, Device};
use mrx::model::adapter::base_files;
use mrx::model::{Config, weights};

use crate::lab::{Lab, PROJECT, skip};
use crate::local;

/// A lab, and the Python that has TRL.
fn lab() -> Option<(Lab, String)> {
    let Ok(python) = std::env::var("MRX_TRL_PYTHON") else {
        skip("MRX_TRL_PYTHON names no Python with TRL");
        return None;
    };
    let lab = local::lab();
    lab.write(
        "small/model/tokenizer_config.json",
        r#"{ "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "</s>" }"#,
    );
    // transformers looks for the kind of model elsewhere than mrx does.
    lab.edit(
        "small/model/config.json",
        "\"hidden_size\"",
        "\"model_type\": \"llama\", \"hidden_size\"",
    );
    Some((lab, python))
}

/// The weights of a model that an experiment made.
fn weights_of(lab: &Lab, experiment: &str) -> BTreeMap<String, Vec<f32>> {
    let files = files_of(lab, experiment);
    let config = Config::open(&files).unwrap();
    let read = weights::load(&files, &config, DType::F32, &Device::Cpu).unwrap();
    let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    read.iter().map(|(name, tensor)| (name.clone(), numbers(tensor))).collect()
}

/// Checks that two experiments took the same ten steps.
fn the_same_steps(lab: &Lab, ours: &str, theirs: &str) {
    // Before the first step both sides of a pair are as likely as the reference says: which is by a hair the
    // likelier is rounding.
    let apart = format!(
        "SELECT count(*) || ' ' || coalesce(string_agg(metric || ' ' || step || ': ' || a.value || ' ' || b.value, \
         ', ') FILTER (abs(a.value - b.value) > 1e-6 + 1e-4 * abs(a.value)), 'none') \
         FROM metrics a JOIN metrics b USING (metric, step, model) WHERE a.experiment = '{ours}' AND b.experiment = \
         '{theirs}' AND model = 'm1' AND NOT (metric = 'rewards/accuracies' AND step = 1)"
    );
    let said = lab.ask(&apart);
    assert!(said.ends_with(" none") && !said.starts_with("0 "), "{ours} {theirs}: {said}");
    let (one, other) = (weights_of(lab, ours), weights_of(lab, theirs));
    for (name, numbers) in one {
        let worst =
            numbers.iter().zip(&other[&name]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{name} differs by {worst}");
    }
}

#[test]
fn ten_steps_of_trl_are_ten_of_ours() {
    let Some((lab, python)) = lab() else { return };
    let python = format!("trainer.python={python}");
    for (name, settings) in [
        ("sigmoid", &[][..]),
        ("ipo", &["train.loss=ipo"]),
        ("smooth", &["train.label_smoothing=0.1"]),
        ("nll", &["train.nll_weight=0.3"]),
        ("normalised", &["train.length_normalised=true"]),
    ] {
        let [ours, theirs] = ["local", "trl"].map(|trainer| format!("{name}-{trainer}"));
        let steps =
            ["iterations=1", "prompts.per_iteration=80", "train.batch=3", "train.max_steps=10"];
        let common = settings.iter().copied().chain(steps);
        let set = |more: &[&str]| -> Vec<String> {
            let all = common.clone().chain(more.iter().copied());
            all.flat_map(|one| ["--set".to_owned(), one.to_owned()]).collect()
        };
        for (name, more) in [(&ours, &[][..]), (&theirs, &["train.trainer=trl", &python])] {
            let named = format!("name={name}");
            let mut arguments = vec!["run", "small", "train.m1", "--set", &named];
            let set = set(more);
            arguments.extend(set.iter().map(String::as_str));
            lab.mrx(&arguments).success();
        }
        the_same_steps(&lab, &ours, &theirs);
    }
}

/// Where the files of a model are that an experiment made, by name.
fn files_of(lab: &Lab, experiment: &str) -> BTreeMap<String, PathBuf> {
    let objects = format!(
        "SELECT file, any_value(object) FROM checkpoints WHERE experiment = '{experiment}' AND model = 'm1' \
         GROUP BY file"
    );
    let csv = lab.mrx(&["sql", &objects, "--format", "csv"]).success().stdout;
    let pairs = csv.lines().skip(1).map(|line| line.split_once(',').unwrap());
    let found = |(file, object): (&str, &str)| {
        (file.to_owned(), lab.store().object_path(object.parse().unwrap()))
    };
    pairs.map(found).collect()
}

#[test]
fn an_adapter_of_peft_is_gone_on_with_and_merged_as_peft_computes_it() {
    let Some((lab, python)) = lab() else { return };
    let text = fs::read_to_string(lab.path.join("small/experiment.toml")).unwrap();
    let tables = format!(
        "\n[trainer]\npython = \"{python}\"\n[adapter]\nrank = 3\ntarget_modules = [\"q_proj\", \"up_proj\"]\n"
    );
    lab.write("small/experiment.toml", &(text + &tables));
    lab.edit("small/experiment.toml", "[train]", "[train]\ntrainer = \"trl\"");
    lab.edit("small/experiment.toml", "2e-4", "1e-2");
    lab.mrx(&["run", "small", "train.m2"]).success();
    let base =
        "SELECT count(DISTINCT object) FROM checkpoints WHERE file = 'base/model.safetensors'";
    assert_eq!(lab.ask(base), "1", "both iterations stand on one base");
    let adapters =
        "SELECT count(DISTINCT object) FROM checkpoints WHERE file = 'adapter_model.safetensors'";
    assert_eq!(lab.ask(adapters), "2");

    let files = files_of(&lab, "small");
    let folder = |name: &str, files: BTreeMap<String, PathBuf>| {
        let folder = lab.path.join(name);
        fs::create_dir_all(&folder).unwrap();
        for (name, path) in files {
            fs::copy(path, folder.join(name)).unwrap();
        }
        folder
    };
    let own = |(name, _): &(&String, &PathBuf)| name.starts_with("adapter_");
    let owned = |(name, path): (&String, &PathBuf)| (name.clone(), path.clone());
    let base = folder("base", base_files(&files));
    let adapter = folder("adapter", files.iter().filter(own).map(owned).collect());
    let merged = folder("merged", base_files(&files));
    let config = Config::open(&files).unwrap();
    fs::remove_file(merged.join("model.safetensors")).unwrap();
    weights::save_merged(&files, &config, &merged.join("model.safetensors")).unwrap();
    let script = Path::new(PROJECT).join("tests/it/trl/peft_logits.py");
    let ran = Command::new(&python).arg(script).args([base, adapter, merged]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let (apart, moved) = said.trim().split_once(' ').unwrap_or_else(|| panic!("{ran:?}"));
    assert!(apart.parse::<f64>().unwrap() < 1e-5, "{said}");
    assert!(moved.parse::<f64>().unwrap() > 1e-3, "the adapter does something: {said}");
}
