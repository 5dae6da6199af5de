//! The loop on a model that really draws and learns: small, random, and made here.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::Device;
use mrx::model::{self, Config, weights};
use serde_json::json;

use crate::lab::Lab;

const EXPERIMENT: &str = r#"
name = "small"
iterations = 2
seed = 1

[model]
path = "model"

[prompts]
sql = "prompts.sql"
per_iteration = 40

[respond]
samples = 4
max_tokens = 6

[judge]
template = "judge.jinja"
samples = 3
max_tokens = 5

# Hardly any answer of a random model ends by itself.
[pairs.actor]
cut = "keep"

[train]
epochs = 6
batch = 4
learning_rate = 2e-4
schedule = "linear"
"#;

/// A folder with a random model whose every sixth token is a score.
pub(crate) fn lab() -> Lab {
    lab_of_seed(11)
}

/// The same, of other random weights.
pub(crate) fn lab_of_seed(seed: u64) -> Lab {
    let lab = Lab::new();
    lab.write("small/experiment.toml", EXPERIMENT);
    lab.write(
        "small/prompts.sql",
        "SELECT chr((97 + i % 9)::INTEGER) || ' b ' || i AS prompt FROM range(80) t(i)",
    );
    lab.write("small/judge.jinja", "rate {{ prompt }} : {{ response }}");
    let letters = ('a'..='l').map(String::from);
    let words = ["?", "<s>", "</s>", "rate", ":"].map(ToOwned::to_owned);
    let scores = (0..6).map(|score| format!("Score:{score}"));
    let words: Vec<String> = words.into_iter().chain(letters).chain(scores).collect();
    let vocabulary: BTreeMap<&String, usize> = words.iter().zip(0..).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{
            "id": 2, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "pre_tokenizer": { "type": "WhitespaceSplit" }, "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "?" },
    });
    lab.write("small/model/tokenizer.json", &tokenizer.to_string());
    let template = "{% for m in messages %}<s> {{ m.content }} </s> {% endfor %}\
                    {% if add_generation_prompt %}<s> {% endif %}";
    lab.write("small/model/chat_template.jinja", template);
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": words.len(),
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
        "initializer_range": 0.3, "eos_token_id": 2,
    });
    let config = Config::of(config.as_object().unwrap().clone()).unwrap();
    let weights = weights::initialise(&config, seed, &Device::Cpu).unwrap();
    let folder = lab.path.join("small/model");
    model::save(&folder, &config, &weights, &BTreeMap::new()).unwrap();
    lab
}

#[test]
fn a_model_answers_judges_and_learns_from_its_own_pairs() {
    let lab = lab();
    lab.mrx(&["run", "small"]).success();
    assert_eq!(lab.ask("SELECT count(*) FROM responses"), "320");
    let drawn = "SELECT bool_and(logprob < 0 AND completion_tokens BETWEEN 0 AND 6) FROM responses";
    assert_eq!(lab.ask(drawn), "true");
    let steps = lab.ask("SELECT count(DISTINCT step) FROM metrics WHERE model = 'm1'");
    let pairs =
        "SELECT 6 * ceil(count(*) FILTER (kept) / 4)::INTEGER FROM pairs WHERE model = 'm0'";
    assert_eq!(steps, lab.ask(pairs), "six epochs of batches of four");
    // Before the first step the model is its own reference.
    let first =
        "SELECT round(value, 6) FROM metrics WHERE model = 'm1' AND metric = 'loss' AND step = 1";
    assert_eq!(lab.ask(first), "0.693147");
    let learned = "SELECT avg(value) FILTER (epoch > 5) > avg(value) FILTER (epoch <= 1) + 0.01 \
                   FROM metrics WHERE metric = 'rewards/margins' AND model = 'm1'";
    assert_eq!(lab.ask(learned), "true", "the margin grows");
    let tensors =
        "SELECT count(*) = count(DISTINCT digest) FROM checkpoints WHERE tensor LIKE '%proj%'";
    assert_eq!(lab.ask(tensors), "true", "every tensor moved in both iterations");
    lab.mrx(&["run", "small"]).success().says("nothing to do");
}

#[test]
fn a_limit_of_steps_shortens_the_schedule_with_them() {
    let lab = lab();
    let rates = "SELECT string_agg(round(value / 2e-4, 3)::VARCHAR, ' ' ORDER BY step) FROM metrics \
                 WHERE metric = 'learning_rate' AND model = 'm1'";
    lab.mrx(&["run", "small", "train.m1", "--set", "train.max_steps=4"]).success();
    assert_eq!(lab.ask(rates), "1.0 0.75 0.5 0.25");
    // A longer schedule that is asked for is kept to.
    let longer = ["--set", "train.schedule_epochs=60"];
    let run = ["run", "small", "train.m1", "--set", "train.max_steps=4"];
    lab.mrx(&[&run[..], &longer].concat()).success();
    let slowly = lab.ask(rates);
    assert!(slowly.starts_with("1.0 0.9"), "{slowly}");
}

