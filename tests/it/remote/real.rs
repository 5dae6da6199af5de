//! A real vLLM with a real model, where both are there: `MRX_VLLM` names the program, `MRX_MODEL` the
//! model's folder.

use std::path::PathBuf;

use crate::lab::{Lab, skip};

fn found(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists())
}

#[test]
fn vllm_draws_greedily_what_is_drawn_here() {
    let (Some(vllm), Some(model)) = (found("MRX_VLLM"), found("MRX_MODEL")) else {
        return skip("MRX_VLLM and MRX_MODEL name no vLLM and no model's folder");
    };
    let lab = Lab::new();
    let toml = |name: &str, engine: &str| {
        format!(
            "name = {name:?}\niterations = 1\n[model]\npath = {model:?}\n[prompts]\nsql = \"prompts.sql\"\n\
             [respond]\nsamples = 1\ntemperature = 0.0\nmax_tokens = 24\n{engine}"
        )
    };
    let prompts = "SELECT 'Name ' || i || ' things that are ' || color AS prompt
        FROM range(2, 5) t(i), (VALUES ('red'), ('green')) c(color)";
    let engine = format!(
        "[engine]\npreset = \"vllm\"\ncommand = \"'{}' serve {{model}} --host 127.0.0.1 --port {{port}} \
         --served-model-name {{name}} --dtype float32 --max-model-len 2048 --enforce-eager \
         --max-num-batched-tokens 32768\"\nenv = {{ VLLM_CPU_KVCACHE_SPACE = \"1\", \
         VLLM_CPU_OMP_THREADS_BIND = \"nobind\", HF_HUB_OFFLINE = \"1\", VLLM_NO_USAGE_STATS = \"1\" }}\n",
        vllm.display()
    );
    lab.write("here/experiment.toml", &toml("here", "")).write("here/prompts.sql", prompts);
    lab.write("there/experiment.toml", &toml("there", &engine)).write("there/prompts.sql", prompts);
    lab.mrx(&["run", "here", "respond.m0"]).success();
    let mut command = lab.command(&["run", "there", "respond.m0"]);
    for variable in ["HOME", "PATH"] {
        command.env(variable, std::env::var_os(variable).unwrap_or_default());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let both = "FROM responses here JOIN responses there USING (response_id)
        WHERE here.experiment = 'here' AND there.experiment = 'there'";
    let same = lab.ask(&format!(
        "SELECT count(*), sum((here.completion_ids = there.completion_ids)::INT) >= 5,
            max(abs(here.logprob - there.logprob)) FILTER (here.completion_ids = there.completion_ids) < 0.05 {both}"
    ));
    assert_eq!(same, "6,true,true", "{same}");
}
