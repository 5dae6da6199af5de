//! GGUF files as models: what they say is what a folder with the same weights says.

mod twins;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use mrx::model::{
    Ask, Config, Continuation, Decoding, LanguageModel, Local, Message, Prompt, ScoreRequest,
    check_trained, draw_all, listed,
};
use serde_json::json;

use crate::lab::{Lab, skip};
use twins::{Metadata, TEXTS, Twins, patch};

fn open(path: &Path) -> Local {
    Local::open(&listed(path).unwrap(), &Device::Cpu).unwrap()
}

fn fault(path: &Path) -> String {
    Local::open(&listed(path).unwrap(), &Device::Cpu).unwrap_err().to_string()
}

fn asked(text: &str) -> Prompt {
    Prompt::Messages(vec![Message::user(text)])
}

/// Compares what two models read, draw and score.
fn are_one(name: &str, one: &Local, other: &Local) {
    let ask = |text: &&str| Ask {
        prompt: asked(text),
        decoding: Decoding { temperature: 0.0, max_tokens: 12, ..Decoding::default() },
        stop: Vec::new(),
        seeds: vec![1],
        names: Vec::new(),
    };
    let request = |text: &&str| ScoreRequest {
        prompt: asked(text),
        continuations: vec![Continuation::Text(TEXTS[1].to_owned())],
    };
    let asks: Vec<Ask> = TEXTS.iter().map(ask).collect();
    let requests: Vec<ScoreRequest> = TEXTS.iter().map(request).collect();
    let said = [one, other].map(|model| {
        let drawn = draw_all(model, &asks).unwrap().concat();
        let drawn: Vec<_> = drawn.into_iter().map(|reply| (reply.tokens, reply.text)).collect();
        (drawn, model.score(&requests).unwrap().concat())
    });
    let [(drawn, scores), (drawn_there, scores_there)] = said;
    assert_eq!(drawn, drawn_there, "{name}");
    for (score, there) in scores.iter().zip(&scores_there) {
        assert!((score - there).abs() < 1e-4 * there.abs(), "{name}: {score} and {there}");
    }
}

#[test]
fn a_file_says_what_the_folder_says_that_it_was_made_from() {
    let families = [
        ("LlamaForCausalLM", json!({})),
        ("LlamaForCausalLM", json!({ "tie_word_embeddings": true, "num_key_value_heads": 4 })),
        ("Qwen2ForCausalLM", json!({})),
        ("Qwen3ForCausalLM", json!({ "head_dim": 128 })),
    ];
    for (architecture, more) in families {
        let twins = Twins::of(architecture, &more);
        let folder = twins.write(GgmlDType::F32);
        are_one(&format!("{architecture} {more}"), &open(&folder), &open(&twins.file()));
    }
}

