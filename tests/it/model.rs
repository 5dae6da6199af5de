//! The decoder against transformers, and what batches may not change.
//!
//! `tests/data/make_references.py` made the models and their numbers, and says with which versions.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use mrx::model::{
    Ask, Asker, Batch, Chat, Config, Continuation, Decoding, Error, Finish, LanguageModel, Local,
    Message, Network, Prompt, Reply, ScoreRequest, Tokenizer, draw_all, open_network, weights,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;

const FAMILIES: [&str; 8] =
    ["llama2", "llama3", "mistral", "qwen2", "qwen2_tied", "qwen3", "smollm", "smollm_bf16"];

pub(crate) fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

/// The files of a folder, by name.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (name(&path), path)).collect()
}

pub(crate) fn network(folder: &Path, dtype: DType) -> Network {
    let mut files = files(folder);
    files.remove("references.safetensors");
    let config = Config::read(&files["config.json"]).unwrap();
    let weights = weights::load(&files, &config, dtype, &Device::Cpu).unwrap();
    Network::new(Arc::new(config), &weights).unwrap()
}

/// The same, as it draws.
pub(crate) fn drawing_network(folder: &Path) -> Network {
    let mut files = files(folder);
    files.remove("references.safetensors");
    let config = Arc::new(Config::read(&files["config.json"]).unwrap());
    open_network(&files, config, &Device::Cpu).unwrap()
}

/// A tokenizer of as many words as the models have ids, `w0`, `w1` …, and a template to match.
pub(crate) fn local(network: Network, ends: &[u32]) -> Local {
    let count = network.config().vocab_size;
    let words: Vec<String> = (0..count).map(|id| format!("\"w{id}\": {id}")).collect();
    let json = format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {{"type": "WhitespaceSplit"}},
        "post_processor": null, "decoder": null,
        "model": {{"type": "WordLevel", "vocab": {{{}}}, "unk_token": "w0"}}}}"#,
        words.join(", ")
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, json).unwrap();
    let tokenizer = Tokenizer::open(&path, count).unwrap();
    let template = "{% for m in messages %}w4 {{ m.content }} w5 {% endfor %}";
    let chat = Chat::new(template.to_owned(), None, None).unwrap();
    Local::new(network, tokenizer, chat, ends.to_vec())
}

struct References {
    sequences: Vec<Vec<u32>>,
    logits: Vec<Vec<Vec<f32>>>,
    prompt: Vec<u32>,
    greedy: Vec<u32>,
}

