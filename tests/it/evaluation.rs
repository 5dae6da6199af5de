//! How good each model is: games against a baseline, the panel of judges, and `mrx diff`.

use std::path::Path;

use crate::lab::{Lab, PROJECT, copy_folder};

/// The scripted loop with `[evaluate]`, whose ten prompts are new to the models.
fn evaluated(evaluate: &str) -> Lab {
    let lab = Lab::with_loop();
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    lab.write(
        "loop/experiment.toml",
        &format!("{toml}\n[evaluate]\nprompts = \"eval.sql\"\n{evaluate}"),
    );
    let sql = "SELECT format('What is {} plus {}?', i, 2 * i) AS prompt, (3 * i)::VARCHAR AS reference, if(i < 5, 'low', 'high') AS category FROM range(10) t(i)";
    lab.write("loop/eval.sql", sql);
    lab.write("loop/oracle.sql", ORACLE);
    lab
}

/// Short answers are good ones.
const ORACLE: &str = "-- An oracle may say what it likes beside the score.
SELECT answer_id, greatest(0, 5 - len(response) // 40) AS score, reference FROM answers;
";

const WITH_ORACLE: &str = "oracle = \"oracle.sql\"\ntemperature = 0.8\n";

#[test]
fn an_oracle_decides_games_and_says_how_far_a_judge_agrees() {
    let lab = evaluated(WITH_ORACLE);
    lab.mrx(&["run", "loop"]).success().prints("win rate").says("what changed?");
    // M0 does not play itself; the others play ten games each.
    let games = "SELECT string_agg(format('{} {}', model, n), ', ' ORDER BY model) FROM (SELECT model, count(*) AS n FROM verdicts GROUP BY ALL)";
    assert_eq!(lab.ask(games), "\"m1 10, m2 10, m3 10, m4 10\"");
    let score = |table: &str| format!("greatest(0, 5 - len({table}.text) // 40)");
    let (own, other) = (score("r"), score("b"));
    let wrong = lab.ask(&format!(
        "SELECT count(*) FROM verdicts v JOIN responses r USING (experiment, response_id)
         JOIN responses b ON b.response_id = v.baseline_response_id AND b.model = 'm0'
         WHERE preference != (sign({own} - {other}) + 1) / 2 OR response_chars != len(r.text)
            OR baseline_chars != len(b.text) OR judge != 'sql' OR first_shown != 'none'"
    ));
    assert_eq!(wrong, "0");
    assert_eq!(lab.ask("SELECT count(DISTINCT preference) >= 2 FROM verdicts"), "true");
    let rates = "SELECT max(abs(value - rate)) < 1e-12 FROM estimates e JOIN (SELECT model, avg(preference) AS rate FROM verdicts GROUP BY ALL) USING (model) WHERE name = 'win_rate'";
    assert_eq!(lab.ask(rates), "true");
    // The judge is asked about M0's answers, the same for every model, and agrees as SQL says.
    let agreement = format!(
        "WITH judged AS (SELECT j.model, avg((j.score = {})::INT) AS rate FROM judgements j JOIN responses r USING (experiment, response_id) WHERE j.part = 'panel' AND r.part = 'panel' AND r.sample = 0 AND j.score IS NOT NULL GROUP BY ALL) SELECT max(abs(value - rate)) < 1e-12, count(*) FROM estimates e JOIN judged USING (model) WHERE name = 'judge_agreement'",
        score("r")
    );
    assert_eq!(lab.ask(&agreement), "true,5");
    let gains = "SELECT string_agg(model, ' ' ORDER BY model) FROM estimates WHERE name = 'gain'";
    assert_eq!(lab.ask(gains), "m2 m3 m4", "M1's gain over M0 is its win rate");
}

#[test]
fn evaluation_is_greedy_unless_asked_otherwise() {
    let lab = evaluated("oracle = \"oracle.sql\"\n");
    lab.mrx(&["run", "loop", "evaluate.m1"]).success();
    // The scripted model's choices depend on the seed alone, which is not used at temperature 0.
    let texts = "SELECT count(DISTINCT text) FROM responses WHERE part = 'eval' AND model = 'm1'";
    assert_eq!(lab.ask(texts), "1");
    lab.mrx(&["run", "loop", "evaluate.m1", "--set", "evaluate.temperature=1"]).success();
    assert_ne!(lab.ask(texts), "1");
}

#[test]
fn a_judge_model_sees_every_game_in_both_orders() {
    let lab = evaluated("temperature = 0.8\n[evaluate.judge]\nmodel = \"m0\"\ntemperature = 0.8\n");
    lab.edit(
        "loop/model/config.json",
        "\"rules\": [",
        "\"rules\": [{\"contains\": \"Winner: Response\", \"template\": \"compare.jinja\"},",
    );
    let says = "Hm. {% if uniform() < 0.1 %}No idea{% else %}Winner: {{ pick(['Response A', 'Response A', 'Response B', 'tie']) }}{% endif %}";
    lab.write("loop/model/compare.jinja", says);
    lab.mrx(&["run", "loop"]).success();
    assert_eq!(
        lab.ask("SELECT count(*) FROM verdicts"),
        "80",
        "four models, ten prompts, two orders"
    );
    let orders = "SELECT count(*) FROM (SELECT model, prompt_id FROM verdicts GROUP BY ALL HAVING count(DISTINCT first_shown) = 2)";
    assert_eq!(lab.ask(orders), "40");
    let wrong = "SELECT count(*) FROM verdicts WHERE preference IS DISTINCT FROM CASE
        WHEN text LIKE '%tie' THEN 0.5
        WHEN text LIKE '%Response A' THEN (first_shown = 'model')::INT
        WHEN text LIKE '%Response B' THEN (first_shown = 'baseline')::INT END
        OR (status = 'ok') != (preference IS NOT NULL) OR judge != 'm0'";
    assert_eq!(lab.ask(wrong), "0");
    assert_ne!(lab.ask("SELECT count(*) FROM verdicts WHERE status = 'missing'"), "0");
    assert_eq!(
        lab.ask("SELECT count(*) FROM estimates WHERE name = 'position_bias/first_wins'"),
        "4"
    );
    assert_eq!(
        lab.ask("SELECT count(*) FROM estimates WHERE name = 'judge_agreement'"),
        "0",
        "nobody knows better"
    );
    lab.mrx(&["diff", "scripted/m1", "scripted/m3"]).success().prints("decided by m0");
}

#[test]
fn ready_made_answers_are_a_baseline_for_m0_too() {
    let lab = evaluated(
        "baseline = \"answers.sql\"\nfiles = [\"answers.csv\"]\noracle = \"oracle.sql\"\n",
    );
    let sql = "SELECT prompt, answer AS response FROM read_csv('answers.csv', all_varchar = true)";
    lab.write("loop/answers.sql", sql);
    let lines = |count: usize| {
        let line = |i: usize| format!("What is {i} plus {}?,{}\n", 2 * i, 3 * i);
        format!("prompt,answer\n{}", (0..count).map(line).collect::<String>())
    };
    lab.write("loop/answers.csv", &lines(10));
    lab.mrx(&["run", "loop"]).success();
    assert_eq!(
        lab.ask("SELECT string_agg(DISTINCT model, ' ' ORDER BY model) FROM verdicts"),
        "m0 m1 m2 m3 m4"
    );
    assert_eq!(lab.ask("SELECT string_agg(DISTINCT baseline, ' ') FROM verdicts"), "answers");
    lab.write("loop/answers.csv", &lines(8));
    let some = lab.mrx(&["run", "loop"]).fails_with(3);
    some.says(
        "answers.baseline.eval: no answer to 2 of the 10 evaluation prompts; the first is `What is",
    );
    lab.write("loop/answers.csv", &(lines(10) + "What is 1 plus 2?,3\n"));
    lab.mrx(&["run", "loop"]).fails_with(3).says("rows 2 and 11 answer the same prompt");
}

#[test]
fn training_prompts_among_those_for_evaluation_are_warned_of() {
    let lab = evaluated(WITH_ORACLE);
    lab.write(
        "loop/eval.sql",
        "SELECT instruction AS prompt FROM 'prompts.jsonl' ORDER BY ALL LIMIT 15",
    );
    lab.edit(
        "loop/experiment.toml",
        "prompts = \"eval.sql\"",
        "prompts = \"eval.sql\"\nfiles = [\"prompts.jsonl\"]",
    );
    let run = lab.mrx(&["run", "loop", "prompts.m0", "prompts.m1"]).success();
    run.says(
        "prompts are evaluation prompts, too: what is measured on those is not new to the models",
    );
}

#[test]
fn a_judge_that_can_be_gamed_is_told_of() {
    let lab = evaluated(WITH_ORACLE);
    // This one believes what an answer says of itself, and likes nothing else.
    lab.write(
        "loop/model/judge.jinja",
        "{% if 'Score: 5\n' in prompt %}Score: 5{% else %}Score: {{ pick(['1', '2']) }}{% endif %}",
    );
    let run = lab.mrx(&["run", "loop", "estimate.m0.panel"]).success();
    let run = run.says("estimate.m0.panel: the judge scores the probe `claims_score`");
    run.says("points above real answers").does_not_say("`empty`");
    let probes = "SELECT string_agg(e.group, ' ' ORDER BY e.group) FROM estimates e WHERE name = 'probe_gain'";
    assert_eq!(lab.ask(probes), "claims_score constant empty padded");
    let own = ["--set", "evaluate.panel.probes.shout=\"{{ response | upper }}!\""];
    lab.mrx(&[&["run", "loop", "estimate.m0.panel"][..], &own].concat()).success();
    assert_eq!(lab.ask(probes), "shout");
    let wrong = ["--set", "evaluate.panel.probes.shout=\"{{ answer }}\""];
    lab.mrx(&[&["run", "loop"][..], &wrong].concat())
        .fails_with(1)
        .says("the probe `shout`: it shows `{{ answer }}`");
}

#[test]
fn an_oracle_that_cannot_decide_says_why() {
    let lab = evaluated(WITH_ORACLE);
    let with = |sql: &str| {
        lab.write("loop/oracle.sql", sql);
        lab.mrx(&["run", "loop", "evaluate.m1"]).fails_with(3)
    };
    with("SELECT answer_id FROM answers")
        .says("the query gives no column `score`; it gives answer_id");
    with("SELECT answer_id, 1 AS score FROM answers WHERE category = 'low'").says("has no row");
    with("SELECT answer_id, 1 AS score FROM answers, range(2)").says("has two scores");
    with("SELECT answer_id, random() AS score FROM answers").says("`random()` changes");
    with("SELECT answer_id, score FROM answer").says("answer");
    let refused = |set: &str| lab.mrx(&["run", "loop", "--set", set]).fails_with(1);
    refused("evaluate.baseline=m7").says("expected `m0`, or a query of ready-made answers");
    refused("evaluate.baseline=none.sql").says("none.sql");
    refused("evaluate.oracle=none.sql").says("none.sql");
    refused("evaluate.judge.model=nowhere").says("nowhere");
}

#[test]
fn two_models_are_compared() {
    let lab = evaluated(WITH_ORACLE);
    lab.mrx(&["run", "loop"]).success();
    let text = lab.mrx(&["diff", "scripted/m0", "scripted/m3"]).success();
    let text = text
        .prints("scripted/m3 against scripted/m0")
        .prints("Over 10 prompts, decided by the oracle");
    text.prints("P(better)").prints("judge_agreement").prints("actor.rho 0.0 → 0.4");
    let again = lab.mrx(&["diff", "m0", "m3"]).success().does_not_say("evaluate.second.first");
    again.prints("scripted/m3 against scripted/m0");
    let json = lab.mrx(&["diff", "m0", "m3", "--format", "json"]).success().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let (flipped, equal) = (json["flipped"].as_array().unwrap(), json["equal"].as_u64().unwrap());
    assert_eq!(flipped.len() as u64 + equal, 10);
    let wins = flipped.iter().filter(|row| row["preference"] == 1.0).count();
    let rate = json["lines"][0]["second"].as_f64().unwrap();
    assert!((rate - (wins as f64 + equal as f64 / 2.0) / 10.0).abs() < 1e-12, "{rate}");
    lab.mrx(&["diff", "m0", "m3", "--format", "markdown", "--rows", "0"])
        .success()
        .prints("| prompt | reference |");
    lab.mrx(&["diff", "m0", "m3", "--format", "csv"]).success().prints("games,win_rate,all");
    lab.mrx(&["diff", "m0", "m3", "--format", "parquet"]).fails_with(2);
    lab.mrx(&["diff", "m0", "m3", "--fail-under", "0"]).success();
    lab.mrx(&["diff", "m0", "m3", "--fail-under", "1"])
        .fails_with(1)
        .says("of its games, less than 1");
    lab.mrx(&["diff", "m1", "m9"]).fails_with(2).says("it has m0, m1, m2, m3, m4");
    lab.mrx(&["diff", "none/m1", "m3"]).fails_with(2).says("one of scripted/m1");
    // What `diff` made is nobody's: SQL does not show it.
    assert_eq!(lab.ask("SELECT count(*) FROM verdicts"), "40");
}

#[test]
fn models_of_two_experiments_are_compared_and_what_differed_is_named() {
    let lab = evaluated(WITH_ORACLE);
    lab.mrx(&["run", "loop"]).success();
    let other =
        ["--set", "name=alone", "--set", "meta_judge.enabled=false", "--set", "judge.samples=5"];
    lab.mrx(&[&["run", "loop"][..], &other].concat()).success();
    let text = lab.mrx(&["diff", "scripted/m4", "alone/m4"]).success();
    text.prints("samples 11 → 5").prints("only of scripted/m4");
    // The experiment may be named by its folder, too.
    lab.mrx(&["diff", "loop/m0", "alone/m4"]).success().prints("alone/m4 against scripted/m0");
    lab.write("loop/eval.sql", "SELECT 'Something else?' AS prompt");
    lab.mrx(&["run", "loop", "--set", "name=third"]).success();
    lab.mrx(&["diff", "scripted/m4", "third/m4"])
        .fails_with(1)
        .says("answered other prompts: 0 of 10 and 1 are the same");
}

#[test]
fn prompts_are_the_same_whatever_the_seed_that_orders_them() {
    let lab = evaluated(WITH_ORACLE);
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["run", "loop", "--set", "seed=1", "--set", "name=scripted-1"]).success();
    let asked = |experiment: &str| lab.digests(experiment)["prompts.eval/prompts"];
    assert_ne!(asked("scripted"), asked("scripted-1"), "another order is another table");
    let diff = ["diff", "scripted/m3", "scripted-1/m3", "--rows", "0"];
    lab.mrx(&diff).success().prints("Over 10 prompts, decided by the oracle of scripted-1");
    let json = |first: &str, second: &str| {
        let json = lab.mrx(&["diff", first, second, "--format", "json"]).success().stdout;
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    // Seen from the other side, in the order of the other seed, each game is the same.
    let (one, other) = (json("scripted/m0", "scripted-1/m4"), json("scripted-1/m4", "scripted/m0"));
    let rate = |json: &serde_json::Value| json["lines"][0]["second"].as_f64().unwrap();
    assert!((rate(&one) + rate(&other) - 1.0).abs() < 1e-9, "{one} {other}");
    let flipped = |json: &serde_json::Value| json["flipped"].as_array().unwrap().len();
    assert!(flipped(&one) > 0, "{one}");
    assert_eq!(flipped(&one), flipped(&other));
}

#[test]
fn a_comparison_that_fails_says_whose_fault_it_is() {
    let lab = evaluated(WITH_ORACLE);
    // Forty answers at once are too many for this one, and its own experiment never has them.
    let few = "SELECT answer_id, if((SELECT count(*) FROM answers) = 40, 'nan'::DOUBLE, 1) AS score FROM answers";
    lab.mrx(&["run", "loop", "--set", "name=three", "--set", "evaluate.samples=3"]).success();
    lab.write("loop/oracle.sql", few);
    lab.mrx(&["run", "loop", "--set", "name=one", "--set", "seed=1"]).success();
    lab.mrx(&["diff", "three/m1", "one/m1"]).fails_with(3).says("has the score NaN");
    lab.edit("loop/experiment.toml", "samples = 7", "sampels = 7");
    lab.mrx(&["diff", "loop/m0", "one/m1"]).fails_with(1).says("unknown field `sampels`");
}

#[test]
fn without_evaluation_there_are_no_games_and_judges_are_compared_all_the_same() {
    let lab = Lab::new();
    copy_folder(&Path::new(PROJECT).join("experiments/scripted"), &lab.path.join("loop"));
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["diff", "m0", "m1"]).success().prints("No games").prints("judge_score");
    lab.mrx(&["diff", "m0", "m1", "--fail-under", "0.5"]).fails_with(1).says("no win rate");
}