#[test]
fn every_type_of_blocks_is_read() {
    use GgmlDType::{BF16, F16, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    let twins = Twins::of("LlamaForCausalLM", &json!({}));
    for blocks in [F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2K, Q3K, Q4K, Q5K, Q6K] {
        let folder = twins.write(blocks);
        are_one(&format!("{blocks:?}"), &open(&folder), &open(&twins.file()));
    }
}

#[test]
fn rotary_frequencies_are_scaled_as_the_file_says() {
    let linear = json!({ "rope_scaling": { "type": "linear", "factor": 4.0 } });
    let twins = Twins::of("LlamaForCausalLM", &linear);
    let folder = twins.write(GgmlDType::F32);
    let (tensors, plain) = (twins.tensors(GgmlDType::F32), twins.metadata("gpt-2"));
    let mut metadata = plain.clone();
    metadata.insert("llama.rope.scaling.type".to_owned(), Value::String("linear".to_owned()));
    metadata.insert("llama.rope.scaling.factor".to_owned(), Value::F32(4.0));
    twins.write_with(&tensors, &metadata);
    are_one("linear", &open(&folder), &open(&twins.file()));
    // Llama 3.1's are a tensor.
    let mut tensors = tensors;
    let factors = Tensor::full(4.0_f32, 32, &Device::Cpu).unwrap();
    let factors = QTensor::quantize(&factors, GgmlDType::F32).unwrap();
    tensors.insert("rope_freqs.weight".to_owned(), factors);
    twins.write_with(&tensors, &plain);
    are_one("factors", &open(&folder), &open(&twins.file()));
    metadata.insert("llama.rope.scaling.type".to_owned(), Value::String("yarn".to_owned()));
    twins.write_with(&tensors, &metadata);
    assert!(fault(&twins.file()).contains("rope scaling `yarn` is not computed"));
}

#[test]
fn texts_are_cut_as_in_the_tokenizer_that_the_file_was_made_from() {
    let split = |pattern: &str| {
        let split = json!({
            "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false,
        });
        let level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
        });
        json!({ "type": "Sequence", "pretokenizers": [split, level] })
    };
    // As published with SmolLM 2, Qwen 2.5 and Llama 3.
    let level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    let digits = json!({ "type": "Digits", "individual_digits": true });
    let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let ways = [
        ("gpt-2", level.clone()),
        ("smollm", json!({ "type": "Sequence", "pretokenizers": [digits, level] })),
        ("qwen2", split(&words.replace("DIGITS", r"\p{N}"))),
        ("llama-bpe", split(&words.replace("DIGITS", r"\p{N}{1,3}"))),
    ];
    let mut twins = Twins::of("LlamaForCausalLM", &json!({}));
    for (way, cut) in ways {
        twins.tokenizer["pre_tokenizer"] = cut;
        twins.tokenizer["model"]["ignore_merges"] = json!(way == "llama-bpe");
        let nfc = json!({ "type": "NFC" });
        twins.tokenizer["normalizer"] = if way == "qwen2" { nfc } else { json!(null) };
        let folder = open(&twins.write(GgmlDType::F32));
        twins.write_with(&twins.tensors(GgmlDType::F32), &twins.metadata(way));
        let file = open(&twins.file());
        for text in TEXTS {
            let ids = folder.tokens(&asked(text)).unwrap();
            assert_eq!(file.tokens(&asked(text)).unwrap(), ids, "{way}: {text:?}");
            assert_eq!(file.text(&ids).unwrap(), folder.text(&ids).unwrap(), "{way}: {text:?}");
        }
    }
}

#[test]
fn pieces_with_scores_merge_as_their_scores_say() {
    let twins = Twins::of("LlamaForCausalLM", &json!({}));
    let bytes = (0..256).map(|byte| (format!("<0x{byte:02X}>"), 6));
    let special =
        [("<unk>", 2), ("<s>", 3), ("</s>", 3)].map(|(text, kind)| (text.to_owned(), kind));
    let pieces = ["▁t", "he", "▁the", "▁c", "at", "▁cat", "▁", "t", "h", "e", "c", "a"];
    let pieces = pieces.map(|text| (text.to_owned(), 1));
    let tokens: Vec<(String, i32)> = special.into_iter().chain(bytes).chain(pieces).collect();
    let texts = tokens.iter().map(|(text, _)| Value::String(text.clone())).collect();
    let kinds = tokens.iter().map(|(_, kind)| Value::I32(*kind)).collect();
    let scores = (0_i16..).take(tokens.len()).map(|id| Value::F32(-f32::from(id))).collect();
    let mut metadata = twins.metadata("gpt-2");
    metadata.extend([
        ("tokenizer.ggml.model".to_owned(), Value::String("llama".to_owned())),
        ("tokenizer.ggml.tokens".to_owned(), Value::Array(texts)),
        ("tokenizer.ggml.token_type".to_owned(), Value::Array(kinds)),
        ("tokenizer.ggml.scores".to_owned(), Value::Array(scores)),
        (
            "tokenizer.chat_template".to_owned(),
            Value::String("{{ messages[0].content }}".to_owned()),
        ),
    ]);
    twins.write_with(&twins.tensors(GgmlDType::F32), &metadata);
    let model = open(&twins.file());
    let id =
        |text: &str| u32::try_from(tokens.iter().position(|(t, _)| t == text).unwrap()).unwrap();
    let ids = |text: &str| model.tokens(&asked(text)).unwrap();
    assert_eq!(ids("the cat"), [id("▁the"), id("▁cat")]);
    // `▁t` is better than `he`, and what is in no piece is bytes.
    let theé = ["▁t", "he", "<0xC3>", "<0xA9>"].map(id);
    assert_eq!(ids("théé")[..1], [id("▁t")]);
    assert_eq!(ids("t heé")[2..], theé[1..]);
    assert_eq!(ids("</s>the"), [id("</s>"), id("▁the")]);
    for text in ["the cat", "théé", " a  t"] {
        assert_eq!(model.text(&ids(text)).unwrap(), text);
    }
}

