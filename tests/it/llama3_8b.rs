//! The paper's set-up, end to end and unchanged but for sizes: a small random model of Llama-3's shape,
//! with its kind of tokenizer and its template, on the field's own prompts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use candle_core::Device;
use mrx::model::{self, Config, train_tokenizer, weights};
use serde_json::{Value, json};

use crate::data::data;
use crate::lab::{Lab, PROJECT, copy_folder};

/// Sizes that take seconds.
const SIZES: [&str; 28] = [
    "--set",
    "prompts.per_iteration=4",
    "--set",
    "respond.samples=3",
    "--set",
    "respond.max_tokens=12",
    "--set",
    "judge.samples=4",
    "--set",
    "judge.max_tokens=12",
    "--set",
    "meta_judge.max_tokens=12",
    "--set",
    "sft.learning_rate=1e-2",
    "--set",
    "sft.epochs=6",
    "--set",
    "sft.batch=8",
    "--set",
    "evaluate.max_tokens=8",
    "--set",
    "evaluate.judge.max_tokens=8",
    "--set",
    "train.on_no_pairs=keep",
    "--set",
    "train.batch=4",
    "--set",
    "evaluate.panel.samples=1",
];

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn jsonl(rows: impl IntoIterator<Item = Value>) -> String {
    rows.into_iter().fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{row}");
        text
    })
}

/// A folder as Llama-3's, small, with random weights.
fn small_llama(lab: &Lab, folder: &str, texts: &[String], seed: u64) {
    let special = [
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
    ];
    let tokenizer = train_tokenizer(texts.iter().cloned(), 1500, &special).unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 1500, "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "bos_token_id": 0,
        "eos_token_id": [1, 2], "rope_theta": 500_000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 256},
    });
    let config = Config::of(config.as_object().unwrap().clone()).unwrap();
    let weights = weights::initialise(&config, seed, &Device::Cpu).unwrap();
    let path = lab.path.join(folder);
    std::fs::create_dir_all(&path).unwrap();
    model::save(&path, &config, &weights, &BTreeMap::new()).unwrap();
    std::fs::write(path.join("tokenizer.json"), tokenizer).unwrap();
    lab.write(
        &format!("{folder}/tokenizer_config.json"),
        r#"{"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}"#,
    );
    let template = Path::new(PROJECT).join("tests/data/chat/llama3.jinja");
    std::fs::copy(template, path.join("chat_template.jinja")).unwrap();
}

/// The experiments, with a small model, MT-Bench's 80 first turns for training and AlpacaEval's first
/// instructions for evaluation.
fn paper(data: &Path) -> Lab {
    let lab = Lab::new();
    copy_folder(&Path::new(PROJECT).join("experiments"), &lab.path.join("e"));
    let questions = lines(&data.join("mt_bench/question.jsonl"));
    let first = |row: &Value| row["turns"][0].as_str().unwrap().to_owned();
    let prompts = questions.iter().map(|row| json!({"instruction": first(row)}));
    lab.write("e/llama3_8b/prompts.jsonl", &jsonl(prompts));
    let instructions = lines(&data.join("alpaca_eval/instructions.jsonl"));
    assert_eq!(instructions.len(), 805);
    let answered = instructions.iter().take(12).map(|row| {
        let mut row = row.clone();
        row["output"] = "An answer that was given elsewhere.".into();
        row
    });
    lab.write("e/llama3_8b/alpaca_eval.jsonl", &jsonl(answered));
    // What a judge learns here is to give a score, and nothing about answers.
    let judged = questions.iter().zip(0..).map(|(row, i): (&Value, usize)| {
        let prompt = format!("Question: {}\nJudge it.", first(row));
        json!({"prompt": prompt, "target": format!("Good.\nScore: {}", 1 + i % 5)})
    });
    lab.write("e/llama3_8b/examples.jsonl", &jsonl(judged));
    let texts: Vec<String> =
        questions.iter().map(first).chain(["Good.\nScore: 1 2 3 4 5".to_owned()]).collect();
    small_llama(&lab, "e/models/Meta-Llama-3-8B-Instruct", &texts, 5);
    small_llama(&lab, "e/models/judge", &texts, 6);
    lab
}

fn run<'a>(command: &'a str, experiment: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[command, experiment], &SIZES[..], more].concat()
}

#[test]
fn the_papers_experiments_run_end_to_end_on_a_small_model() {
    let Some(data) = data() else { return };
    let lab = paper(&data);
    let meta = "e/meta_rewarding_llama3_8b.toml";
    lab.mrx(&run("run", meta, &[])).success().prints("win rate");
    let own = "experiment = 'meta-rewarding-llama3-8b' AND";
    let count = |query: &str| lab.ask(query).parse::<u64>().unwrap();
    assert_eq!(count(&format!("SELECT count(*) FROM responses WHERE {own} part IS NULL")), 48);
    assert!(count(&format!("SELECT count(*) FROM judgements WHERE {own} status = 'ok'")) > 0);
    let roles = format!(
        "SELECT string_agg(DISTINCT model, ' ' ORDER BY model) FROM pairs WHERE {own} role = 'judge'"
    );
    assert_eq!(lab.ask(&roles), "m0 m1", "the judge is trained in the first two iterations");
    assert!(count(&format!("SELECT count(*) FROM reference_logps WHERE {own} true")) > 0);
    // M0 to M4 answer 12 instructions, and a judge sees each answer beside the baseline's twice.
    let games = format!(
        "SELECT count(*), count(DISTINCT model), string_agg(DISTINCT baseline, '') FROM verdicts WHERE {own} true"
    );
    assert_eq!(lab.ask(&games), "120,5,baseline");
    lab.mrx(&run("run", meta, &[])).success().says("nothing to do");
    // The baseline has M0 in common, and trains no judge.
    let alone = lab.mrx(&run("run", "e/self_rewarding_llama3_8b.toml", &[])).success();
    alone.does_not_say("sft.m0");
    let judge = "SELECT count(*) FROM pairs WHERE experiment = 'self-rewarding-llama3-8b' AND role = 'judge'";
    assert_eq!(lab.ask(judge), "0");
    let diff = ["diff", "meta-rewarding-llama3-8b/m4", "self-rewarding-llama3-8b/m4"];
    lab.mrx(&diff).success().prints("decided by the judge of self-rewarding-llama3-8b");
}

#[test]
fn the_plan_says_what_an_iteration_of_the_paper_takes() {
    let Some(data) = data() else { return };
    let lab = paper(&data);
    let meta = lab.mrx(&["plan", "e/meta_rewarding_llama3_8b.toml"]).success().stdout;
    let sizes: Vec<String> = meta
        .lines()
        .skip_while(|line| !line.starts_with("At most"))
        .filter(|line| line.starts_with('m'))
        .map(|line| line.split_whitespace().take(5).collect::<Vec<_>>().join(" "))
        .collect();
    let (both, actor) = ("1,029,120,000", "465,920,000");
    assert_eq!(
        sizes[1..],
        [
            format!("m0 35,000 385,000 550,000 {both}"),
            format!("m1 35,000 385,000 550,000 {both}"),
            format!("m2 35,000 385,000 0 {actor}"),
            format!("m3 35,000 385,000 0 {actor}"),
        ],
        "{meta}"
    );
}