#[test]
fn training_that_is_killed_goes_on_to_the_same_weights() {
    let lab = lab();
    let run = ["run", "small", "train.m1"];
    lab.edit("small/experiment.toml", "epochs = 6", "epochs = 60");
    lab.mrx(&["run", "small", "pair.m0"]).success();
    let began = Instant::now();
    lab.mrx(&run).success();
    let mut whole = began.elapsed();
    let undisturbed = lab.digests("small");
    let trained = |lab: &Lab| lab.ask("SELECT count(*) FROM metrics");
    let rows = trained(&lab);
    for part in [0.15, 0.3, 0.45, 0.6, 0.75, 0.9] {
        forget_training(&lab);
        // Killed twice, the second time where the first attempt had not come.
        for share in [part * 0.5, part] {
            lab.kill(&run, &mut whole, share, || forget_training(&lab));
        }
        lab.mrx(&run).success();
        assert_eq!(lab.digests("small"), undisturbed, "killed at {part} of the way");
        assert_eq!(trained(&lab), rows);
    }
}

/// Deletes the run that made M1.
fn forget_training(lab: &Lab) {
    let runs = lab.path.join(".mrx/runs");
    for entry in std::fs::read_dir(runs).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && std::fs::read_to_string(&path).unwrap().contains("\"checkpoints\"") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// What is refused is a row: it is counted, not judged, chosen by nobody, and the loop goes on.
#[test]
fn a_prompt_that_is_too_long_is_a_row_and_ends_nothing() {
    let lab = lab();
    lab.edit("small/prompts.sql", "|| i AS prompt", "|| repeat(' c', i) AS prompt");
    lab.mrx(&["run", "small", "respond.m0"])
        .fails_with(3)
        .says("the model refused 2 of 160 rows, more than `max_refused` (0.01) lets pass: r_")
        .says(": 70 tokens do not fit a context of 64")
        .says("hint: let more pass with `max_refused`");
    lab.edit("small/experiment.toml", "seed = 1", "seed = 1\nmax_refused = 0.3");
    // What was drawn before it failed is not drawn again: how much may be refused is in no key.
    lab.mrx(&["run", "small", "respond.m0"]).success().says("resumed after");
    let nodes = ["run", "small", "pair.m0", "estimate.m0.judging"];
    lab.mrx(&nodes).success();
    let refused = "SELECT count(*) > 0 AND bool_and(text = '' AND completion_tokens = 0 \
                   AND refusal LIKE '%tokens do not fit a context of 64') \
                   FROM responses WHERE finish_reason = 'refused'";
    assert_eq!(lab.ask(refused), "true");
    let others = "SELECT bool_and(refusal IS NULL) FROM responses WHERE finish_reason != 'refused'";
    assert_eq!(lab.ask(others), "true");
    let judged = "SELECT count(*) FROM judgements JOIN responses r USING (response_id, model) \
                  WHERE r.finish_reason = 'refused'";
    assert_eq!(lab.ask(judged), "0");
    let read = "SELECT bool_and(score IS NULL) AND count(*) > 0 FROM judgements \
                WHERE status = 'refused'";
    assert_eq!(lab.ask(read), "true", "a judge refuses longer prompts than an actor");
    let counted = "SELECT count(*) > 0 FROM estimates \
                   WHERE name = 'judge_status' AND \"group\" = 'refused' AND value > 0";
    assert_eq!(lab.ask(counted), "true");
    let paired = "SELECT count(*) FROM pairs WHERE kept AND (chosen = '' OR rejected = '')";
    assert_eq!(lab.ask(paired), "0");
    lab.mrx(&nodes).success().says("nothing to do");
}

#[test]
fn a_device_that_is_not_there_is_told() {
    let lab = lab();
    lab.mrx(&["run", "small", "--device", "tpu"])
        .fails_with(2)
        .says("expected cpu, cuda, cuda:N or metal");
    if !cfg!(feature = "cuda") {
        lab.mrx(&["run", "small", "--device", "cuda:1"])
            .fails_with(3)
            .says("cannot compute on `cuda:1`: this build is without the feature `cuda`");
    }
}

#[test]
fn weights_that_are_not_finite_stop_the_first_answer() {
    let lab = lab();
    let config = Config::read(&lab.path.join("small/model/config.json")).unwrap();
    let mut weights = weights::initialise(&config, 11, &Device::Cpu).unwrap();
    let norm = weights.get_mut("model.norm.weight").unwrap();
    *norm = (&*norm * f64::NAN).unwrap();
    let path = lab.path.join("small/model/model.safetensors");
    weights::save(&weights, &config, &path).unwrap();
    lab.mrx(&["run", "small", "respond.m0"])
        .fails_with(3)
        .says("the model's logits are not finite");
}

#[test]
fn values_of_training_that_do_not_go_together_are_refused() {
    let lab = lab();
    lab.mrx(&["plan", "small", "--set", "train.schedule_epochs=2"])
        .fails_with(1)
        .says("expected at least the 6 epochs, found 2");
    lab.mrx(&["plan", "small", "--set", "train.loss=ipo", "--set", "train.label_smoothing=0.1"])
        .fails_with(1)
        .says("expected no label smoothing with the loss `ipo`");
}