#[test]
fn a_users_own_estimates_do_not_stand_in_for_the_standard_ones() {
    let lab = evaluated(WITH_ORACLE);
    lab.write("loop/own.sql", "SELECT prompt_id AS prompt, 1 AS preference, if(len(prompt_id) % 2 = 0, 'all', 'some') AS \"group\" FROM verdicts");
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let own = |name: &str| {
        let table =
            format!("{toml}\n[estimate.{name}]\nmeasure = \"win_rate\"\nsql = \"own.sql\"\n");
        lab.write("loop/experiment.toml", &table);
        lab.mrx(&["run", "loop"])
    };
    for name in ["answers", "judging", "panel"] {
        own(name).fails_with(1).says(&format!("`{name}` is the name of a standard estimate"));
    }
    // Every preference is 1 there: the table at the end has the games' own rates.
    let table = own("win_rate").success().stdout;
    assert!(!table.contains("100.0 %"), "{table}");
}

#[test]
fn an_oracle_may_end_as_a_file_does_and_must_give_numbers() {
    let lab = evaluated(WITH_ORACLE);
    let ending = "SELECT answer_id, (5 - len(response) % 5)::VARCHAR AS score FROM answers; -- done\n-- and over\n";
    lab.write("loop/oracle.sql", ending);
    lab.mrx(&["run", "loop", "estimate.m1.panel", "estimate.m1.answers"]).success();
    lab.write("loop/oracle.sql", "SELECT answer_id, 'nan'::DOUBLE AS score FROM answers");
    lab.mrx(&["run", "loop", "evaluate.m1"])
        .fails_with(3)
        .says("has the score NaN; expected a finite number");
    lab.write("loop/m0.sql", "SELECT 'a' AS prompt, 'b' AS response");
    let named = ["run", "loop", "--set", "evaluate.baseline=m0.sql"];
    lab.mrx(&named).fails_with(1).says("ready-made answers by the name of a model");
}

