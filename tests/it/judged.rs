//! Games as AlpacaEval 2 and Arena-Hard have them judged: one order that a coin decides and a verdict of one
//! token, or five levels in both orders.

use std::path::Path;

use candle_core::IndexOp;
use mrx::model::{Batch, Message, Prompt};
use serde_json::{Value, json};

use crate::ids::Kind;
use crate::lab::{Lab, PROJECT, copy_folder};
use crate::weighed::decode;

/// A lab with all experiments in `e/`.
pub(crate) fn examples() -> Lab {
    let lab = Lab::new();
    copy_folder(&Path::new(PROJECT).join("experiments"), &lab.path.join("e"));
    lab
}

/// The scripted loop, whose ready-made opponent and judge are told apart by what they say.
pub(crate) fn played(order: &str, says: &str) -> Lab {
    let lab = Lab::with_loop();
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let evaluate = format!(
        "\n[evaluate]\nprompts = \"eval.sql\"\nbaseline = \"ready.sql\"\ntemperature = 0.8\n\
         [evaluate.judge]\nmodel = \"judge\"\ntemplate = \"compare.jinja\"\ntemperature = 0.8\n{order}\n"
    );
    lab.write("loop/experiment.toml", &(toml + &evaluate));
    lab.write("loop/eval.sql", "SELECT format('What is {}?', i) AS prompt FROM range(200) t(i)");
    lab.write(
        "loop/ready.sql",
        "SELECT format('What is {}?', i) AS prompt, 'READY ' || i AS response FROM range(200) t(i)",
    );
    lab.write("loop/compare.jinja", "{{ prompt }} [{{ response_a }}] [{{ response_b }}]");
    let config = json!({"architecture": "scripted", "rules": [{"template": "verdict.jinja"}]});
    lab.write("loop/judge/config.json", &config.to_string());
    lab.write("loop/judge/verdict.jinja", says);
    lab
}

const LIKES_THE_FIRST: &str = "Winner: Response A";
const LIKES_READY: &str =
    "Winner: Response {% if '[READY' in (prompt | split('] ['))[0] %}A{% else %}B{% endif %}";

#[test]
fn a_seeded_order_is_half_and_half_and_the_same_on_every_run() {
    let lab = played("order = \"seeded\"", LIKES_THE_FIRST);
    lab.mrx(&["run", "loop", "evaluate.m0"]).success();
    let games = "SELECT count(*), count(DISTINCT prompt_id), sum((first_shown = 'model')::INT) BETWEEN 70 AND 130,
            bool_and(preference = (first_shown = 'model')::INT) FROM verdicts";
    assert_eq!(lab.ask(games), "200,200,true,true");
    let orders = "SELECT string_agg(first_shown[1] || prompt, ' ' ORDER BY prompt)
         FROM verdicts JOIN prompts USING (prompt_id)
         WHERE regexp_extract(prompt, '\\d+')::INT < 50";
    let shown = lab.ask(orders);
    let again = played("order = \"seeded\"", LIKES_THE_FIRST);
    again.mrx(&["run", "loop", "evaluate.m0"]).success();
    assert_eq!(again.ask(orders), shown);
    // A quarter of the prompts, another judge and another template: the games that are left are as they were.
    let other = played("order = \"seeded\"", LIKES_READY);
    other.edit("loop/eval.sql", "range(200)", "range(50)");
    other.edit("loop/compare.jinja", "{{ prompt }}", "Say who is better. {{ prompt }}");
    other.mrx(&["run", "loop", "evaluate.m0"]).success();
    assert_eq!(other.ask(orders), shown);
    other.mrx(&["run", "loop", "evaluate.m0", "--set", "seed=1"]).success();
    assert_ne!(other.ask(orders), shown, "another seed, another order");
}