#[test]
fn a_loop_begins_with_a_file_and_stops_before_it_learns() {
    let twins = Twins::of("LlamaForCausalLM", &json!({}));
    twins.write(GgmlDType::Q8_0);
    let lab = Lab::new();
    lab.write(
        "small/experiment.toml",
        "name = \"small\"\niterations = 1\nseed = 1\n[model]\npath = \"any.gguf\"\n\
         [prompts]\nsql = \"prompts.sql\"\n[respond]\nsamples = 2\nmax_tokens = 4\n\
         [judge]\nmax_tokens = 4\n",
    );
    lab.write("small/prompts.sql", "SELECT 'the cat ' || i AS prompt FROM range(3) t(i)");
    let file = lab.path.join("small/any.gguf");
    fs::copy(twins.file(), &file).unwrap();
    let hint = "name as `path` the folder of Hugging Face that the file was made from";
    let whole = lab.mrx(&["run", "small"]).fails_with(1);
    whole.says("any.gguf: a GGUF file is drawn from and scores, it does not learn").says(hint);
    assert!(!lab.path.join(".mrx").exists(), "nothing was begun");
    lab.mrx(&["run", "small", "respond.m0"]).success();
    assert_eq!(lab.ask("SELECT count(*) FROM responses WHERE logprob < 0"), "6");
    let tokens = lab.mrx(&["show", "--prompt", "respond.m0"]).success();
    tokens.prints("<|im_start|>the cat 0<|im_end|>");
    // What was trained elsewhere is no such file; where it started from may be one.
    let refused =
        check_trained(&listed(&file).unwrap(), &Config::open(&listed(&file).unwrap()).unwrap());
    assert!(refused.unwrap_err().to_string().contains("a checkpoint is a folder"));
    // What the file is called decides nothing, and what it holds does.
    fs::rename(&file, lab.path.join("small/other.gguf")).unwrap();
    lab.edit("small/experiment.toml", "any.gguf", "other.gguf");
    lab.mrx(&["run", "small", "respond.m0"]).success().says("nothing to do");
    fs::write(lab.path.join("small/other.gguf"), "GGML and more").unwrap();
    let text = "expected a model folder or a GGUF file";
    lab.mrx(&["run", "small", "respond.m0"]).fails_with(1).says(text);
}