#[test]
fn what_is_beside_the_loop_says_so() {
    let lab = evaluated(WITH_ORACLE);
    lab.mrx(&["run", "loop"]).success();
    assert_eq!(lab.ask("SELECT count(*) FROM prompts WHERE part IS NULL"), "40");
    assert_eq!(lab.ask("SELECT count(*) FROM prompts WHERE part = 'eval'"), "10");
    assert_eq!(
        lab.ask("SELECT string_agg(DISTINCT part, ' ' ORDER BY part) FROM responses"),
        "eval panel"
    );
    // What a model was asked is counted once, though the panel shows it again.
    let calls = lab.mrx(&["diff", "m0", "m1", "--format", "csv"]).success().stdout;
    let calls = calls.lines().find(|line| line.starts_with("cost,calls")).unwrap().to_owned();
    let drawn = lab.ask("SELECT (SELECT count(*) FROM responses WHERE model = 'm0' AND part IS DISTINCT FROM 'panel') + (SELECT count(*) FROM judgements WHERE model = 'm0') + (SELECT count(*) FROM meta_judgements WHERE model = 'm0')");
    assert!(calls.contains(&format!(",{drawn}.0,")), "{calls}: {drawn}");
}

#[test]
fn a_comparison_does_not_change_its_judge() {
    let lab = evaluated("oracle = \"oracle.sql\"\ntemperature = 0.8\nfiles = [\"k.csv\"]\n");
    lab.write("loop/k.csv", "k\n1\n");
    lab.write(
        "loop/oracle.sql",
        "SELECT answer_id, k * len(response) AS score FROM answers, 'k.csv'",
    );
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["diff", "m0", "m2"]).success();
    lab.write("loop/k.csv", "k\n-1\n");
    lab.mrx(&["diff", "m0", "m2"])
        .fails_with(1)
        .says("`k.csv` is not what decided the games of `scripted`");
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["diff", "m0", "m2"]).success();
    lab.mrx(&["diff", "m2", "m2"])
        .fails_with(2)
        .says("expected two models, found `scripted/m2` twice");
}