fn references(folder: &Path) -> References {
    let path = folder.join("references.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let ids = |name: &str| tensors[name].to_dtype(DType::U32).unwrap();
    References {
        sequences: ids("input_ids").to_vec2().unwrap(),
        logits: tensors["logits"].to_vec3().unwrap(),
        prompt: ids("prompt_ids").to_vec1().unwrap(),
        greedy: ids("greedy_ids").to_vec1().unwrap(),
    }
}

fn worst(found: &Tensor, expected: &[Vec<f32>]) -> f32 {
    let found = found.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(found.len(), expected.len());
    let each = found.iter().zip(expected).flat_map(|(a, b)| a.iter().zip(b));
    each.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_family_computes_the_logits_of_transformers() {
    for family in FAMILIES {
        let folder = data("models").join(family);
        let References { sequences, logits, .. } = references(&folder);
        let batch = Batch::of(sequences.iter().map(Vec::as_slice));
        for network in [network(&folder, DType::F32), drawing_network(&folder)] {
            let found = network.logits(&network.hidden(&batch).unwrap()).unwrap();
            let worst = worst(&found, &logits.concat());
            assert!(worst < 1e-4, "{family}: off by {worst}");
        }
    }
}

#[test]
fn every_family_draws_the_greedy_tokens_of_transformers() {
    for family in FAMILIES {
        let folder = data("models").join(family);
        let References { prompt, greedy, .. } = references(&folder);
        let model = local(drawing_network(&folder), &[]);
        let decoding = Decoding { temperature: 0.0, max_tokens: 64, ..Decoding::default() };
        let prompt_ids = Prompt::Tokens(prompt.clone());
        let ask = Ask {
            prompt: prompt_ids,
            decoding,
            stop: Vec::new(),
            seeds: vec![0],
            names: Vec::new(),
        };
        let reply = draw_all(&model, &[ask]).unwrap().remove(0).remove(0);
        assert_eq!(reply.tokens, greedy, "{family}");
        assert_eq!((reply.finish, reply.prompt_tokens), (Finish::Length, 12));
        let scored = ScoreRequest {
            prompt: Prompt::Tokens(prompt),
            continuations: vec![Continuation::Tokens(greedy)],
        };
        let score = model.score(&[scored]).unwrap()[0][0];
        assert!((score - reply.logprob.unwrap()).abs() < 1e-3, "{family}: its own log-probability");
    }
}

#[test]
fn both_spellings_of_a_configuration_are_one() {
    let folder = data("models/llama3");
    let new = Config::read(&folder.join("config.json")).unwrap();
    let old = Config::read(&folder.join("config.v4.json")).unwrap();
    assert_eq!(new.frequencies, old.frequencies);
    assert_eq!((new.head_dim, new.eos_token_ids), (old.head_dim, old.eos_token_ids));
}

#[derive(Deserialize)]
struct Scores {
    items: Vec<ScoredItem>,
}

#[derive(Deserialize)]
struct ScoredItem {
    model: String,
    prompt_ids: Vec<u32>,
    continuations: Vec<ScoredContinuation>,
}

#[derive(Deserialize)]
struct ScoredContinuation {
    ids: Vec<u32>,
    logprob: f64,
}

#[test]
fn continuations_have_the_probability_that_transformers_gives_them() {
    let scores: Scores =
        serde_json::from_str(&std::fs::read_to_string(data("scores.json")).unwrap()).unwrap();
    for name in ["models/smollm", "models/qwen3"] {
        let items: Vec<_> = scores.items.iter().filter(|item| item.model == name).collect();
        assert_eq!(items.len(), 4);
        let ask = |item: &&ScoredItem| ScoreRequest {
            prompt: Prompt::Tokens(item.prompt_ids.clone()),
            continuations: item
                .continuations
                .iter()
                .map(|c| Continuation::Tokens(c.ids.clone()))
                .collect(),
        };
        let asked: Vec<ScoreRequest> = items.iter().map(ask).collect();
        let model = local(drawing_network(&data(name)), &[]);
        let together = model.score(&asked).unwrap();
        for (at, item) in items.iter().enumerate() {
            for (found, expected) in together[at].iter().zip(&item.continuations) {
                let expected = expected.logprob;
                assert!((found - expected).abs() < 1e-3, "{name} {at}: {found} for {expected}");
            }
            assert_eq!(model.score(&asked[at..=at]).unwrap()[0], together[at], "alone as together");
        }
    }
}

/// Prompts that share beginnings or not, options of all kinds, lengths of all sizes.
fn mix(seed: u64) -> Vec<Ask> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut prompts: Vec<Vec<u32>> = Vec::new();
    for _ in 0..dice.random_range(1..40) {
        let mut tokens = match prompts.len() {
            0 => Vec::new(),
            n => {
                let other = &prompts[dice.random_range(0..n)];
                other[..dice.random_range(0..=other.len())].to_vec()
            }
        };
        tokens.extend((0..dice.random_range(0..60)).map(|_| dice.random_range(4..96)));
        tokens.push(dice.random_range(4..96));
        tokens.truncate(200);
        prompts.push(tokens);
    }
    prompts
        .into_iter()
        .map(|tokens| {
            let decoding = Decoding {
                temperature: [0.0, 0.7, 1.5][dice.random_range(0..3)],
                top_p: [1.0, 0.9][dice.random_range(0..2)],
                top_k: [None, Some(20)][dice.random_range(0..2)],
                min_p: [0.0, 0.01][dice.random_range(0..2)],
                repetition_penalty: [None, Some(1.2)][dice.random_range(0..2)],
                max_tokens: dice.random_range(1..40),
            };
            let stop = [Vec::new(), vec!["w17".to_owned()]][dice.random_range(0..2)].clone();
            let samples = dice.random_range(1..8);
            let seeds = (0..samples).map(|_| dice.random()).collect();
            Ask { prompt: Prompt::Tokens(tokens), decoding, stop, seeds, names: Vec::new() }
        })
        .collect()
}

#[test]
fn a_batch_gives_each_draw_what_it_gets_alone() {
    for (seed, family) in (0..).zip(["smollm", "mistral", "qwen3", "qwen2", "llama3"]) {
        let model = local(drawing_network(&data("models").join(family)), &[2, 3]);
        let asks = mix(seed);
        let together = draw_all(&model, &asks).unwrap();
        for (at, ask) in asks.iter().enumerate() {
            for (draw, seed) in ask.seeds.iter().enumerate() {
                let one = Ask { seeds: vec![*seed], ..ask.clone() };
                let alone = draw_all(&model, &[one]).unwrap().remove(0);
                assert_eq!(alone, [together[at][draw].clone()], "{family}: {at}, draw {draw}");
            }
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let one_thread = pool.install(|| draw_all(&model, &asks)).unwrap();
        assert_eq!(one_thread, together, "with one thread");
    }
}

/// The smallest cache that holds the longest text alone: the others wait, and are put back where they have
/// begun.
#[test]
fn a_small_cache_makes_texts_wait_and_changes_none() {
    for (seed, family) in (20..).zip(["smollm", "mistral", "qwen3"]) {
        let open = || local(drawing_network(&data("models").join(family)), &[2, 3]);
        let asks = mix(seed);
        let expected = draw_all(&open(), &asks).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let mut too_small = 0;
        let drawn = (0..).map(|doubled| 1024 << doubled).find_map(|bytes| {
            let model = open().with_cache_memory(bytes);
            match pool.install(|| draw_all(&model, &asks)) {
                Ok(drawn) => Some(drawn),
                Err(Error::CacheFull { needed, places }) => {
                    assert!(needed > places);
                    too_small += 1;
                    None
                }
                Err(other) => panic!("{other}"),
            }
        });
        assert!(too_small > 2, "{too_small}");
        for (at, (drawn, expected)) in drawn.unwrap().iter().zip(&expected).enumerate() {
            assert!(
                drawn == expected,
                "{family}: {:?} becomes {drawn:?} for {expected:?}",
                asks[at]
            );
        }
    }
}

/// More draws than wait at once, prompts that get longer and longer: the memory grows on the way.
#[test]
fn a_stream_of_asks_gives_each_draw_what_it_gets_alone() {
    let model = local(network(&data("models/smollm"), DType::F32), &[2, 3]);
    let decoding = Decoding { temperature: 1.0, max_tokens: 3, ..Decoding::default() };
    let ask = |at: u32| Ask {
        prompt: Prompt::Tokens((0..=at / 8).map(|i| 4 + (i * 7 + at) % 90).collect()),
        decoding,
        stop: Vec::new(),
        seeds: vec![at.into(), 7],
        names: Vec::new(),
    };
    let asks: Vec<Ask> = (0..1400).map(ask).collect();
    let together = draw_all(&model, &asks).unwrap();
    assert!(together.iter().all(|replies| replies.len() == 2));
    for at in (0..asks.len()).step_by(97) {
        assert_eq!(draw_all(&model, &asks[at..=at]).unwrap()[0], together[at], "ask {at}");
    }
}

/// Who lets everybody wait before the last asks come, which are the most of all.
#[derive(Default)]
struct Late {
    asked: u32,
    taken: u32,
}

impl Late {
    const EARLY: u32 = 1024;
    const ALL: u32 = 2000;
}

impl Asker for Late {
    fn next(&mut self) -> Option<Ask> {
        if self.asked == Self::EARLY {
            std::thread::sleep(Duration::from_millis(500));
        }
        if self.asked == Self::ALL {
            return None;
        }
        self.asked += 1;
        let decoding = Decoding { temperature: 1.0, max_tokens: 1, ..Decoding::default() };
        let length = if self.asked > Self::EARLY { 100 } else { 1 };
        let prompt = Prompt::Tokens(vec![4 + self.asked % 90; length]);
        Some(Ask { prompt, decoding, stop: Vec::new(), seeds: vec![0], names: Vec::new() })
    }

    fn take(&mut self, _: usize, _: usize, _: Reply) -> ControlFlow<()> {
        self.taken += 1;
        ControlFlow::Continue(())
    }
}

/// Those who draw have nothing left when the last asks come, and must not take that for the end.
#[test]
fn what_is_asked_last_is_drawn_however_long_it_was_waited_for() {
    let model = local(network(&data("models/smollm"), DType::F32), &[2]);
    let mut late = Late::default();
    model.generate(&mut late).unwrap();
    assert_eq!(late.taken, Late::ALL);
}

/// Who stops in the middle.
struct Impatient {
    asked: u64,
    taken: u64,
    most: u64,
}

impl Asker for Impatient {
    fn next(&mut self) -> Option<Ask> {
        self.asked += 1;
        let decoding = Decoding { temperature: 1.0, max_tokens: 8, ..Decoding::default() };
        let prompt = Prompt::Tokens(vec![4 + u32::try_from(self.asked % 90).unwrap()]);
        Some(Ask { prompt, decoding, stop: Vec::new(), seeds: vec![self.asked], names: Vec::new() })
    }

    fn take(&mut self, _: usize, _: usize, _: Reply) -> ControlFlow<()> {
        self.taken += 1;
        if self.taken < self.most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// Asks without end, and who has had enough.
#[test]
fn who_asks_can_stop() {
    let model = local(network(&data("models/smollm"), DType::F32), &[2]);
    let mut impatient = Impatient { asked: 0, taken: 0, most: 100 };
    model.generate(&mut impatient).unwrap();
    let Impatient { asked, taken, most } = impatient;
    assert!(taken >= most && asked < 5_000, "{taken} taken of {asked} asked");
}

#[test]
fn a_text_ends_at_its_end_token_its_stop_text_or_its_limit() {
    let model = local(network(&data("models/smollm"), DType::F32), &[2]);
    let References { prompt, greedy, .. } = references(&data("models/smollm"));
    let ask = |max_tokens, stop: &[&str]| {
        let decoding = Decoding { temperature: 0.0, max_tokens, ..Decoding::default() };
        let stop = stop.iter().map(ToString::to_string).collect();
        let prompt = Prompt::Tokens(prompt.clone());
        let ask = Ask { prompt, decoding, stop, seeds: vec![0], names: Vec::new() };
        draw_all(&model, &[ask]).unwrap().remove(0).remove(0)
    };
    let ended = ask(64, &[]);
    let end = greedy.iter().position(|id| *id == 2).unwrap();
    assert_eq!((ended.finish, ended.tokens.as_slice()), (Finish::Stop, &greedy[..=end]));
    let written: Vec<String> = greedy[..end].iter().map(|id| format!("w{id}")).collect();
    assert_eq!(ended.text, written.join(" "), "the end is no part of the text");
    assert_eq!(ended.completion_tokens as usize, end);
    let cut = ask(5, &[]);
    assert_eq!((cut.finish, cut.tokens.as_slice()), (Finish::Length, &greedy[..5]));
    let stop = format!("w{} w{}", greedy[3], greedy[4]);
    let stopped = ask(64, &[&stop]);
    assert_eq!((stopped.finish, stopped.tokens.as_slice()), (Finish::Stop, &greedy[..5]));
    let before: Vec<String> = greedy[..3].iter().map(|id| format!("w{id}")).collect();
    assert_eq!(stopped.text.trim_end(), before.join(" "));
}

#[derive(Deserialize)]
struct ChatCase {
    template: String,
    messages: Vec<ChatMessage>,
    add_generation_prompt: bool,
    bos_token: Option<String>,
    eos_token: Option<String>,
    variables: Option<serde_json::Value>,
    rendered: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ChatMessage {
    role: String,
    content: String,
    reasoning_content: Option<String>,
}

#[test]
fn published_chat_templates_render_as_in_transformers() {
    let cases = std::fs::read_to_string(data("chat/cases.json")).unwrap();
    let cases: Vec<ChatCase> = serde_json::from_str(&cases).unwrap();
    let mut rendered = BTreeMap::<&str, usize>::new();
    for case in &cases {
        // Tools, switches and reasoning are not messages.
        let more = case.messages.iter().any(|m| m.reasoning_content.is_some());
        if case.variables.is_some() || more {
            continue;
        }
        let template = data("chat").join(format!("{}.jinja", case.template));
        let template = std::fs::read_to_string(template).unwrap();
        let chat = Chat::new(template, case.bos_token.clone(), case.eos_token.clone()).unwrap();
        let message =
            |m: &ChatMessage| Message { role: m.role.clone(), content: m.content.clone() };
        let messages: Vec<Message> = case.messages.iter().map(message).collect();
        let found = chat.render(&messages, case.add_generation_prompt);
        match (&case.rendered, &case.error) {
            (Some(expected), None) => assert_eq!(&found.unwrap(), expected, "{}", case.template),
            (None, Some(reason)) => {
                let found = found.unwrap_err().to_string();
                assert!(found.contains(reason.as_str()), "{found}");
            }
            _ => panic!("a case renders or fails"),
        }
        *rendered.entry(&case.template).or_default() += 1;
    }
    assert_eq!(rendered.len(), 6);
    assert!(rendered.values().all(|count| *count >= 8), "{rendered:?}");
}
