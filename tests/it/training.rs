//! Training against TRL and PyTorch, resumed against uninterrupted, and what stops it.
//!
//! `tests/data/make_references.py` made the numbers, and says with which versions.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use mrx::model::weights::{self, Weights};
use mrx::model::{Batch, Config, Network};
use mrx::train::adamw::AdamW;
use mrx::train::{
    Dpo, DpoLoss, Error, Example, Metrics, Objective, Preference, Schedule, Settings, Sft, Trainer,
};
use serde::Deserialize;
use serde_json::Value;

use crate::model::{data, files};

fn start(family: &str, dtype: DType) -> (Arc<Config>, Weights) {
    let mut files = files(&data("models").join(family));
    files.remove("references.safetensors");
    let config = Config::read(&files["config.json"]).unwrap();
    let weights = weights::load(&files, &config, dtype, &Device::Cpu).unwrap();
    (Arc::new(config), weights)
}

#[derive(Deserialize)]
struct DpoReference {
    #[serde(default)]
    pairs: Vec<DpoPair>,
    steps: Vec<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
struct DpoPair {
    prompt_ids: Vec<u32>,
    chosen_ids: Vec<u32>,
    rejected_ids: Vec<u32>,
    reference_chosen_logps: f64,
    reference_rejected_logps: f64,
}

fn read<T: for<'d> Deserialize<'d>>(path: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(data(path)).unwrap()).unwrap()
}

fn pairs() -> Vec<Preference> {
    let reference: DpoReference = read("training/dpo.json");
    let pair = |pair: DpoPair| Preference {
        prompt: pair.prompt_ids,
        chosen: pair.chosen_ids,
        rejected: pair.rejected_ids,
        reference_chosen: pair.reference_chosen_logps,
        reference_rejected: pair.reference_rejected_logps,
    };
    reference.pairs.into_iter().map(pair).collect()
}

/// As `make_references.py` trained.
fn settings() -> Settings {
    Settings {
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        batch: 4,
        shuffle: false,
        ..Settings::default()
    }
}

/// Fails unless `found` is within 1e-4 of `expected`, or 1e-6 where that is near 0.
fn close(found: &Metrics, expected: &serde_json::Map<String, Value>, what: &str) {
    let mut compared = 0;
    for (name, value) in &found.values {
        // At the first step both rewards are rounding errors, and so is which is larger.
        if found.step == 1 && *name == "rewards/accuracies" {
            continue;
        }
        let expected = expected[name.as_ref()].as_f64().unwrap();
        let off = (value - expected).abs();
        // A reward is β times a difference of two sums near −80, of which f32, in which TRL adds them
        // up, keeps five digits after the point: each may be off by 1e-5, and β is 0.1.
        let least = if name.starts_with("rewards/") { 4e-6 } else { 1e-6 };
        let limit = (1e-4 * expected.abs()).max(least);
        assert!(off <= limit, "{what}, step {}: {name} is {value}, not {expected}", found.step);
        compared += 1;
    }
    assert!(compared >= 3);
}

#[test]
fn dpo_takes_the_steps_of_trl() {
    let plain = Dpo::default();
    let variants = [
        ("dpo", plain),
        ("dpo_ipo", Dpo { loss: DpoLoss::Ipo, ..plain }),
        ("dpo_label_smoothing", Dpo { label_smoothing: 0.1, ..plain }),
        ("dpo_nll", Dpo { nll_weight: 1.0, ..plain }),
        ("dpo_length_normalised", Dpo { length_normalised: true, ..plain }),
    ];
    let pairs = pairs();
    for (name, dpo) in variants {
        let reference: DpoReference = read(&format!("training/{name}.json"));
        let (config, weights) = start("smollm", DType::F32);
        let mut trainer = Trainer::new(config, &weights, dpo, &pairs, settings()).unwrap();
        assert_eq!(trainer.steps(), 10);
        for expected in &reference.steps {
            let found = trainer.step().unwrap().unwrap();
            assert_eq!(found.values.len(), 9);
            close(&found, expected, name);
        }
    }
}

