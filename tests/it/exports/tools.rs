//! The programs themselves load what was exported, where `MRX_EXPORTS_PYTHON` names a Python that has them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::lab::{PROJECT, copy_folder, skip};
use crate::local;

/// Verdicts out of the letters of an answer: the real judge of so small a model says nothing.
const ORACLE: &str = "SELECT answer_id, len(response) % 3 AS score FROM answers";

#[test]
fn every_export_is_loaded_by_the_program_that_it_is_for() {
    let Some(python) = std::env::var_os("MRX_EXPORTS_PYTHON") else {
        return skip("MRX_EXPORTS_PYTHON names no Python with the packages of load_exports.py");
    };
    let lab = local::lab();
    lab.edit(
        "small/model/config.json",
        "\"hidden_size\"",
        "\"model_type\": \"llama\", \"hidden_size\"",
    );
    let evaluate =
        "\n[evaluate]\nprompts = \"eval.sql\"\noracle = \"oracle.sql\"\nmax_tokens = 9\n";
    let toml = std::fs::read_to_string(lab.path.join("small/experiment.toml")).unwrap();
    lab.write("small/experiment.toml", &(toml + evaluate));
    lab.write("small/eval.sql", "SELECT 'c d ' || i AS prompt FROM range(30) t(i)");
    lab.write("small/oracle.sql", ORACLE);
    lab.mrx(&["run", "small", "estimate.m1.answers"]).success();
    lab.mrx(&["export", "preferences", "small", "-o", "preferences.parquet"]).success();
    lab.mrx(&["export", "dataset", "small", "-o", "dataset"]).success();
    for format in ["alpaca-eval", "arena-hard", "mt-bench"] {
        lab.mrx(&["export", format, "small/m1", "-o", format]).success();
    }
    copy_folder(&lab.path.join("small/model"), &lab.path.join("model"));
    let script = Path::new(PROJECT).join("tests/it/exports/load_exports.py");
    let ran = Command::new(python)
        .arg(script)
        .current_dir(&lab.path)
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_DATASETS_CACHE", lab.path.join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}{said}", String::from_utf8_lossy(&ran.stdout));
    let found: Value = serde_json::from_slice(ran.stdout.trim_ascii_end()).unwrap();
    let own = "SELECT value FROM estimates WHERE model = 'm1' AND name = 'win_rate'";
    let own: f64 = lab.ask(own).parse().unwrap();
    for program in ["alpaca_eval", "arena_hard", "fastchat"] {
        let rate = found[program].as_f64().unwrap_or_else(|| panic!("{program}: {found}"));
        assert!((rate - own).abs() < 1e-9, "{program} finds {rate}, and mrx {own}");
    }
    let kept = lab.ask("SELECT count(*) FROM pairs WHERE kept");
    assert_eq!(found["preferences"].to_string(), kept);
    assert_eq!(found["steps"], 3);
}
