//! A trainer that learns nothing worth knowing, and speaks as `train.py` does: this test binary, run for one of
//! its tests by a script that stands where a Python would.

use std::collections::HashMap;
use std::env::{current_exe, var, var_os};
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use candle_core::{Device, Tensor, safetensors};
use serde_json::{Value, json};

use crate::lab::Lab;

/// Writes the script into a lab, and returns the words of `[trainer] python`. It is told what to do by
/// variables:
///
/// - `FAKE_STEP`: milliseconds that a step takes
/// - `FAKE_CRASH`: ends after this step, once
/// - `FAKE_GARBAGE`, `FAKE_NAN`: the step whose report is none, or has a loss that is not a number
/// - `FAKE_MODEL`: what is wrong with the model that it writes: `missing`, `shape` or `nan`
/// - `FAKE_PACKAGES`: what it says that is wrong with its packages
pub(super) fn python(lab: &Lab, variables: &[(&str, &str)]) -> String {
    let script = lab.path.join("fake.sh");
    let mut text = "#!/bin/sh\n".to_owned();
    let libraries = var("LD_LIBRARY_PATH").ok();
    let libraries = libraries.as_deref().map(|path| ("LD_LIBRARY_PATH", path));
    for (name, value) in variables.iter().copied().chain(libraries) {
        let _ = writeln!(text, "export {name}='{value}'");
    }
    let wrong = variables.iter().find(|(name, _)| *name == "FAKE_PACKAGES");
    let wrong: Vec<&str> = wrong.map(|(_, what)| *what).into_iter().collect();
    let versions = json!({ "torch": "2.15.0", "transformers": "5.24.0", "trl": "1.16.0" });
    let said = json!({ "versions": versions, "wrong": wrong, "mend": "pip install it" });
    let _ = writeln!(text, "case \"$*\" in *--versions) echo '{said}'; exit;; esac");
    let (program, test) = (current_exe().unwrap(), "trl::fake::trains");
    text.push_str("eval \"FAKE_TASK=\\${$#}\"; export FAKE_TASK\n");
    let _ = writeln!(text, "exec '{}' --ignored --exact {test} --nocapture", program.display());
    fs::write(&script, text).unwrap();
    format!("sh '{}'", script.display())
}

fn number(name: &str) -> Option<u64> {
    var(name).ok().map(|text| text.parse().unwrap())
}

type Weights = HashMap<String, Tensor>;

/// The weights of a folder, of all its files.
fn weights_in(folder: &Path) -> Weights {
    let mut weights = Weights::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            weights.extend(safetensors::load(path, &Device::Cpu).unwrap());
        }
    }
    weights
}

struct Fake {
    folder: PathBuf,
    steps: u64,
    per_epoch: u64,
    save_steps: u64,
}

impl Fake {
    /// The last whole checkpoint, by its step.
    fn last(&self) -> Option<(u64, PathBuf)> {
        let entries = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let marked = entries.filter(|path| path.join("whole").exists());
        let step =
            |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("checkpoint-")?.parse().ok();
        marked.filter_map(|path| Some((step(&path)?, path))).max()
    }

    fn report(&self, step: u64) {
        let mut steps =
            fs::File::options().create(true).append(true).open(self.folder.join("steps.jsonl"));
        let loss = json!(0.7 / step as f64);
        let loss = if number("FAKE_NAN") == Some(step) { Value::Null } else { loss };
        let line = json!({
            "step": step, "epoch": step as f64 / self.per_epoch as f64, "loss": loss, "grad_norm": 1.0,
            "learning_rate": 1e-4, "num_tokens": step * 10, "rewards/margins": 0.01 * step as f64,
        });
        let line = if number("FAKE_GARBAGE") == Some(step) {
            "no JSON".to_owned()
        } else {
            line.to_string()
        };
        writeln!(steps.as_mut().unwrap(), "{line}").unwrap();
    }

    fn save(&self, name: &str, weights: &Weights) {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        safetensors::save(weights, folder.join("model.safetensors")).unwrap();
    }

    fn crash(&self, step: u64) {
        let mark = self.folder.join("../crashed");
        if number("FAKE_CRASH") == Some(step) && !mark.exists() {
            fs::write(mark, "").unwrap();
            let _ = writeln!(std::io::stderr(), "RuntimeError: out of luck at step {step}");
            std::process::exit(9);
        }
    }
}

#[test]
#[ignore = "it is a program that other tests start"]
fn trains() {
    let path = PathBuf::from(var_os("FAKE_TASK").expect("another test starts this one"));
    let task: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let rows = task["order"][0].as_array().unwrap().len() as u64;
    let fake = Fake {
        folder: path.parent().unwrap().to_owned(),
        steps: task["steps"].as_u64().unwrap(),
        per_epoch: rows.div_ceil(task["batch"].as_u64().unwrap()),
        save_steps: task["save_steps"].as_u64().unwrap(),
    };
    let last = fake.last();
    let begun = last.as_ref().map_or(0, |(step, _)| *step);
    let mut weights = match &last {
        Some((_, folder)) => weights_in(folder),
        None => weights_in(Path::new(task["model"].as_str().unwrap())),
    };
    let reports = fake.folder.join("steps.jsonl");
    let text = fs::read_to_string(&reports).unwrap_or_default();
    let kept: String = text.split_inclusive('\n').take(usize::try_from(begun).unwrap()).collect();
    fs::write(&reports, kept).unwrap();
    fs::write(fake.folder.join("trainer.json"), r#"{ "processes": 3, "device": "abacus" }"#)
        .unwrap();
    for step in begun + 1..=fake.steps {
        sleep(Duration::from_millis(number("FAKE_STEP").unwrap_or(0)));
        for tensor in weights.values_mut() {
            *tensor = (&*tensor * (1.0 + 1e-3 / step as f64)).unwrap();
        }
        fake.report(step);
        if task["keep_epochs"] == true && step.is_multiple_of(fake.per_epoch) {
            let epoch = step / fake.per_epoch;
            fake.save(&format!("epoch-{epoch}"), &weights);
        }
        if step.is_multiple_of(fake.save_steps) {
            fake.save(&format!("checkpoint-{step}"), &weights);
            fs::write(fake.folder.join(format!("checkpoint-{step}/whole")), "").unwrap();
        }
        fake.crash(step);
    }
    spoil(&mut weights);
    fake.save(".model", &weights);
    fs::rename(fake.folder.join(".model"), fake.folder.join("model")).unwrap();
}

/// Does to the weights what the test asks for.
fn spoil(weights: &mut Weights) {
    let norm = "model.norm.weight".to_owned();
    let size = weights[&norm].elem_count();
    match var("FAKE_MODEL").as_deref() {
        Ok("missing") => drop(weights.remove(&norm)),
        Ok("shape") => {
            let other = Tensor::ones(size + 1, candle_core::DType::F32, &Device::Cpu).unwrap();
            weights.insert(norm, other);
        }
        Ok("nan") => {
            let none = Tensor::full(f32::NAN, size, &Device::Cpu).unwrap();
            weights.insert(norm, none);
        }
        _ => {}
    }
}