#[derive(Deserialize)]
struct SftReference {
    examples: Vec<SftExample>,
    steps: Vec<serde_json::Map<String, Value>>,
    final_logits: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct SftExample {
    prompt_ids: Vec<u32>,
    target_ids: Vec<u32>,
}

#[test]
fn fine_tuning_takes_the_steps_of_pytorch() {
    let reference: SftReference = read("training/sft.json");
    let example = |e: SftExample| Example { prompt: e.prompt_ids, target: e.target_ids };
    let examples: Vec<Example> = reference.examples.into_iter().map(example).collect();
    let adamw = AdamW { beta2: 0.95, weight_decay: 0.01, ..AdamW::default() };
    let settings =
        Settings { schedule: Schedule::Cosine, warmup_steps: 3, batch: 8, adamw, ..settings() };
    let (config, weights) = start("smollm", DType::F32);
    let mut trainer = Trainer::new(config, &weights, Sft, &examples, settings).unwrap();
    for expected in &reference.steps {
        close(&trainer.step().unwrap().unwrap(), expected, "sft");
    }
    assert!(trainer.step().unwrap().is_none(), "all steps are taken");
    let first = [examples[0].prompt.as_slice(), &examples[0].target].concat();
    let network = trainer.network();
    let hidden = network.hidden(&Batch::of([first.as_slice()])).unwrap();
    let logits = network.logits(&hidden).unwrap().to_vec2::<f32>().unwrap();
    let each = logits.iter().zip(&reference.final_logits).flat_map(|(a, b)| a.iter().zip(b));
    let worst = each.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-3, "after training the logits are off by {worst}");
}

/// Σ weights of the log-probabilities of some targets after prompts, as a function of the weights.
fn probe(network: &Network) -> Tensor {
    let (a, b) = ([5, 9, 20, 7, 33, 12, 8, 50], [5, 9, 21]);
    let groups = [(&a[..], vec![&b[..], &a[2..6]]), (&b[..], vec![&a[1..5]])];
    let (batch, sources) = Batch::of_continuations(groups);
    let targets = [&b[..], &a[2..6], &a[1..5]].concat();
    let logps = network.logps(&batch, &sources, &targets).unwrap();
    let scale: Vec<f64> = (0..).take(targets.len()).map(|i| 1.0 - f64::from(i) * 0.3).collect();
    let scale = Tensor::new(scale, &Device::Cpu).unwrap().to_dtype(logps.dtype()).unwrap();
    (logps * scale).unwrap().sum_all().unwrap()
}

fn variables(weights: &Weights) -> (Vec<(String, Var)>, Weights) {
    let var =
        |(name, tensor): (&String, &Tensor)| (name.clone(), Var::from_tensor(tensor).unwrap());
    let vars: Vec<(String, Var)> = weights.iter().map(var).collect();
    let own = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
    (vars, own)
}

#[test]
fn every_tensor_has_the_gradient_that_finite_differences_find() {
    for family in ["llama3", "mistral", "qwen2", "qwen3", "smollm"] {
        let (config, weights) = start(family, DType::F64);
        let (vars, own) = variables(&weights);
        let network = Network::new(config, &own).unwrap();
        let value = || probe(&network).to_scalar::<f64>().unwrap();
        let gradients = probe(&network).backward().unwrap();
        for (name, var) in vars {
            let gradient = gradients.get(var.as_tensor()).unwrap_or_else(|| panic!("{name}"));
            let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let largest = gradient.iter().map(|g| g.abs()).fold(0.0, f64::max);
            assert!(largest > 1e-9, "{family}: {name} has no gradient");
            let most = (0..gradient.len())
                .max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()))
                .unwrap();
            for place in [most, gradient.len() / 3, gradient.len() - 1] {
                let before = var.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                let at = |step: f64| {
                    let mut moved = before.clone();
                    moved[place] += step;
                    var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
                    value()
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                at(0.0);
                let (found, limit) = (gradient[place], 1e-5 * largest.max(1.0));
                assert!((found - slope).abs() < limit, "{family}: {name}: {found} for {slope}");
            }
        }
    }
}