#[test]
fn a_seeded_game_is_one_of_the_two_that_both_orders_play() {
    let lab = played("", LIKES_READY);
    lab.mrx(&["run", "loop", "evaluate.m0", "evaluate.m1", "--set", "name=both"]).success();
    let seeded = ["--set", "evaluate.judge.order=seeded", "--set", "name=seeded"];
    lab.mrx(&[&["run", "loop", "evaluate.m0", "evaluate.m1"], &seeded[..]].concat()).success();
    let shared = "SELECT count(*), count(*) FILTER (s.preference = b.preference AND s.text = b.text
            AND s.first_shown = b.first_shown) FROM (FROM verdicts WHERE experiment = 'seeded') s
         JOIN (FROM verdicts WHERE experiment = 'both') b USING (model, verdict_id)";
    assert_eq!(lab.ask(shared), "400,400");
    let alike = "SELECT count(*) FROM (SELECT prompt_id FROM verdicts WHERE experiment = 'seeded'
         GROUP BY ALL HAVING count(*) = 2 AND count(DISTINCT first_shown) = 1)";
    assert_eq!(lab.ask(alike), "200", "both models are shown on the same side");
    let plan = lab.mrx(&["plan", "loop", "--set", "evaluate.judge.order=random"]).fails_with(1);
    plan.says("unknown variant `random`, expected `both` or `seeded`");
}

#[test]
fn both_orders_are_the_default_and_say_nothing_of_it() {
    let lab = played("order = \"both\"", LIKES_READY);
    lab.mrx(&["run", "loop", "evaluate.m0"]).success();
    assert_eq!(lab.ask("SELECT count(*) FROM verdicts"), "400");
    let silent = lab.mrx(&["run", "loop", "evaluate.m0", "--set", "evaluate.judge.order=both"]);
    silent.success().says("nothing to do");
    let plain = played("", LIKES_READY);
    plain.mrx(&["run", "loop", "evaluate.m0"]).success();
    let of = |lab: &Lab| lab.digests("scripted")["evaluate.m0/verdicts"];
    assert_eq!(of(&plain), of(&lab));
    let orders = |lab: &Lab| -> Vec<Option<Value>> {
        let manifests = lab.store().manifests().unwrap();
        let keys = manifests.into_iter().map(|manifest| manifest.key);
        keys.filter(|key| key.stage == "evaluate")
            .map(|key| key.config.get("order").cloned())
            .collect()
    };
    assert_eq!(orders(&plain), [None], "existing keys stay");
    assert_eq!(orders(&lab), [None]);
    plain.mrx(&["run", "loop", "evaluate.m0", "--set", "evaluate.judge.order=seeded"]).success();
    assert!(orders(&plain).contains(&Some("seeded".into())));
}

/// The longer answer wins, in both orders and in the seeded one, as experiments of those names.
fn of_both_orders() -> Lab {
    let says = "{% set a = (prompt | split('['))[1] | split(']') | first | length %}
        {% set b = (prompt | split('['))[2] | split(']') | first | length %}
        Winner: {% if a > b %}Response A{% elif a < b %}Response B{% else %}tie{% endif %}";
    let lab = played("", says);
    lab.edit("loop/ready.sql", "'READY ' || i", "repeat('long ', i::INT % 60)");
    for order in ["both", "seeded"] {
        let set = [format!("name={order}"), format!("evaluate.judge.order={order}")];
        let set = ["--set", &set[0], "--set", &set[1]];
        let nodes = ["run", "loop", "estimate.m0.answers", "estimate.m1.answers"];
        lab.mrx(&[&nodes[..], &set].concat()).success();
    }
    lab
}

