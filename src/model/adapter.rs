//! Low-rank adapters (Hu et al., 2021) as PEFT writes them: beside a projection W `[outputs, inputs]` stand A
//! `[rank, inputs]` and B `[outputs, rank]`, and what runs is W + alpha / rank · B·A.
//!
//! A folder with an adapter has the files of its base in `base/`: what is read and what goes with it is all
//! in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::Config;
use super::error::{BadAdapter, Error};
use super::folder::parse;
use super::parameters::{Kind, Parameter, parameters};
use super::tensors::{Located, contents};

/// PEFT's name of what an adapter is.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// PEFT's name of its weights.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
/// Where the files of its base are.
const BASE: &str = "base/";

/// What an adapter is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adapter {
    /// Its rank, at least 1.
    pub rank: usize,
    /// What it adds is multiplied by alpha / rank.
    pub alpha: f64,
    /// The share of its inputs that is left out in training, in `[0, 1)`.
    pub dropout: f64,
    /// The projections that it stands beside, by the last part of their names: `q_proj`. Sorted.
    pub target_modules: Vec<String>,
}

/// `adapter_config.json`, as far as it is read.
#[derive(Deserialize)]
struct Written {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Value,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Fields that change what an adapter computes, where they say anything.
const UNSUPPORTED: [&str; 10] = [
    "use_dora",
    "use_rslora",
    "fan_in_fan_out",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layers_to_transform",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
];

/// Whether a folder of these files has an adapter.
#[must_use]
pub fn is_adapted(files: &BTreeMap<String, PathBuf>) -> bool {
    files.contains_key(ADAPTER_CONFIG)
}

/// Whether a folder of these files has an adapter, and nothing that it stands on.
#[must_use]
pub fn is_adapter_alone(files: &BTreeMap<String, PathBuf>) -> bool {
    let is_weights = |name: &String| name.ends_with(".safetensors") && name != ADAPTER_WEIGHTS;
    is_adapted(files) && !files.keys().any(is_weights)
}

/// Of the files of a folder with an adapter those of its base, by the names in a folder of their own; of any
/// other folder, all.
#[must_use]
pub fn base_files(files: &BTreeMap<String, PathBuf>) -> BTreeMap<String, PathBuf> {
    if !is_adapted(files) {
        return files.clone();
    }
    let within = |(name, path): (&String, &PathBuf)| match name.strip_prefix(BASE) {
        Some(name) => Some((name.to_owned(), path.clone())),
        None if name == ADAPTER_CONFIG || name == ADAPTER_WEIGHTS => None,
        None => Some((name.clone(), path.clone())),
    };
    files.iter().filter_map(within).collect()
}

/// The files of a folder with an adapter: its own, and those of its base. What both have in common,
/// tokenizer and configuration, is the base's.
#[must_use]
pub fn adapted_files(
    base: &BTreeMap<String, PathBuf>,
    adapter: BTreeMap<String, PathBuf>,
) -> BTreeMap<String, PathBuf> {
    let placed = |(name, path): (&String, &PathBuf)| {
        let weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
        let name = if weights { format!("{BASE}{name}") } else { name.clone() };
        (name, path.clone())
    };
    base.iter().map(placed).chain(adapter).collect()
}

impl Adapter {
    /// Reads what the adapter of a folder is; `None` where it has none.
    ///
    /// # Errors
    /// Where it is damaged, or computes something that is not supported.
    pub fn open(files: &BTreeMap<String, PathBuf>) -> Result<Option<Self>, Error> {
        let Some(path) = files.get(ADAPTER_CONFIG) else { return Ok(None) };
        let written: Written = parse(path)?;
        let adapter = written.adapter();
        adapter.map(Some).map_err(|why| Error::Adapter { path: path.clone(), why })
    }

