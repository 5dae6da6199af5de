//! A model's folder: made from nothing, written back, and what is told about one that is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
use mrx::model::{
    self, Ask, Batch, CHATML, Config, Decoding, Finish, Local, Message, Network, Prompt, Tokenised,
    draw_all, open_device, train_tokenizer, weights,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::model::{data, files, network};

const TEXT: &str = "the cat sat on the mat and the dog sat on the log because they could";

fn small() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16,
        "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "vocab_size": 300, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 0,
    })
}

/// A folder made from a configuration, a seed and some text.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
    let tokenizer = train_tokenizer(std::iter::once(TEXT.to_owned()), 300, &special).unwrap();
    let config = Config::of(small().as_object().unwrap().clone()).unwrap();
    let weights = weights::initialise(&config, 7, &Device::Cpu).unwrap();
    model::save(folder.path(), &config, &weights, &BTreeMap::new()).unwrap();
    write(&folder, "tokenizer.json", &tokenizer);
    write(&folder, "chat_template.jinja", CHATML);
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).unwrap();
}

fn edit(folder: &TempDir, name: &str, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(folder.path().join(name)).unwrap()).unwrap();
    change(&mut value);
    write(folder, name, &value.to_string());
}

fn refused(folder: &TempDir) -> String {
    let error = model::open(&files(folder.path()), &Device::Cpu).err().unwrap();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text.replace(folder.path().to_str().unwrap(), "DIR")
}

fn ask(words: &str) -> Ask {
    Ask {
        prompt: Prompt::Messages(vec![Message::user(words)]),
        decoding: Decoding { max_tokens: 8, ..Decoding::default() },
        stop: Vec::new(),
        seeds: vec![3],
        names: Vec::new(),
    }
}

#[test]
fn a_model_is_made_from_a_configuration_a_seed_and_text() {
    let folder = folder();
    let model = Local::open(&files(folder.path()), &Device::Cpu).unwrap();
    let chat = [Message::user("the cat")];
    assert_eq!(
        model.chat().render(&chat, true).unwrap(),
        "<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
    );
    let Tokenised { prompt, target, apart } = model.tokenised(&chat, "sat on the mat").unwrap();
    assert!(!apart);
    assert_eq!(prompt, model.tokens(&Prompt::Messages(chat.to_vec())).unwrap());
    assert_eq!((prompt[0], target.last()), (1, Some(&2)), "a target ends with its turn");
    let drawn = draw_all(&model, &[ask("the cat")]).unwrap().remove(0);
    assert_eq!(drawn[0].prompt_tokens as usize, prompt.len());
    assert!(drawn[0].finish == Finish::Stop || drawn[0].tokens.len() == 8);
    assert_eq!(initial(7), initial(7));
    assert_ne!(initial(7), initial(8));
}

/// The bytes of the weights of a seed.
fn initial(seed: u64) -> Vec<u8> {
    let config = Config::of(small().as_object().unwrap().clone()).unwrap();
    let weights = weights::initialise(&config, seed, &Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    weights::save(&weights, &config, &path).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn a_tokenizer_is_trained_the_same_each_time_and_loses_no_text() {
    let train = || train_tokenizer(TEXT.split(' ').map(ToOwned::to_owned), 280, &["<s>"]).unwrap();
    let json = train();
    assert_eq!(json, train());
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "tokenizer.json", &json);
    let tokenizer = model::Tokenizer::open(&folder.path().join("tokenizer.json"), 300).unwrap();
    for text in ["the cat sat", " naïve — 日本語 \n\t{x}", "🦀", ""] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
    }
    assert!(tokenizer.encode("the").unwrap().len() < 3, "it has learned a word");
    let error = train_tokenizer(std::iter::empty(), 200, &["<s>"]).unwrap_err();
    assert_eq!(error.to_string(), "a byte-level vocabulary takes at least 257 ids, not 200");
}

#[test]
fn what_is_written_back_computes_the_same() {
    for family in ["llama3", "qwen2", "qwen3", "smollm_bf16"] {
        let source = data("models").join(family);
        let before = network(&source, DType::F32);
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(&source);
        files.remove("references.safetensors");
        let config = Config::read(&files["config.json"]).unwrap();
        let weights = weights::load(&files, &config, DType::F32, &Device::Cpu).unwrap();
        model::save(folder.path(), &config, &weights, &files).unwrap();
        let after = network(folder.path(), DType::F32);
        let batch = Batch::of([&[5, 6, 7, 8, 9][..]]);
        let logits = |network: &Network| {
            network.logits(&network.hidden(&batch).unwrap()).unwrap().to_vec2::<f32>().unwrap()
        };
        assert_eq!(logits(&before), logits(&after), "{family}");
        let names: Vec<String> = crate::model::files(folder.path()).into_keys().collect();
        assert!(names.contains(&"generation_config.json".to_owned()));
        assert!(!names.iter().any(|name| name.ends_with("index.json")), "{names:?}");
        let written: Value =
            serde_json::from_slice(&fs::read(folder.path().join("config.json")).unwrap()).unwrap();
        assert_eq!(written["dtype"], "float32");
        assert_eq!(written["architectures"][0], config.text["architectures"][0]);
    }
}