/// One game a prompt is half as many rows, and the same estimates where the order decides nothing.
#[test]
fn estimates_are_right_with_one_game_a_prompt() {
    let lab = of_both_orders();
    let same = |names: &str| {
        lab.ask(&format!(
            "SELECT count(*) > 0, bool_and(abs(b.value - s.value) < 1e-9 AND b.n = s.n)
             FROM (FROM estimates WHERE experiment = 'both' AND name IN ({names})) b
             JOIN (FROM estimates WHERE experiment = 'seeded') s USING (name, model)"
        ))
    };
    assert_eq!(
        same("'win_rate', 'win_rate/discrete', 'length_controlled_win_rate', 'gain'"),
        "true,true"
    );
    let count = |experiment: &str| {
        lab.ask(&format!(
            "SELECT sum(value)::INT FROM estimates WHERE experiment = '{experiment}' AND model = 'm1'
             AND name IN ('win_rate/wins', 'win_rate/losses', 'win_rate/ties')"
        ))
    };
    assert_eq!((count("both"), count("seeded")), ("400".to_owned(), "200".to_owned()));
    let disagree = |experiment: &str| {
        lab.ask(&format!(
            "SELECT string_agg(DISTINCT coalesce(value::VARCHAR, method), ' ') FROM estimates
             WHERE experiment = '{experiment}' AND name = 'position_bias/disagree'"
        ))
    };
    assert_eq!(disagree("both"), "0.0");
    assert_eq!(disagree("seeded"), "none: no rows say anything of it");
    // A judge that does not care about the order: a half, but for the coin, which is in the interval.
    let first = "SELECT bool_and(abs(value - 0.5) < 0.14 AND high - low BETWEEN 0.1 AND 0.2)
         FROM estimates WHERE experiment = 'seeded' AND name = 'position_bias/first_wins'";
    assert_eq!(lab.ask(first), "true");
}

#[test]
fn what_diff_plays_is_in_that_order_too() {
    let lab = of_both_orders();
    let diff = |first: &str, second: &str| -> Value {
        let json = lab.mrx(&["diff", first, second, "--format", "json"]).success().stdout;
        serde_json::from_str(&json).unwrap()
    };
    let line = |json: &Value, name: &str, side: &str| {
        let lines = json["lines"].as_array().unwrap();
        let line =
            lines.iter().find(|l| l["part"] == "games" && l["name"] == name && !l[side].is_null());
        line.unwrap()[side].as_f64().unwrap()
    };
    let (one, other) = (diff("seeded/m0", "seeded/m1"), diff("seeded/m1", "seeded/m0"));
    let both = diff("both/m0", "both/m1");
    let rate = |json: &Value| line(json, "win_rate", "second");
    assert!((rate(&one) + rate(&other) - 1.0).abs() < 1e-12, "{one} {other}");
    assert!((rate(&one) - rate(&both)).abs() < 1e-12, "{one} {both}");
    assert_eq!(one["prompts"], 200);
    let chars = |json: &Value, side| line(json, "chars", side);
    assert_eq!(chars(&one, "first").to_bits(), chars(&both, "first").to_bits());
    assert_eq!(chars(&one, "second").to_bits(), chars(&both, "second").to_bits());
    let mean = "SELECT avg(len(text)) FROM responses WHERE experiment = 'seeded' AND part = 'eval' AND model = 'm1'";
    assert!((chars(&one, "second") - lab.ask(mean).parse::<f64>().unwrap()).abs() < 1e-9);
}

const WEIGHED: &str = r#"
name = "weighed"
iterations = 1
seed = 3

[model]
path = "model"

[prompts]
sql = "prompts.sql"

[respond]
max_tokens = 8

[train]
on_no_pairs = "keep"

[evaluate]
prompts = "held_out.sql"
baseline = "ready.sql"
max_tokens = 8

[evaluate.judge]
model = "model"
template = "compare.jinja"
order = "seeded"
decide = "score"

[evaluate.judge.verdict]
pattern = '\b(?<better>[aA])\b'
values = { a = 1, A = -1 }
"#;