#[test]
fn prompts_that_are_shared_change_nothing_that_is_learned() {
    let (config, weights) = start("qwen3", DType::F32);
    let network = Network::new(config, &weights).unwrap();
    let (prompt, a, b) = ([5, 9, 20, 7], [33, 12, 8], [50, 6]);
    let (batch, sources) = Batch::of_continuations([(&prompt[..], vec![&a[..], &b[..]])]);
    let shared = network.logps(&batch, &sources, &[&a[..], &b[..]].concat()).unwrap();
    let mut apart = Vec::new();
    for target in [&a[..], &b[..]] {
        let (batch, sources) = Batch::of_continuations([(&prompt[..], vec![target])]);
        apart.extend(network.logps(&batch, &sources, target).unwrap().to_vec1::<f32>().unwrap());
    }
    assert_eq!(shared.to_vec1::<f32>().unwrap(), apart);
}

/// Steps until the end, and what is left: metrics and the bytes of the weights.
fn finish<O: Objective>(mut trainer: Trainer<'_, O>, folder: &Path) -> (Vec<Metrics>, Vec<u8>) {
    let mut metrics = Vec::new();
    while let Some(step) = trainer.step().unwrap() {
        metrics.push(step);
    }
    let path = folder.join("model.safetensors");
    weights::save(&trainer.weights(), trainer.network().config(), &path).unwrap();
    (metrics, std::fs::read(path).unwrap())
}

fn save<O: Objective>(trainer: &mut Trainer<'_, O>, path: &Path) {
    trainer.snapshot().write(&mut std::fs::File::create(path).unwrap()).unwrap();
}

#[test]
fn a_snapshot_stays_what_it_was_while_the_next_step_is_under_way() {
    let (pairs, (config, weights)) = (pairs(), start("smollm", DType::F32));
    let mut trainer = Trainer::new(config, &weights, Dpo::default(), &pairs, settings()).unwrap();
    trainer.step().unwrap();
    let (mut before, mut beside, mut after) = (Vec::new(), Vec::new(), Vec::new());
    trainer.snapshot().write(&mut before).unwrap();
    let snapshot = trainer.snapshot();
    std::thread::scope(|scope| {
        let step = scope.spawn(|| trainer.step().unwrap());
        // Time for the step to come to where it moves weights.
        std::thread::sleep(std::time::Duration::from_millis(300));
        snapshot.write(&mut beside).unwrap();
        assert!(!step.is_finished(), "it waits until the snapshot is dropped");
        drop(snapshot);
        assert_eq!(step.join().unwrap().unwrap().step, 2);
    });
    assert!(beside == before, "no weight has moved");
    trainer.snapshot().write(&mut after).unwrap();
    assert!(after != before, "now they have");
}