#[test]
fn a_configuration_that_is_wrong_is_told_with_its_field() {
    let cases: [(&str, Value, &str); 12] = [
        ("hidden_size", json!("16"), "invalid type: string \"16\", expected usize"),
        ("hidden_size", Value::Null, "invalid type: null, expected usize"),
        ("num_key_value_heads", json!(0), "`num_key_value_heads` is 0"),
        ("num_attention_heads", json!(3), "`head_dim` is 5: it should be even"),
        ("hidden_act", json!("gelu"), "`hidden_act` is `gelu`: only silu is computed"),
        ("rope_scaling", json!({"rope_type": "yarn"}), "rope scaling `yarn` is not computed"),
        ("rope_scaling", json!({"rope_type": "llama3"}), "rope scaling: missing field `factor`"),
        ("quantization_config", json!({}), "the weights are quantised"),
        ("num_hidden_layers", json!(100_000_000_000_u64), "at most 10000 is taken for a model's"),
        ("head_dim", json!(4_000_000_000_u64), "`head_dim` is 4000000000: at most 65536"),
        ("eos_token_id", json!("x"), "`eos_token_id` should be an id or a list of ids, not \"x\""),
        (
            "architectures",
            json!(["GPT2LMHeadModel"]),
            "DIR/config.json names the architecture `GPT2LMHeadModel`; these are run: \
             LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, scripted",
        ),
    ];
    for (field, value, expected) in cases {
        let folder = folder();
        edit(&folder, "config.json", |config| config[field] = value);
        let error = refused(&folder);
        assert!(error.contains(expected) && error.contains("DIR/config.json"), "{error}");
    }
    let folder = folder();
    edit(&folder, "config.json", |config| config["num_attention_heads"] = json!(4));
    edit(&folder, "config.json", |config| config["num_key_value_heads"] = json!(3));
    assert!(refused(&folder).contains("4 attention heads do not share 3 key-value heads"));
}

#[test]
fn a_tensor_that_is_missing_or_does_not_fit_is_named() {
    let missing = folder();
    edit(&missing, "config.json", |config| config["num_hidden_layers"] = json!(3));
    assert_eq!(
        refused(&missing),
        "the model has no tensor `model.layers.2.input_layernorm.weight`, which its configuration \
         asks for"
    );
    let shape = folder();
    edit(&shape, "config.json", |config| config["intermediate_size"] = json!(32));
    assert_eq!(
        refused(&shape),
        "tensor `model.layers.0.mlp.down_proj.weight` has the shape [16, 24], its configuration \
         says [16, 32]"
    );
    let unknown = folder();
    edit(&unknown, "config.json", |config| config["num_hidden_layers"] = json!(1));
    let error = refused(&unknown);
    assert!(error.contains("holds the tensor `model.layers.1.") && error.contains("not know"));
}

