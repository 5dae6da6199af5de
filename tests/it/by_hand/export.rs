//! Pairs in files for four other programs, each with the file to start it with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{lab, waiting};
use crate::lab::{Lab, PROJECT, skip};

/// The rows of a file of JSON lines.
fn rows(lab: &Lab, path: &str) -> Vec<Value> {
    let text = fs::read_to_string(lab.path.join(path)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn export(lab: &Lab, to: &str, more: &[&str]) -> String {
    lab.mrx(&[&["export", "pairs", "small/m0", "--to", to, "--out", to], more].concat()).success();
    let config = if to == "openrlhf" { "dpo.sh" } else { "dpo.yaml" };
    fs::read_to_string(lab.path.join(to).join(config)).unwrap()
}

#[test]
fn each_program_gets_its_rows() {
    let lab = waiting();
    for to in ["trl", "axolotl", "llama-factory", "openrlhf"] {
        export(&lab, to, &[]);
        let all = rows(&lab, &format!("{to}/pairs.jsonl"));
        assert_eq!(all.len().to_string(), lab.ask("SELECT count(*) FROM reference_logps"));
        let first = fs::read(lab.path.join(to).join("pairs.jsonl")).unwrap();
        export(&lab, to, &[]);
        assert!(
            fs::read(lab.path.join(to).join("pairs.jsonl")).unwrap() == first,
            "{to}: the same bytes"
        );
    }
    let [trl, axolotl, factory, openrlhf] = ["trl", "axolotl", "llama-factory", "openrlhf"]
        .map(|to| rows(&lab, &format!("{to}/pairs.jsonl")).remove(0));
    let id = trl["pair_id"].as_str().unwrap();
    let one = |column: &str, table: &str| {
        let name =
            format!("SELECT to_json({column})::VARCHAR AS v FROM {table} WHERE pair_id = '{id}'");
        let text = lab.mrx(&["sql", &name, "--format", "json"]).success().stdout;
        let rows: Value = serde_json::from_str(&text).unwrap();
        serde_json::from_str::<Value>(rows[0]["v"].as_str().unwrap()).unwrap()
    };
    let (messages, chosen, rejected) =
        (one("messages", "pairs"), one("chosen", "pairs"), one("rejected", "pairs"));
    let said = |content: &Value| json!({ "role": "assistant", "content": content });
    assert_eq!(trl["prompt"], messages);
    assert_eq!(
        (&trl["chosen"], &trl["rejected"]),
        (&json!([said(&chosen)]), &json!([said(&rejected)]))
    );
    assert_eq!(trl["ref_chosen_logps"], one("ref_chosen_logps", "reference_logps"));
    assert_eq!(trl["ref_rejected_logps"], one("ref_rejected_logps", "reference_logps"));
    assert_eq!((&axolotl["messages"], &axolotl["chosen"]), (&messages, &said(&chosen)));
    assert_eq!(
        (&openrlhf["prompt"], &openrlhf["rejected"]),
        (&messages, &json!([said(&rejected)]))
    );
    let last = messages.as_array().unwrap().last().unwrap();
    assert_eq!(factory["conversations"], json!([{ "from": "human", "value": last["content"] }]));
    assert_eq!(factory["chosen"], json!({ "from": "gpt", "value": chosen }));
    insta::assert_snapshot!(
        fs::read_to_string(lab.path.join("llama-factory/dataset_info.json")).unwrap()
    );
}

/// Settings that are not the defaults.
const SET: [&str; 16] = [
    "--set",
    "train.beta=0.05",
    "--set",
    "train.label_smoothing=0.1",
    "--set",
    "train.nll_weight=0.2",
    "--set",
    "train.batch=8",
    "--set",
    "train.warmup_steps=3",
    "--set",
    "train.weight_decay=0.01",
    "--set",
    "train.max_grad_norm=false",
    "--set",
    "seed=1",
];

/// A configuration without its first lines, which say how many pairs there are.
fn settings(config: &str) -> String {
    let (head, rest) = config.split_once("\n# In this folder").unwrap();
    assert!(
        head.starts_with("# small: ") && head.contains("pairs to make train.m1 of, for "),
        "{head}"
    );
    format!("# In this folder{rest}")
}

#[test]
fn each_program_gets_every_setting_in_its_own_words() {
    let lab = waiting();
    let more = [&SET[..], &["--per-device", "2", "--processes", "2"]].concat();
    insta::assert_snapshot!("trl", settings(&export(&lab, "trl", &more)));
    insta::assert_snapshot!("axolotl", settings(&export(&lab, "axolotl", &more)));
    insta::assert_snapshot!("llama_factory", settings(&export(&lab, "llama-factory", &more)));
    let openrlhf = settings(&export(&lab, "openrlhf", &more));
    let ratio = regex::Regex::new(r"lr_warmup_ratio [\d.e-]+").unwrap();
    insta::assert_snapshot!("openrlhf", ratio.replace(&openrlhf, "lr_warmup_ratio RATIO"));
}

#[test]
fn every_word_is_one_that_the_program_publishes() {
    let path = Path::new(PROJECT).join("tests/data/trainer_fields.json");
    let published: BTreeMap<String, Vec<String>> =
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let lab = waiting();
    let more = [&SET[..], &["--set", "train.max_steps=5"]].concat();
    let knows = |program: &str, names: &[String]| {
        for name in names {
            assert!(published[program].contains(name), "{program} knows no `{name}`");
        }
    };
    let keys = |config: &str, indent: usize| -> Vec<String> {
        let key = regex::Regex::new(&format!(r"(?m)^ {{{indent}}}(?:- )?(\w+):")).unwrap();
        key.captures_iter(config).map(|found| found[1].to_owned()).collect()
    };
    for (to, program) in [
        ("trl", "trl 1.16.0"),
        ("axolotl", "axolotl 0.19.0"),
        ("llama-factory", "llamafactory 0.9.5"),
    ] {
        let found = keys(&export(&lab, to, &more), 0);
        assert!(found.len() > 20, "{to}: {found:?}");
        knows(program, &found);
    }
    let nested = keys(&fs::read_to_string(lab.path.join("axolotl/dpo.yaml")).unwrap(), 4);
    assert!(nested.len() > 5, "{nested:?}");
    knows("axolotl 0.19.0, datasets", &nested);
    let info = fs::read_to_string(lab.path.join("llama-factory/dataset_info.json")).unwrap();
    let info: Value = serde_json::from_str(&info).unwrap();
    let names = |part: &Value| part.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    knows("llamafactory 0.9.5, dataset_info.json", &names(&info["pairs"]));
    knows("llamafactory 0.9.5, dataset_info.json", &names(&info["pairs"]["columns"]));
    let shell = export(&lab, "openrlhf", &SET);
    let flag = regex::Regex::new(r"(?m)^ +--([\w.]+)").unwrap();
    let flags: Vec<String> = flag.captures_iter(&shell).map(|found| found[1].to_owned()).collect();
    assert!(flags.len() > 18, "{flags:?}");
    knows("openrlhf 0.11.2", &flags);
}

#[test]
fn what_a_program_has_no_word_for_is_refused_by_name() {
    let lab = waiting();
    let refused = |to: &str, sets: &[&str], told: &str| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        lab.mrx(
            &[&["export", "pairs", "small/m0", "--to", to, "--out", "refused"], &sets[..]].concat(),
        )
        .fails_with(1)
        .says(told);
    };
    refused(
        "trl",
        &["train.group_by_length=true"],
        "`group_by_length` of `[train]` cannot be said to TRL 1.16",
    );
    refused(
        "axolotl",
        &["train.schedule_epochs=9"],
        "`schedule_epochs` of `[train]` cannot be said to axolotl 0.19",
    );
    refused(
        "llama-factory",
        &["train.length_normalised=true"],
        "`length_normalised` of `[train]` cannot be said to LLaMA-Factory 0.9.5",
    );
    refused("openrlhf", &["train.loss=ipo"], "`loss` of `[train]` cannot be said to OpenRLHF 0.11");
    refused(
        "openrlhf",
        &["train.max_steps=2"],
        "`max_steps` of `[train]` cannot be said to OpenRLHF 0.11",
    );
    refused("openrlhf", &["train.batch=4000"], "it takes whole batches alone");
    assert!(!lab.path.join("refused").exists(), "nothing is written");
    let pairs = |model: &str, more: &[&str]| lab.mrx(&[&["export", "pairs", model], more].concat());
    pairs("small/m0", &["--to", "trl", "--per-device", "3"])
        .fails_with(1)
        .says("4 pairs cannot be cut up evenly among 1 processes that hold 3 at once");
    pairs("small/m1", &["--to", "trl"]).fails_with(1).says("pair.m1 is not made yet");
    pairs("small/m2", &["--to", "trl"]).fails_with(2).says("`small` has no train.m3");
    pairs("small/m0", &["--to", "trl", "--per-device", "0"]).fails_with(2).says("from 1 on");
    pairs("small/m0", &["--to", "nemo"]).fails_with(2).says("llama-factory");
    pairs("small/m0", &["--to", "trl", "--set", "train.trainer=local"])
        .success()
        .says("train.m1 is trained here, unless `[train]` says `trainer = \"import\"`");
    let scripted = Lab::with_loop();
    scripted.mrx(&["run", "loop", "pair.m0"]).success();
    scripted
        .mrx(&["export", "pairs", "loop/m0", "--to", "trl"])
        .fails_with(1)
        .says("a scripted model has no weights");
}

#[test]
fn what_a_chat_template_is_given_goes_with_every_row_where_it_can() {
    let lab = lab();
    lab.edit("small/model/chat_template.jinja", "{% for m", "{{ tone }} {% for m");
    lab.edit(
        "small/experiment.toml",
        "[prompts]",
        "[model.template]\ntone = \"a 'b'\"\n\n[prompts]",
    );
    lab.mrx(&["run", "small", "reference.m0"]).success();
    export(&lab, "trl", &[]);
    assert_eq!(
        rows(&lab, "trl/pairs.jsonl")[0]["chat_template_kwargs"],
        json!({ "tone": "a 'b'" })
    );
    lab.mrx(&["export", "pairs", "small/m0", "--to", "axolotl"])
        .fails_with(1)
        .says("`tone` of `[model.template]` cannot be said to axolotl 0.19");
}

#[test]
fn pairs_that_a_program_would_lose_are_refused() {
    let lab = lab();
    let two = "SELECT [{'role': 'user', 'content': 'a'}, {'role': 'user', 'content': 'b ' || i}] AS prompt FROM range(80) t(i)";
    lab.write("small/prompts.sql", two);
    lab.mrx(&["run", "small", "pair.m0"]).success();
    lab.mrx(&["export", "pairs", "small/m0", "--to", "llama-factory"])
        .fails_with(1)
        .says("a prompt whose turns do not alternate between user and assistant, and LLaMA-Factory 0.9.5 would drop");
    let without_reference = export(&lab, "trl", &[]);
    assert!(!without_reference.contains("ref_chosen_logps"), "{without_reference}");
    assert_eq!(rows(&lab, "trl/pairs.jsonl")[0].get("ref_chosen_logps"), None);

    // A letter begins what is thought, another ends it.
    let thinks = ["--set", "thinking.begin=a", "--set", "thinking.end=b"];
    lab.mrx(&[&["run", "small", "pair.m0"], &thinks[..]].concat()).success();
    let export = ["export", "pairs", "small/m0", "--to", "trl", "--out", "thinks"];
    lab.mrx(&[&export[..], &thinks].concat())
        .fails_with(1)
        .says("hold thinking that is trained on, and a chat's messages cannot say it; the first is r_")
        .says("`[thinking] train = false`");
    lab.mrx(&[&export[..], &thinks, &["--set", "thinking.train=false"]].concat()).success();
}

#[test]
fn trl_loads_the_file_takes_steps_and_its_model_comes_back() {
    let Some(python) = std::env::var_os("MRX_TRL_PYTHON") else {
        return skip("MRX_TRL_PYTHON names no Python with TRL");
    };
    let lab = waiting();
    let out = ["--set", "train.max_steps=2", "--set", "train.learning_rate=1e-3"];
    export(&lab, "trl", &out);
    let script = Path::new(PROJECT).join("tests/data/train_with_trl.py");
    let run = Command::new(python)
        .arg(script)
        .current_dir(lab.path.join("trl"))
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_DATASETS_CACHE", lab.path.join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{}{said}", String::from_utf8_lossy(&run.stdout));
    let import = ["import", "checkpoint", "trl/trained", "--as", "small/m1"];
    lab.mrx(&[&import[..], &["--metrics", "trl/trained/trainer_state.json"], &out].concat())
        .success();
    assert_eq!(lab.ask("SELECT count(DISTINCT step) FROM metrics WHERE metric = 'loss'"), "2");
    let first = "SELECT abs(value - ln(2)) < 1e-4 FROM metrics WHERE metric = 'loss' AND step = 1";
    assert_eq!(lab.ask(first), "true", "what it starts from is its reference");
    lab.mrx(&[&["run", "small", "respond.m1"], &out[..]].concat()).success();
}