#[test]
fn a_file_that_cannot_be_run_is_refused_by_what_is_wrong_with_it() {
    let twins = Twins::of("LlamaForCausalLM", &json!({}));
    let tensors = || twins.tensors(GgmlDType::Q4_0);
    let file = &twins.file();
    let with = |change: &dyn Fn(&mut Metadata, &mut BTreeMap<String, QTensor>)| {
        let (mut metadata, mut tensors) = (twins.metadata("gpt-2"), tensors());
        change(&mut metadata, &mut tensors);
        twins.write_with(&tensors, &metadata);
        fault(file)
    };
    let text = |text: &str| Value::String(text.to_owned());
    let set = |key: &str, value: Value| {
        with(&|all, _| {
            all.insert(key.to_owned(), value.clone());
        })
    };
    let without = |key: &str| {
        with(&|all, tensors| {
            all.remove(key);
            tensors.remove(key);
        })
    };
    let expect = |found: String, expected: &str| assert!(found.contains(expected), "{found}");
    let found = set("general.architecture", text("gemma3"));
    expect(found, "names the architecture `gemma3`; these are run: llama, qwen2, qwen3");
    expect(without("general.architecture"), "it has no `general.architecture`");
    expect(without("llama.block_count"), "it has no number `llama.block_count`");
    expect(without("blk.1.ffn_up.weight"), "no tensor `model.layers.1.mlp.up_proj.weight`");
    expect(set("llama.expert_count", Value::U32(8)), "`llama.expert_count` is 8");
    let found = set("llama.rope.dimension_count", Value::U32(32));
    expect(found, "`rope.dimension_count` is 32: only 64");
    expect(set("llama.embedding_length", Value::U32(128)), "has the shape [320, 256]");
    expect(without("tokenizer.ggml.model"), "it has no tokenizer");
    expect(set("tokenizer.ggml.model", text("t5")), "its tokenizer is `t5`");
    expect(set("tokenizer.ggml.pre", text("tekken")), "its tokenizer cuts texts as `tekken`");
    expect(without("tokenizer.ggml.pre"), "it does not say how its tokenizer cuts texts");
    expect(without("tokenizer.ggml.merges"), "it has no `tokenizer.ggml.merges`");
    expect(without("tokenizer.chat_template"), "it has no `tokenizer.chat_template`");
    expect(without("tokenizer.ggml.eos_token_id"), "names no token that ends a text");
    expect(set("split.count", Value::U16(3)), "it is one of 3 parts");
    expect(set("general.alignment", Value::U32(0)), "`general.alignment` is 0");
}

#[test]
fn a_file_that_is_damaged_is_told_from_one_that_is_not() {
    let twins = Twins::of("LlamaForCausalLM", &json!({}));
    twins.write(GgmlDType::Q4_0);
    let file = &twins.file();
    let whole = fs::read(file).unwrap();
    for (length, expected) in [
        (whole.len() - 100, "ends at byte"),
        (whole.len() / 2, "ends at byte"),
        (2000, "is not a GGUF file of a model that is run"),
        (20, "is not a GGUF file of a model that is run"),
        (4, "is not a GGUF file of a model that is run"),
    ] {
        fs::write(file, &whole[..length]).unwrap();
        let found = fault(file);
        assert!(found.contains(expected), "{length}: {found}");
    }
    fs::write(file, &whole).unwrap();
    // The type of the last tensor by name, of two dimensions: its name, their number, and they go before.
    let mut kind = b"output.weight".to_vec();
    kind.extend(2_u32.to_le_bytes());
    kind.extend([256_u64, 320].map(u64::to_le_bytes).concat());
    let other = [&kind[..], &20_u32.to_le_bytes()].concat();
    kind.extend(2_u32.to_le_bytes());
    patch(file, &kind, &other);
    let found = fault(file);
    assert!(found.contains("GGML's type 20; read are f32"), "{found}");
}

#[test]
fn a_real_file_reads_texts_as_its_folder_does() {
    const VARIABLE: &str = "MRX_TEST_GGUF";
    let Some(file) = std::env::var_os(VARIABLE) else {
        return skip(&format!("{VARIABLE} names no file with a folder of its name beside it"));
    };
    let (file, folder) = (open(Path::new(&file)), open(&Path::new(&file).with_extension("")));
    let words = [
        "the",
        " cat",
        "  two",
        "\n",
        "\t",
        "12",
        "345",
        "'s",
        "WE'LL",
        "ß",
        "naïve",
        "北京",
        "한국어",
        "\u{1f600}",
        "e\u{301}",
        "don't",
        "=>",
        "x_y",
        "3.14",
        "\r\n",
        "<|im_end|>",
        "<|im_start|>user",
        "…",
        "Ünïcode",
        "﷽",
    ];
    let mut state = 7_u64;
    for _ in 0..4000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(words[(state >> 33) as usize % words.len()]);
            if state >> 60 < 6 {
                text.push(' ');
            }
        }
        let ids = folder.tokens(&asked(&text)).unwrap();
        assert_eq!(file.tokens(&asked(&text)).unwrap(), ids, "{text:?}");
        assert_eq!(file.text(&ids).unwrap(), folder.text(&ids).unwrap());
    }
}