#[test]
fn hostile_weights_are_refused() {
    let header = |text: &str, data: usize| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let good = fs::read(folder().path().join("model.safetensors")).unwrap();
    let huge = [u64::MAX.to_le_bytes().as_slice(), &[0; 100]].concat();
    let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let past = r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
    let overflow = r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#;
    let cases = [
        (good[..good.len() - 1].to_vec(), "its header speaks of"),
        (good[..20].to_vec(), "a header of"),
        (vec![1, 2, 3], "it has no header"),
        (huge, "a header of 18446744073709551615 bytes"),
        (header(overlap, 12), "invalid offset for tensor `b`"),
        (header(past, 8), "its header speaks of 79 bytes, the file has 71"),
        (header(overflow, 0), "overflow"),
        (header("{]", 0), "key must be a string"),
        (header("", 0), "EOF"),
    ];
    for (bytes, expected) in cases {
        let folder = folder();
        fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        let error = refused(&folder);
        let named = error.starts_with("DIR/model.safetensors does not hold weights: ");
        assert!(named && error.to_lowercase().contains(&expected.to_lowercase()), "{error}");
    }
    let folder = folder();
    write(&folder, "model.safetensors.index.json", r#"{"weight_map": {"a": "gone.safetensors"}}"#);
    assert_eq!(refused(&folder), "the model has no `gone.safetensors`");
}

#[test]
fn a_tokenizer_or_a_template_that_does_not_fit_is_told() {
    let large = folder();
    let words = (0..200).map(|number| format!("number {number}"));
    let more = train_tokenizer(words, 310, &["<s>"]).unwrap();
    assert!(more.contains("309"), "the text is long enough for 310 tokens");
    write(&large, "tokenizer.json", &more);
    let error = refused(&large);
    assert!(error.contains("has the id 309, the model ids below 300"), "{error}");
    let broken = folder();
    write(&broken, "tokenizer.json", "{}");
    assert!(refused(&broken).starts_with("DIR/tokenizer.json is not this model's tokenizer: "));
    let template = folder();
    write(&template, "chat_template.jinja", "{% if %}");
    assert!(refused(&template).starts_with("template `chat_template.jinja`: line 1: "));
    let none = folder();
    fs::remove_file(none.path().join("chat_template.jinja")).unwrap();
    assert!(refused(&none).starts_with("the model has no `chat_template.jinja`, nor a "));
}

#[test]
fn a_prompt_that_cannot_be_answered_is_refused_and_others_go_on() {
    let folder = folder();
    let open = || Local::open(&files(folder.path()), &Device::Cpu).unwrap();
    let refuse = |prompt: Prompt| {
        let refused = Ask { prompt, seeds: vec![1, 2], ..ask("") };
        let mut replies = draw_all(&open(), &[refused, ask("the cat")]).unwrap();
        assert_eq!(replies[1].len(), 1, "the other has its text");
        let Finish::Refused(why) = replies[0].remove(1).finish else {
            panic!("it was not refused")
        };
        assert_eq!((replies[0].len(), replies[0][0].text.as_str()), (1, ""));
        why.to_string()
    };
    assert_eq!(refuse(Prompt::Tokens(Vec::new())), "the prompt is empty");
    assert_eq!(refuse(Prompt::Tokens(vec![5; 64])), "64 tokens do not fit a context of 64");
    let outside = Ask { prompt: Prompt::Tokens(vec![5, 300]), ..ask("") };
    let error = draw_all(&open(), &[ask("the cat"), outside]).unwrap_err().to_string();
    assert_eq!(error, "request 1: token 300 is not below the vocabulary's 300");
    let refuse = || {
        let mut replies = draw_all(&open(), &[ask("a")]).unwrap();
        let Finish::Refused(why) = replies.remove(0).remove(0).finish else {
            panic!("not refused")
        };
        why.to_string()
    };
    let raising = "{{ raise_exception('roles must alternate') }}";
    write(&folder, "chat_template.jinja", raising);
    assert_eq!(
        refuse(),
        "template `chat_template.jinja`: line 1: roles must alternate (roles: user)"
    );
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    write(&folder, "chat_template.jinja", endless);
    let error = refuse();
    assert!(error.contains("fuel"), "{error}");
    let huge = "{% for a in range(9999) %}{{ 'abcdefgh' * 9999 }}{% endfor %}";
    write(&folder, "chat_template.jinja", huge);
    let error = refuse();
    assert!(error.starts_with("template `chat_template.jinja`: "), "{error}");
    write(&folder, "chat_template.jinja", "");
    assert_eq!(refuse(), "the prompt is empty");
}

#[test]
fn a_device_that_this_build_has_not_is_told() {
    assert!(open_device("cpu").unwrap().is_cpu());
    let refuse = |name: &str| open_device(name).unwrap_err().to_string();
    assert_eq!(refuse("tpu"), "cannot compute on `tpu`: it is none of: cpu, cuda, cuda:N, metal");
    assert_eq!(refuse("cuda:x"), "cannot compute on `cuda:x`: `x` is not a device's number");
    if !cfg!(feature = "cuda") {
        assert_eq!(
            refuse("cuda:1"),
            "cannot compute on `cuda:1`: this build is without the feature `cuda`"
        );
    }
    if !cfg!(feature = "metal") {
        assert_eq!(
            refuse("metal"),
            "cannot compute on `metal`: this build is without the feature `metal`"
        );
    }
}

#[test]
fn the_folder_of_a_family_needs_nothing_else() {
    let network = network(Path::new(&data("models/mistral")), DType::F32);
    assert_eq!(Arc::clone(network.config()).windows, [Some(16), Some(16)]);
}
