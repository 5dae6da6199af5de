//! A random model, as a folder and as a GGUF file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use mrx::model::{self, Config, Weights, listed, train_tokenizer, weights};
use serde_json::{Value as Json, json};

pub(super) const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

pub(super) const TEXTS: [&str; 6] = [
    "the cat sat on the mat",
    "It's 12345 o'clock, isn't it? WE'LL see\n\n  Two  spaces",
    "naïve café, A\u{30a}ngström, 北京 and \u{1f600}\u{1f680}",
    "\t tabs\r\nand lines \n",
    "<|im_start|>user\nWhat is 7+8?<|im_end|>\n",
    " ",
];

const TEMPLATE: &str =
    "{% for m in messages %}<|im_start|>{{ m.content }}{{ eos_token }}{% endfor %}";

/// Metadata by key.
pub(super) type Metadata = BTreeMap<String, Value>;

/// A random model of a family.
pub(super) struct Twins {
    folder: tempfile::TempDir,
    config: Config,
    weights: Weights,
    pub(super) tokenizer: Json,
}

impl Twins {
    /// A model of this architecture, with more fields in its configuration.
    pub(super) fn of(architecture: &str, more: &Json) -> Self {
        let texts = TEXTS.into_iter().map(ToOwned::to_owned);
        let tokenizer = train_tokenizer(texts, 320, &SPECIAL).unwrap();
        let mut config = json!({
            "architectures": [architecture], "hidden_size": 256, "intermediate_size": 512,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": 320, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
            "rope_theta": 5000.0, "initializer_range": 0.1, "eos_token_id": 2,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let config = Config::of(config.as_object().unwrap().clone()).unwrap();
        // Norms and biases that do something.
        let moved = |(name, tensor): (String, Tensor)| {
            let noise = Tensor::rand(-0.2_f32, 0.2, tensor.dims(), &Device::Cpu).unwrap();
            (name, if tensor.rank() == 1 { (tensor + noise).unwrap() } else { tensor })
        };
        let weights = weights::initialise(&config, 3, &Device::Cpu).unwrap();
        let weights = weights.into_iter().map(moved).collect();
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = serde_json::from_str(&tokenizer).unwrap();
        Self { folder, config, weights, tokenizer }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("model.gguf")
    }

    /// Writes the GGUF file with its matrices in blocks of a type, and the folder with the numbers that come of
    /// them; returns the folder.
    pub(super) fn write(&self, blocks: GgmlDType) -> PathBuf {
        self.write_with(&self.tensors(blocks), &self.metadata("gpt-2"));
        let folder = self.folder.path().join("folder");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
        fs::write(folder.join("chat_template.jinja"), TEMPLATE).unwrap();
        let tokens = json!({ "eos_token": "<|im_end|>" });
        fs::write(folder.join("tokenizer_config.json"), tokens.to_string()).unwrap();
        let companions = listed(&folder).unwrap();
        model::save(&folder, &self.config, &self.rounded(blocks), &companions).unwrap();
        folder
    }

    /// Writes the GGUF file of these tensors and this metadata.
    pub(super) fn write_with(&self, tensors: &BTreeMap<String, QTensor>, metadata: &Metadata) {
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<_> =
            tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut file = fs::File::create(self.file()).unwrap();
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    }

    /// The tensors as llama.cpp's converter writes them, matrices in blocks of a type.
    pub(super) fn tensors(&self, blocks: GgmlDType) -> BTreeMap<String, QTensor> {
        let quantised = |(name, tensor): (&String, &Tensor)| {
            let blocks = if tensor.rank() == 2 { blocks } else { GgmlDType::F32 };
            let tensor = self.in_turns(name, &transposed(name, tensor));
            (there(name), QTensor::quantize(&tensor, blocks).unwrap())
        };
        self.weights.iter().map(quantised).collect()
    }

    /// The weights that are left when their matrices were in blocks of a type.
    fn rounded(&self, blocks: GgmlDType) -> Weights {
        let tensors = self.tensors(blocks);
        let plain = |name: &String| {
            let tensor = tensors[&there(name)].dequantize(&Device::Cpu).unwrap();
            (name.clone(), transposed(name, &self.in_halves(name, &tensor)))
        };
        self.weights.keys().map(plain).collect()
    }

    fn architecture(&self) -> &str {
        self.config.text["architectures"][0].as_str().unwrap()
    }

    /// As llama.cpp's converter turns the rows of queries and keys about.
    fn in_turns(&self, name: &str, tensor: &Tensor) -> Tensor {
        self.turned(name, tensor, |heads, half| [heads, 2, half])
    }

    fn in_halves(&self, name: &str, tensor: &Tensor) -> Tensor {
        self.turned(name, tensor, |heads, half| [heads, half, 2])
    }

    fn turned(&self, name: &str, tensor: &Tensor, split: fn(usize, usize) -> [usize; 3]) -> Tensor {
        let heads = match name.rsplit('.').nth(1) {
            Some("q_proj") => self.config.num_attention_heads,
            Some("k_proj") => self.config.num_key_value_heads,
            _ => return tensor.clone(),
        };
        if self.architecture() != "LlamaForCausalLM" {
            return tensor.clone();
        }
        let half = tensor.dim(0).unwrap() / heads / 2;
        let split = [&split(heads, half)[..], &tensor.dims()[1..]].concat();
        let turned = tensor.reshape(split).unwrap().transpose(1, 2).unwrap();
        turned.contiguous().unwrap().reshape(tensor.dims()).unwrap()
    }

    /// What the file says, of a tokenizer that cuts texts in this way.
    pub(super) fn metadata(&self, way: &str) -> Metadata {
        let (name, config) = (self.architecture(), &self.config);
        let name = name.strip_suffix("ForCausalLM").unwrap().to_lowercase();
        let size = |size: usize| Value::U32(u32::try_from(size).unwrap());
        let sizes = [
            ("block_count", config.num_hidden_layers),
            ("context_length", config.max_position_embeddings),
            ("embedding_length", config.hidden_size),
            ("feed_forward_length", config.intermediate_size),
            ("attention.head_count", config.num_attention_heads),
            ("attention.head_count_kv", config.num_key_value_heads),
            ("attention.key_length", config.head_dim),
        ];
        let numbers = [("attention.layer_norm_rms_epsilon", 1e-5), ("rope.freq_base", 5000.0)];
        let sizes = sizes.map(|(key, value)| (format!("{name}.{key}"), size(value)));
        let numbers = numbers.map(|(key, value)| (format!("{name}.{key}"), Value::F32(value)));
        let mut all: Metadata = sizes.into_iter().chain(numbers).collect();
        all.insert("general.architecture".to_owned(), Value::String(name));
        all.insert("tokenizer.chat_template".to_owned(), Value::String(TEMPLATE.to_owned()));
        all.insert("tokenizer.ggml.eos_token_id".to_owned(), Value::U32(2));
        all.extend(vocabulary(&self.tokenizer, way));
        all
    }
}

fn transposed(name: &str, tensor: &Tensor) -> Tensor {
    if name.contains("proj") || name.contains("lm_head") && tensor.rank() == 2 {
        return if tensor.rank() == 2 {
            tensor.t().unwrap().contiguous().unwrap()
        } else {
            tensor.clone()
        };
    }
    tensor.clone()
}

/// The name of a tensor in a GGUF file.
fn there(name: &str) -> String {
    let parts = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    parts.iter().fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs))
}