    /// `adapter_config.json`, as PEFT and vLLM read it; `base` says what it stands on.
    #[must_use]
    pub fn to_json(&self, base: &str) -> String {
        let text = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": self.target_modules,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        format!("{text:#}\n")
    }

    /// Whether it stands beside the projection of a name.
    pub(super) fn is_beside(&self, projection: &str) -> bool {
        let module = projection.rsplit('.').next();
        module.is_some_and(|module| self.target_modules.iter().any(|target| target == module))
    }

    /// Checks that a network has what the adapter stands beside.
    ///
    /// # Errors
    /// Naming a module that it does not have, or what is wrong with the rank.
    pub fn check(&self, config: &Config) -> Result<(), BadAdapter> {
        if self.rank == 0 {
            let (field, found) = ("r".to_owned(), "0".to_owned());
            return Err(BadAdapter::Setting { field, found, expected: "at least 1" });
        }
        let known: BTreeSet<String> = projections(config).map(|(module, _)| module).collect();
        match self.target_modules.iter().find(|module| !known.contains(*module)) {
            None => Ok(()),
            Some(module) => Err(BadAdapter::NoSuchModule {
                module: module.clone(),
                known: known.into_iter().collect(),
            }),
        }
    }
}

/// The projections of a network that may be adapted, by the last part of their names.
pub(super) fn projections(config: &Config) -> impl Iterator<Item = (String, Parameter)> {
    parameters(config).into_iter().filter_map(|parameter| {
        let module = parameter.name.strip_suffix(".weight")?.rsplit('.').next()?.to_owned();
        let is_one = parameter.kind == Kind::Projection && module != "lm_head";
        is_one.then_some((module, parameter))
    })
}

impl Written {
    fn adapter(self) -> Result<Adapter, BadAdapter> {
        let setting = |field: &str, found: String, expected| {
            Err(BadAdapter::Setting { field: field.to_owned(), found, expected })
        };
        if self.peft_type != "LORA" {
            return setting("peft_type", self.peft_type, "`LORA`");
        }
        let says = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        let others = self.others.iter();
        let mut asked =
            others.filter(|(name, value)| UNSUPPORTED.contains(&name.as_str()) && says(value));
        if let Some((name, value)) = asked.next() {
            return setting(name, value.to_string(), "nothing");
        }
        if let Some(bias) = self.others.get("bias").filter(|bias| **bias != json!("none")) {
            return setting("bias", bias.to_string(), "`none`");
        }
        let modules = serde_json::from_value(self.target_modules.clone());
        let Ok(mut target_modules): Result<Vec<String>, _> = modules else {
            return setting("target_modules", self.target_modules.to_string(), "a list of names");
        };
        target_modules.sort();
        let (rank, alpha, dropout) = (self.r, self.lora_alpha, self.lora_dropout);
        Ok(Adapter { rank, alpha, dropout, target_modules })
    }
}

/// An adapter's tensors, checked, and where they are.
pub(super) struct Deltas {
    scale: f64,
    /// A and B, by the name of the weight that they stand beside.
    pub(super) pairs: BTreeMap<String, [Located; 2]>,
}

impl Deltas {
    /// Finds the tensors of the adapter that a folder has; `None` where it has none.
    pub(super) fn find(
        files: &BTreeMap<String, PathBuf>,
        config: &Config,
    ) -> Result<Option<Self>, Error> {
        let Some(adapter) = Adapter::open(files)? else { return Ok(None) };
        let named = |name: &str| files.get(name).ok_or_else(|| Error::NoFile(name.to_owned()));
        let (at, path) = (named(ADAPTER_CONFIG)?, named(ADAPTER_WEIGHTS)?);
        adapter.check(config).map_err(|why| Error::Adapter { path: at.clone(), why })?;
        let tensors: BTreeMap<String, Located> = contents(path)?.into_iter().collect();
        let deltas = Self::of(&adapter, config, tensors);
        deltas.map(Some).map_err(|why| Error::Adapter { path: path.clone(), why })
    }

    fn of(
        adapter: &Adapter,
        config: &Config,
        mut tensors: BTreeMap<String, Located>,
    ) -> Result<Self, BadAdapter> {
        let mut pairs = BTreeMap::new();
        for (module, parameter) in projections(config) {
            if !adapter.target_modules.contains(&module) {
                continue;
            }
            let (outputs, inputs) = (parameter.shape[0], parameter.shape[1]);
            let stem = parameter.name.trim_end_matches(".weight");
            let mut take = |part: &str, expected: [usize; 2]| {
                let name = format!("base_model.model.{stem}.{part}.weight");
                let Some(tensor) = tensors.remove(&name) else {
                    return Err(BadAdapter::Missing(name));
                };
                let found = tensor.shape().to_vec();
                if found == expected {
                    return Ok(tensor);
                }
                Err(BadAdapter::Shape { name, found, expected: expected.to_vec() })
            };
            let a = take("lora_A", [adapter.rank, inputs])?;
            let b = take("lora_B", [outputs, adapter.rank])?;
            pairs.insert(parameter.name, [a, b]);
        }
        match tensors.into_keys().next() {
            Some(name) => Err(BadAdapter::Unknown(name)),
            None => Ok(Self { scale: adapter.alpha / adapter.rank as f64, pairs }),
        }
    }

    /// Whether anything is added to a weight.
    pub(super) fn stand_beside(&self, name: &str) -> bool {
        self.pairs.contains_key(name)
    }

    /// Adds to a weight, as it lies in a checkpoint, what the adapter adds, in f32.
    pub(super) fn added(
        &self,
        name: &str,
        weight: Tensor,
        device: &Device,
    ) -> Result<Tensor, Error> {
        let Some([a, b]) = self.pairs.get(name) else { return Ok(weight) };
        let (a, b) = (a.tensor(DType::F32, device)?, b.tensor(DType::F32, device)?);
        let delta = (b.matmul(&a)? * self.scale)?;
        let dtype = weight.dtype();
        Ok((weight.to_dtype(DType::F32)? + delta)?.to_dtype(dtype)?)
    }
}