/// The words of this judge are `a` and `A`, which its tokenizer has, where AlpacaEval's are `m` and `M`.
#[test]
fn a_preference_is_the_probability_of_the_models_token_whichever_was_shown_first() {
    let lab = Lab::new();
    lab.write("weighed/experiment.toml", WEIGHED);
    lab.write("weighed/prompts.sql", "SELECT 'abc' AS prompt");
    let asked = "SELECT 'de' || repeat(' fg', i::INTEGER) AS prompt";
    lab.write("weighed/held_out.sql", &format!("{asked} FROM range(24) t(i)"));
    let ready =
        format!("{asked}, 'ab' || repeat(' c', i::INTEGER) AS response FROM range(24) t(i)");
    lab.write("weighed/ready.sql", &ready);
    lab.write("weighed/compare.jinja", "{{ prompt }} : {{ response_a }} : {{ response_b }}");
    std::fs::create_dir_all(lab.path.join("weighed/model")).unwrap();
    Kind::ByteLevel.write(&lab.path.join("weighed/model"), 0);
    lab.mrx(&["run", "weighed", "estimate.m0.answers"]).success();
    let both = "SELECT count(*), count(DISTINCT first_shown), bool_and(status = 'ok' AND len(weighed) = 2) FROM verdicts";
    assert_eq!(lab.ask(both), "24,2,true");
    // `A` is the first of both words, and the one shown second.
    let turned = "SELECT max(abs(preference - exp(weighed[if(first_shown = 'model', 2, 1)].logprob))) < 1e-12,
            max(abs(exp(weighed[1].logprob) + exp(weighed[2].logprob) - 1)) < 1e-12,
            bool_and(weighed[1].verdict = 'A' AND weighed[1].value = -1 AND weighed[2].value = 1),
            count(DISTINCT preference) > 12 FROM verdicts";
    assert_eq!(lab.ask(turned), "true,true,true,true");
    let rate = "SELECT abs(value - (SELECT avg(preference) FROM verdicts)) < 1e-12 FROM estimates WHERE name = 'win_rate'";
    assert_eq!(lab.ask(rate), "true");
    let model = Kind::ByteLevel.open(0);
    for row in [0, 7, 23] {
        let at = |column: &str| {
            lab.ask(&format!(
                "SELECT {column} FROM verdicts v JOIN prompts USING (prompt_id)
                 JOIN responses r ON r.response_id = v.response_id
                 JOIN responses b ON b.response_id = v.baseline_response_id
                 ORDER BY prompt OFFSET {row} LIMIT 1"
            ))
        };
        let shown = at(
            "to_base64(encode(prompt || ' : ' || if(first_shown = 'model', r.text || ' : ' || b.text, b.text || ' : ' || r.text)))",
        );
        let shown = String::from_utf8(decode(&shown)).unwrap();
        let chat = [Message::user(shown)];
        let ids = model.tokens(&Prompt::Messages(chat.to_vec())).unwrap();
        let network = model.network();
        let hidden = network.hidden(&Batch::of([ids.as_slice()])).unwrap();
        let logits: Vec<f32> =
            network.logits(&hidden).unwrap().i(ids.len() - 1).unwrap().to_vec1().unwrap();
        let [first, second] = ["a", "A"].map(|word| {
            let target = model.tokenised(&chat, word).unwrap().target;
            assert_eq!(target.len(), 2, "a token and the end");
            f64::from(logits[target[0] as usize])
        });
        let first_wins = 1.0 / (1.0 + (second - first).exp());
        let expected = if at("first_shown") == "model" { first_wins } else { 1.0 - first_wins };
        let found: f64 = at("preference").parse().unwrap();
        assert!((found - expected).abs() < 1e-5, "{row}: {found}, {expected}");
    }
}

#[test]
fn the_example_experiments_run_as_they_stand() {
    let lab = examples();
    for (folder, name, games) in
        [("alpaca_eval", "alpaca-eval", "12"), ("arena_hard", "arena-hard", "16")]
    {
        let folder = format!("e/{folder}");
        lab.mrx(&["plan", &folder]).success();
        lab.mrx(&["run", &folder]).success().prints("win rate");
        lab.mrx(&["run", &folder]).success().says("nothing to do");
        let played = format!("SELECT count(preference) FROM verdicts WHERE experiment = '{name}'");
        assert_eq!(lab.ask(&played), games);
        let first = format!("{name}/m0");
        lab.mrx(&["diff", &first, &format!("{name}/m1")]).success().prints("win rate");
    }
    let baselines = "SELECT string_agg(DISTINCT baseline, ' ' ORDER BY baseline) FROM verdicts";
    assert_eq!(lab.ask(baselines), "gpt-4-0314 gpt4_1106_preview");
}