/// Keys of a tokenizer of bytes.
fn vocabulary(tokenizer: &Json, way: &str) -> Metadata {
    let vocab = tokenizer["model"]["vocab"].as_object().unwrap();
    let mut tokens: Vec<(u64, &String)> =
        vocab.iter().map(|(text, id)| (id.as_u64().unwrap(), text)).collect();
    tokens.sort();
    let kind = |text: &String| if SPECIAL.contains(&text.as_str()) { 3 } else { 1 };
    let kinds = tokens.iter().map(|(_, text)| Value::I32(kind(text))).collect();
    let texts = tokens.iter().map(|(_, text)| Value::String((*text).clone())).collect();
    let merges = tokenizer["model"]["merges"].as_array().unwrap().iter().map(|merge| {
        let [left, right] = [0, 1].map(|side| merge[side].as_str().unwrap());
        Value::String(format!("{left} {right}"))
    });
    let named = [
        ("model", Value::String("gpt2".to_owned())),
        ("pre", Value::String(way.to_owned())),
        ("tokens", Value::Array(texts)),
        ("token_type", Value::Array(kinds)),
        ("merges", Value::Array(merges.collect())),
    ];
    named.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect()
}

/// Changes the first place where a file says something.
pub(super) fn patch(path: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(from.len()).position(|found| found == from).unwrap();
    bytes.splice(at..at + from.len(), to.iter().copied());
    fs::write(path, bytes).unwrap();
}