#[test]
fn a_run_that_is_killed_and_resumed_ends_in_the_same_bytes() {
    let pairs = pairs();
    let (config, weights) = start("smollm", DType::F32);
    let settings = Settings { epochs: 2, batch: 7, shuffle: true, seed: 5, ..settings() };
    let make = || {
        Trainer::new(config.clone(), &weights, Dpo::default(), &pairs, settings.clone()).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let (metrics, bytes) = finish(make(), folder.path());
    assert_eq!(metrics.len(), 12);
    let state = folder.path().join("state.safetensors");
    for killed_after in [0, 1, 5, 6, 11, 12] {
        let mut first = make();
        for _ in 0..killed_after {
            first.step().unwrap();
        }
        save(&mut first, &state);
        drop(first);
        let mut second = make();
        second.resume(&state, killed_after).unwrap();
        assert_eq!(second.done(), killed_after);
        let (rest, resumed) = finish(second, folder.path());
        assert_eq!(rest, metrics[killed_after..]);
        assert!(resumed == bytes, "killed after step {killed_after}");
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (alone, with_one) = pool.install(|| finish(make(), folder.path()));
    assert_eq!(alone, metrics);
    assert!(with_one == bytes, "with one thread");
}

#[test]
fn a_saved_state_of_another_run_is_refused() {
    let pairs = pairs();
    let (config, weights) = start("smollm", DType::F32);
    let make = |settings: Settings, dpo: Dpo| {
        Trainer::new(config.clone(), &weights, dpo, &pairs, settings).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    save(&mut make(settings(), Dpo::default()), &state);
    let refuse = |settings: Settings, dpo: Dpo, done: usize| {
        let error = make(settings, dpo).resume(&state, done).unwrap_err();
        assert!(matches!(error, Error::State { .. }), "{error}");
        error.to_string()
    };
    let plain = Dpo::default();
    let others = [
        Dpo { beta: 0.2, ..plain },
        Dpo { loss: DpoLoss::Ipo, ..plain },
        Dpo { label_smoothing: 0.1, ..plain },
        Dpo { nll_weight: 1.0, ..plain },
        Dpo { length_normalised: true, ..plain },
        Dpo { reference_is_start: false, ..plain },
    ];
    for other in others {
        let error = refuse(settings(), other, 0);
        assert!(error.contains("other settings or other examples"), "{other:?}: {error}");
    }
    let error = refuse(Settings { learning_rate: 2e-3, ..settings() }, plain, 0);
    assert!(error.contains("other settings or other examples"), "{error}");
    let error = refuse(settings(), plain, 1);
    assert!(error.contains("expected a state after step 1, found [0]"), "{error}");
    make(settings(), plain).resume(&state, 0).unwrap();
    std::fs::write(&state, &std::fs::read(&state).unwrap()[..1000]).unwrap();
    refuse(settings(), plain, 0);
}

#[test]
fn what_cannot_be_learned_is_named() {
    let (config, weights) = start("smollm", DType::F32);
    let fail = |pairs: &[Preference], settings: Settings| {
        let trainer = Trainer::new(config.clone(), &weights, Dpo::default(), pairs, settings);
        let error = trainer.and_then(|mut trainer| trainer.step().map(|_| ()));
        error.unwrap_err().to_string()
    };
    let good = pairs();
    let with = |change: &dyn Fn(&mut Preference)| {
        let mut pairs = good.clone();
        change(&mut pairs[2]);
        pairs
    };
    let cases = [
        (with(&|pair| pair.rejected.clear()), "example 2: its target is empty"),
        (with(&|pair| pair.prompt.clear()), "example 2: its prompt is empty"),
        (with(&|pair| pair.chosen = vec![9; 300]), "tokens do not fit a context of 256"),
        (with(&|pair| pair.chosen[0] = 96), "token 96 is not below the vocabulary's 96"),
        (with(&|pair| pair.reference_chosen += 0.5), "example 2: the model gives a target"),
        (with(&|pair| pair.reference_chosen = f64::NAN), "its reference NaN"),
    ];
    for (pairs, expected) in cases {
        let error = fail(&pairs, settings());
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(fail(&[], settings()), "there is no example to train on");
    let negative = Settings { learning_rate: f64::NAN, ..settings() };
    assert_eq!(fail(&good, negative), "`learning_rate` is NaN: it should be at least 0");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_with_its_batch_in_hand() {
    let pairs = pairs();
    let (config, mut weights) = start("smollm", DType::F32);
    let norm = weights.get_mut("model.norm.weight").unwrap();
    *norm = (&*norm * f64::NAN).unwrap();
    let free = Dpo { reference_is_start: false, ..Dpo::default() };
    let mut trainer = Trainer::new(config, &weights, free, &pairs, settings()).unwrap();
    let error = trainer.step().unwrap_err();
    assert_eq!(
        error.to_string(),
        "step 1: the loss is NaN; the examples of this step: [0, 1, 2, 3]"
    );
    assert_eq!(trainer.done(), 0, "the step is not taken");
}
