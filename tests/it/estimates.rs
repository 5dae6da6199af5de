//! `estimate`: numbers with intervals over the rows of any query.

use std::path::Path;

use crate::data::data;
use crate::lab::{Lab, Outcome, PROJECT};

/// A lab with the experiment over ready-made verdicts in `rates/`.
fn with_rates() -> Lab {
    let lab = Lab::new();
    for file in std::fs::read_dir(Path::new(PROJECT).join("experiments/win_rates")).unwrap() {
        let file = file.unwrap();
        let name = format!("rates/{}", file.file_name().to_string_lossy());
        lab.write(&name, &std::fs::read_to_string(file.path()).unwrap());
    }
    lab
}

/// A lab with one estimate over the rows of a query without files.
fn one(settings: &str, sql: &str) -> Lab {
    let lab = Lab::new();
    lab.write(
        "e/experiment.toml",
        &format!("name = \"e\"\n[estimate.it]\nsql = \"q.sql\"\n{settings}\n"),
    );
    lab.write("e/q.sql", sql);
    lab
}

/// Rows as a query: `VALUES` under the names of columns.
fn rows(columns: &str, rows: &str) -> String {
    format!("SELECT * FROM (VALUES {rows}) AS t({columns})")
}

fn run_one(settings: &str, sql: &str) -> Outcome {
    one(settings, sql).mrx(&["run", "e"])
}

fn number(lab: &Lab, query: &str) -> f64 {
    lab.ask(query).parse().unwrap_or_else(|_| panic!("{query}: {}", lab.ask(query)))
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
}

#[test]
fn an_experiment_over_ready_made_verdicts_needs_no_model() {
    let lab = with_rates();
    lab.mrx(&["run", "rates"]).success();
    let of = |name: &str, column: &str| {
        let query =
            format!("SELECT {column} FROM estimates WHERE name = '{name}' AND \"group\" = 'm1'");
        number(&lab, &query)
    };
    // What can be counted is what is counted.
    let rows = std::fs::read_to_string(lab.path.join("rates/verdicts.csv")).unwrap();
    let m1 = rows.lines().filter(|line| line.contains(",m1,"));
    let verdicts: Vec<&str> = m1.map(|line| line.split(',').nth(4).unwrap()).collect();
    let count = |verdict: &str| verdicts.iter().filter(|v| **v == verdict).count() as f64;
    let (won, tied, lost) = (count("model"), count("tie"), count("baseline"));
    close(of("win_rate", "value"), (won + tied / 2.0) / (won + tied + lost));
    assert!(count("") > 0.0, "some verdicts could not be read");
    close(of("win_rate/unreadable", "value"), count(""));
    let all = verdicts.len() as f64;
    close(of("win_rate/worst", "value"), (won + tied / 2.0) / all);
    close(of("win_rate/best", "value"), (won + tied / 2.0 + count("")) / all);
    // Both orders of a game are of one prompt: rows that pass for independent say too much.
    let width = |name: &str| of(name, "high - low");
    assert!(width("win_rate") > 1.05 * width("win_rate/rows"));
    let ratio = width("win_rate/bca") / width("win_rate");
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    assert!(of("length_controlled_win_rate", "value") < of("win_rate", "value"), "m1 is longer");
    // Every number says how it was found, from how many prompts, and what it was drawn from.
    assert_eq!(
        lab.ask("SELECT string_agg(DISTINCT method, '; ' ORDER BY method) FROM estimates WHERE name LIKE 'win_rate%' AND low IS NOT NULL"),
        "\"bootstrap-bca over prompts, 1000 resamples; bootstrap-percentile over prompts, 1000 resamples; wilson over prompts; wilson over rows, as if each were independent\""
    );
    assert_eq!(
        lab.ask("SELECT count(*) FROM estimates WHERE (seed IS NULL) = (method LIKE 'bootstrap%')"),
        "0"
    );
    lab.mrx(&["run", "rates"]).success().says("nothing to do");
}

#[test]
fn two_models_are_compared_prompt_by_prompt() {
    let lab = with_rates();
    lab.mrx(&["run", "rates", "estimate.all.gain"]).success();
    let of = |name: &str, group: &str| {
        number(
            &lab,
            &format!("SELECT value FROM estimates WHERE name = '{name}' AND \"group\" = '{group}'"),
        )
    };
    close(of("gain/better", "all") + of("gain/worse", "all") + of("gain/equal", "all"), 120.0);
    assert!(of("gain/p_better", "all") > 0.99);
    // Four questions were asked: each answer is worth less.
    assert!(of("gain/p_holm", "reasoning") >= 2.0 * of("gain/p", "reasoning"));
    // Twice the prompts would not find an effect that is half as small.
    assert!(of("gain/minimum_detectable", "all") < of("gain/minimum_detectable", "coding"));
    lab.mrx(&["run", "rates", "estimate.all.gain", "--set", "estimate.gain.baseline=m1"]).success();
    let other = of("gain", "all");
    assert!(other < 0.0, "the other way round it is a loss: {other}");
    lab.mrx(&["run", "rates", "--set", "estimate.gain.baseline=m7"])
        .fails_with(3)
        .says("the baseline `m7` is none of the models; there are m0, m1");
}

/// The judge's behaviour in every iteration of the scripted loop.
const JUDGE: &str = "
[estimate.score]
measure = \"mean\"
sql = \"score.sql\"

[estimate.saturation]
measure = \"share\"
sql = \"saturation.sql\"

[estimate.consistency]
measure = \"consistency\"
sql = \"consistency.sql\"

[estimate.length]
measure = \"correlation\"
sql = \"length.sql\"

[estimate.first_wins]
measure = \"share\"
sql = \"first_wins.sql\"
";

#[test]
fn the_judge_of_every_iteration_is_measured_with_intervals() {
    let lab = Lab::with_loop();
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    lab.write("loop/experiment.toml", &format!("{toml}{JUDGE}"));
    let scores = "SELECT prompt_id AS prompt, response_id AS item, score AS value FROM judgements";
    lab.write("loop/consistency.sql", scores);
    lab.write("loop/score.sql", "SELECT prompt_id AS prompt, score AS value FROM judgements");
    lab.write(
        "loop/saturation.sql",
        "SELECT prompt_id AS prompt, (score >= 4.5)::DOUBLE AS value FROM judgements",
    );
    lab.write(
        "loop/length.sql",
        "SELECT j.prompt_id AS prompt, len(r.text) AS x, score AS y
         FROM judgements j JOIN responses r USING (response_id)",
    );
    lab.write(
        "loop/first_wins.sql",
        "SELECT prompt_id AS prompt, (winner > 0)::DOUBLE AS value FROM meta_judgements WHERE winner != 0",
    );
    lab.mrx(&["run", "loop"]).success();
    // SQL alone and the estimates give one answer.
    let differing = "SELECT max(abs(e.value - s.value)) FROM estimates e JOIN";
    for (name, sql) in [
        ("score", "SELECT model, avg(score) AS value FROM judgements GROUP BY ALL"),
        (
            "saturation",
            "SELECT model, share(score >= 4.5) AS value FROM judgements WHERE score IS NOT NULL GROUP BY ALL",
        ),
        (
            "first_wins",
            "SELECT model, share(winner = 1) AS value FROM meta_judgements WHERE winner != 0 GROUP BY ALL",
        ),
        (
            "length/slope",
            "SELECT model, regr_slope(score, len(r.text)) AS value FROM judgements j JOIN responses r USING (experiment, model, response_id) GROUP BY ALL",
        ),
    ] {
        let query = format!("{differing} ({sql}) s USING (model) WHERE e.name = '{name}'");
        let apart = number(&lab, &query);
        assert!(apart < 1e-9, "{name}: {apart}");
    }
    // Two iterations compare judgements, so two have an estimate of that.
    assert_eq!(lab.ask("SELECT count(*) FROM estimates WHERE name = 'score'"), "4");
    assert_eq!(lab.ask("SELECT count(*) FROM estimates WHERE name = 'first_wins'"), "2");
    assert_eq!(lab.ask("SELECT count(*) FROM estimates WHERE low > value OR high < value"), "0");
    assert_eq!(lab.ask("SELECT count(*) FROM estimates WHERE name = 'consistency' AND value BETWEEN 0.1 AND 0.9"), "4");
    // Another question is one more node in each iteration, and nothing is generated again.
    lab.edit("loop/saturation.sql", "4.5", "5");
    lab.mrx(&["plan", "loop"]).success().says("4 of 48 nodes would be made");
}

#[test]
fn agreement_is_counted_with_and_without_ties() {
    let pairs = "('p1','a','a'), ('p1','a','tie'), ('p2','b','b'), ('p2','b','a'), ('p3','a',NULL), ('p3','b','b'), ('p4','tie','tie'), ('p4','a','a')";
    let lab = one("measure = \"agreement\"\ntie = \"tie\"", &rows("prompt, first, second", pairs));
    lab.mrx(&["run", "e"]).success();
    let of =
        |name: &str| number(&lab, &format!("SELECT value FROM estimates WHERE name = '{name}'"));
    close(of("it"), 5.0 / 7.0);
    close(of("it/without_ties"), 4.0 / 5.0);
    close(of("it/unreadable"), 1.0);
    // The first says a 3 times, b 3 times, tie once; the second a 3, b 2 and tie 2 times.
    let chance = (3.0 * 3.0 + 3.0 * 2.0 + 1.0 * 2.0) / 49.0;
    close(of("it/kappa"), (5.0 / 7.0 - chance) / (1.0 - chance));
}

#[test]
fn variance_is_split_and_the_next_thing_to_raise_is_named() {
    let sql = "SELECT p AS prompt, s AS item, o AS \"order\",
        (md5_number_lower(p || '/' || s || '/' || o || '/' || d) % 1000)::DOUBLE / 1000 AS value
        FROM range(20) a(p), range(3) b(s), range(2) c(o), range(2) e(d)";
    let lab = one("measure = \"variance\"", sql);
    lab.mrx(&["run", "e"]).success();
    close(number(&lab, "SELECT sum(value) FROM estimates WHERE name LIKE 'it/%'"), 1.0);
    let method = lab.ask("SELECT method FROM estimates WHERE name = 'it'");
    assert!(
        method.contains("raise the number of judge draws next"),
        "noise is all there is: {method}"
    );
}

const VERDICTS: &str = "prompt, preference";

#[test]
fn bad_rows_stop_the_stage_and_are_named() {
    let win_rate = "measure = \"win_rate\"";
    let fails = |settings: &str, columns: &str, values: &str, says: &str| {
        run_one(settings, &rows(columns, values)).fails_with(3).says(says);
    };
    run_one(win_rate, "SELECT 1 AS prompt, 0.5 AS preference WHERE false")
        .fails_with(3)
        .says("the query gives no rows");
    fails(
        win_rate,
        VERDICTS,
        "('a', 1.0), ('b', 1.7)",
        "row 2: `preference` is 1.7; expected a number from 0 to 1",
    );
    fails(
        win_rate,
        VERDICTS,
        "('a', 'NaN'::DOUBLE)",
        "row 1: `preference` is NaN; expected a number from 0 to 1",
    );
    fails(win_rate, VERDICTS, "('a', 1.0), (NULL, 0.0)", "row 2 has no `prompt`: it is NULL");
    fails(
        win_rate,
        "prompt, preferred",
        "('a', 1.0)",
        "the query gives no column `preference`; it gives prompt, preferred",
    );
    fails(
        win_rate,
        "prompt, preference, weigth",
        "('a', 1.0, 1)",
        "the query gives a column `weigth`; verdicts of a win rate have prompt, preference, weight and group (did you mean `weight`?)",
    );
    fails(
        "measure = \"mean\"",
        "prompt, value",
        "('a', 'inf'::DOUBLE)",
        "row 1: `value` is inf; expected a number within ±1e100",
    );
    fails(
        "measure = \"difference\"",
        "prompt, model, preference",
        "('a', 'm0', 1.0)",
        "expected rows of two models, found m0",
    );
    let battles = "prompt, first, second, outcome";
    fails(
        "measure = \"bradley_terry\"\nbaseline = \"gpt\"",
        battles,
        "('a', 'm0', 'm1', 1.0)",
        "nobody is called `gpt`; there are m0, m1",
    );
    fails(
        "measure = \"position_bias\"",
        "prompt, \"order\", preference",
        "('a', 'left', 1.0)",
        "`order` is `left`; expected `model` or `baseline`",
    );
}

#[test]
fn what_does_not_exist_is_a_row_that_says_why() {
    let why = |settings: &str, columns: &str, values: &str| {
        let lab = one(settings, &rows(columns, values));
        let outcome = lab.mrx(&["run", "e"]).success();
        let method = lab.ask("SELECT method FROM estimates WHERE value IS NULL");
        assert!(outcome.stderr.contains("there is no it"), "{}", outcome.stderr);
        method
    };
    let length = "measure = \"length_controlled_win_rate\"";
    let columns = "prompt, preference, response_chars, baseline_chars";
    // The longer answer always wins.
    let separated =
        "('a', 1.0, 300, 100), ('b', 1.0, 200, 100), ('c', 0.0, 100, 200), ('d', 0.0, 100, 400)";
    assert!(why(length, columns, separated).contains("every win can be told from every loss"));
    let alike = "('a', 1.0, 300, 100, 2), ('b', 0.5, 200, 100, 2), ('c', 0.1, 100, 200, 2)";
    let found = why(length, &format!("{columns}, difficulty"), alike);
    assert!(found.contains("the term `difficulty` is a combination of the others"), "{found}");
    let unbeaten = "('a', 'm0', 'm1', 1.0), ('b', 'm1', 'm2', 1.0), ('c', 'm2', 'm1', 1.0)";
    let found = why("measure = \"bradley_terry\"", "prompt, first, second, outcome", unbeaten);
    assert!(found.contains("m0 never lost to any of the others"), "{found}");
    assert!(
        why("measure = \"win_rate\"", VERDICTS, "('a', NULL::DOUBLE)")
            .contains("no verdict could be read")
    );
    let alone = "('a', 'm0', 'm0', 1.0)";
    let found = why("measure = \"bradley_terry\"", "prompt, first, second, outcome", alone);
    assert!(found.contains("no two players met in a battle that counts"), "{found}");
    let apart = "('a', 'm0', 1.0), ('b', 'm1', 0.0)";
    let found = why("measure = \"difference\"", "prompt, model, preference", apart);
    assert!(found.contains("on no prompt both sides have a verdict"), "{found}");
    assert!(
        why("measure = \"variance\"", "prompt, item, \"order\", value", "('a', 's', 'o', 1.0)")
            .contains("found 1 prompts; expected at least 2")
    );
}

#[test]
fn one_row_and_all_ties_are_said_with_care() {
    let lab = one("measure = \"win_rate\"", &rows(VERDICTS, "('a', 1.0)"));
    lab.mrx(&["run", "e"]).success();
    let found = lab.ask("SELECT method FROM estimates WHERE name = 'it'");
    assert!(found.contains("as nothing varies"), "{found}");
    assert!(
        number(&lab, "SELECT low FROM estimates WHERE name = 'it'") < 0.25,
        "one win says little"
    );
    let ties = "('a', 0.5), ('b', 0.5), ('c', 0.5), ('d', 0.5)";
    let lab = one("measure = \"win_rate\"", &rows(VERDICTS, ties));
    lab.mrx(&["run", "e"]).success();
    close(number(&lab, "SELECT value FROM estimates WHERE name = 'it'"), 0.5);
    assert!(number(&lab, "SELECT high - low FROM estimates WHERE name = 'it'") > 0.5);
    // A prior keeps strengths finite where somebody never lost.
    let lab = one(
        "measure = \"bradley_terry\"\nprior = 0.1\nbaseline = \"m1\"",
        &rows("prompt, first, second, outcome", "('a', 'm0', 'm1', 1.0), ('b', 'm0', 'm1', 1.0)"),
    );
    lab.mrx(&["run", "e"]).success();
    let score = number(&lab, "SELECT value FROM estimates WHERE name = 'it' AND \"group\" = 'm0'");
    assert!((0.8..0.99).contains(&score), "{score}");
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let sql = rows(VERDICTS, "('a', 1.0)");
    let refused = |settings: &str, says: &str| {
        run_one(settings, &sql).fails_with(1).says(says);
    };
    refused(
        "measure = \"win_rate\"\nbaseline = \"m0\"",
        "the measure `win_rate` has no setting `baseline`",
    );
    refused("measure = \"win_rates\"", "unknown variant `win_rates`");
    refused("measure = \"win_rate\"\nlevel = 95", "expected a number from 0.5 to 0.9999");
    refused(
        "measure = \"win_rate\"\nresamples = 10",
        "expected a whole number from 100 to a million",
    );
    refused("sql = \"q.sql\"", "duplicate key");
    let lab = one(
        "measure = \"win_rate\"",
        "SELECT prompt_id AS prompt, 1.0 AS preference FROM responses",
    );
    lab.mrx(&["run", "e"])
        .fails_with(1)
        .says("`it` asks for responses, and no iteration makes all of that");
    let lab = one("measure = \"win_rate\"", "SELECT * FROM read_csv('other.csv')");
    lab.mrx(&["run", "e"])
        .fails_with(3)
        .says("the query reads `other.csv`, which is not among its declared files");
}

#[test]
fn annotations_of_alpaca_eval_become_the_row_of_the_leaderboard() {
    let Some(data) = data() else { return };
    let lab = Lab::new();
    let annotations = data.join("alpaca_eval/alpaca-7b.annotations.json");
    std::fs::create_dir(lab.path.join("e")).unwrap();
    std::fs::copy(annotations, lab.path.join("e/annotations.json")).unwrap();
    let toml = "name = \"e\"\n[estimate.win_rate]\nmeasure = \"win_rate\"\nsql = \"q.sql\"\nfiles = [\"annotations.json\"]\n[estimate.length]\nmeasure = \"length_controlled_win_rate\"\nsql = \"l.sql\"\nfiles = [\"annotations.json\"]\n";
    lab.write("e/experiment.toml", toml);
    lab.write("e/q.sql", "SELECT instruction AS prompt, preference - 1 AS preference FROM read_json('annotations.json')");
    lab.write("e/l.sql", "SELECT instruction AS prompt, preference - 1 AS preference, len(output_2) AS response_chars, len(output_1) AS baseline_chars FROM read_json('annotations.json')");
    lab.mrx(&["run", "e"]).success();
    let leaderboard = crate::data::rows(&data.join("alpaca_eval/expected.csv"));
    let row = leaderboard.iter().find(|row| row[""] == "alpaca-7b").unwrap();
    let of =
        |name: &str| number(&lab, &format!("SELECT value FROM estimates WHERE name = '{name}'"));
    assert!((100.0 * of("win_rate") - row["win_rate"].parse::<f64>().unwrap()).abs() < 1e-6);
    close(of("win_rate/wins"), row["n_wins"].parse().unwrap());
    let oracle = std::fs::read_to_string(data.join("alpaca_eval/lc_oracle.json")).unwrap();
    let oracle: serde_json::Value = serde_json::from_str(&oracle).unwrap();
    let exact = oracle["alpaca-7b"]["length_controlled_minimal"]["mle_lc"].as_f64().unwrap();
    let found = 100.0 * of("length");
    assert!((found - exact).abs() < 1e-6, "{found} for {exact}");
}

#[test]
fn equal_numbers_are_one_category_however_they_are_written() {
    let sql = "SELECT 'p' || i AS prompt, (i % 5)::INTEGER AS first, (i % 5)::DOUBLE AS second FROM range(20) t(i)";
    let lab = one("measure = \"agreement\"\ntie = \"2.0\"", sql);
    lab.mrx(&["run", "e"]).success();
    let of =
        |name: &str| number(&lab, &format!("SELECT value FROM estimates WHERE name = '{name}'"));
    for name in ["it", "it/without_ties", "it/kappa", "it/kappa_linear", "it/kappa_quadratic"] {
        close(of(name), 1.0);
    }
    let lab = one("measure = \"agreement\"\ntie = \"Tie\"", sql);
    lab.mrx(&["run", "e"]).success().says("no rating is `Tie`");
}

#[test]
fn what_says_nothing_is_no_unit_of_an_interval() {
    // Three wins are three, whatever could not be read besides.
    let few = "SELECT i AS prompt, CASE WHEN i < 3 THEN 1.0 END AS preference FROM range(100) t(i)";
    let lab = one("measure = \"win_rate\"", few);
    lab.mrx(&["run", "e"]).success();
    let lows = "SELECT max(low) FROM estimates WHERE name IN ('it', 'it/bca', 'it/percentile')";
    assert!(number(&lab, lows) < 0.5);
    assert_eq!(lab.ask("SELECT n FROM estimates WHERE name = 'it/unreadable'"), "100");
    // Of a thousand comparisons, five were shown in both orders.
    let orders = "SELECT i AS prompt, o AS \"order\", 1.0 AS preference
        FROM range(1000) t(i), (VALUES ('model'), ('baseline')) u(o) WHERE o = 'model' OR i < 5";
    let lab = one("measure = \"position_bias\"", orders);
    lab.mrx(&["run", "e"]).success();
    assert_eq!(lab.ask("SELECT n FROM estimates WHERE name = 'it/disagree'"), "5");
    assert!(number(&lab, "SELECT high FROM estimates WHERE name = 'it/disagree'") > 0.4);
    let drawn = "SELECT i AS prompt, i AS item, 3 AS value FROM range(50) t(i), range(2) u(j) WHERE j = 0 OR i < 4";
    let lab = one("measure = \"consistency\"", drawn);
    lab.mrx(&["run", "e"]).success();
    assert_eq!(lab.ask("SELECT n FROM estimates WHERE name = 'it'"), "4");
}

#[test]
fn weights_may_be_on_any_scale() {
    let rows = |weight: &str| {
        format!(
            "SELECT i AS prompt, (i * 37 % 101) / 100 AS preference, 100 + i * 53 % 97 AS response_chars,
             120 + i * 31 % 89 AS baseline_chars, {weight} AS weight FROM range(80) t(i)"
        )
    };
    let rate = |weight: &str| {
        let lab = one("measure = \"length_controlled_win_rate\"", &rows(weight));
        lab.mrx(&["run", "e"]).success();
        number(&lab, "SELECT value FROM estimates WHERE name = 'it'")
    };
    let one_each = rate("1");
    close(rate("1 / 80"), one_each);
    close(rate("1000"), one_each);
}

#[test]
fn a_penalty_leaves_the_interval_to_the_bootstrap() {
    let sql = "SELECT i AS prompt, (i * 37 % 101) / 100 AS preference, 100 + i * 53 % 97 AS response_chars,
        120 + i * 31 % 89 AS baseline_chars, CASE WHEN i >= 60 THEN i / 40 - 1.7 END AS gamed_length FROM range(80) t(i)";
    let lab = one("measure = \"length_controlled_win_rate\"\ninverse_penalty = 5", sql);
    lab.mrx(&["run", "e"]).success();
    let method = lab.ask("SELECT method FROM estimates WHERE name = 'it'");
    assert!(method.contains("bootstrap-bca over prompts"), "{method}");
    assert_eq!(
        lab.ask("SELECT n FROM estimates WHERE name = 'it'"),
        "60",
        "gamed rows are no prompts"
    );
}

#[test]
fn groups_stay_apart_and_are_named() {
    let values = "('a', 1.0, 'all'), ('b', 0.0, 'all'), ('c', 1.0, NULL)";
    run_one("measure = \"win_rate\"", &rows("prompt, preference, \"group\"", values))
        .fails_with(3)
        .says("row 3 has no `group`: it is NULL");
    let one_model = "('a', 'm0', 1.0, 'x'), ('b', 'm1', 1.0, 'x'), ('b', 'm0', 1.0, 'y')";
    run_one("measure = \"difference\"", &rows("prompt, model, preference, \"group\"", one_model))
        .fails_with(3)
        .says("group `y`: expected rows of two models, found m0");
    // A group in which every prompt says the same takes part in the correction.
    let sql = "SELECT i AS prompt, m AS model, CASE WHEN g = 'same' THEN (m = 'm1')::INT ELSE (i * 7 + (m = 'm1')::INT * (5 + i)) % 11 / 10 END AS preference, g AS \"group\"
        FROM range(6) t(i), (VALUES ('m0'), ('m1')) u(m), (VALUES ('same'), ('other')) v(g)";
    let lab = one("measure = \"difference\"", sql);
    lab.mrx(&["run", "e"]).success();
    let p = |name: &str, group: &str| {
        number(
            &lab,
            &format!("SELECT value FROM estimates WHERE name = '{name}' AND \"group\" = '{group}'"),
        )
    };
    close(p("it/p", "same"), 2.0 / 64.0);
    close(p("it/p_holm", "same"), 2.0 * p("it/p", "same"));
    close(p("it/p_holm", "other"), p("it/p", "other"));
}

#[test]
fn a_word_in_a_text_is_no_table() {
    let lab = Lab::new();
    lab.write("e/experiment.toml", "name = \"e\"\n[estimate.it]\nmeasure = \"mean\"\nsql = \"q.sql\"\nfiles = [\"ratings.csv\"]\n");
    lab.write("e/q.sql", "-- pairs of responses\nSELECT prompt, value AS value FROM read_csv('ratings.csv') AS judgements");
    lab.write("e/ratings.csv", "prompt,value\na,1\nb,2\n");
    lab.mrx(&["run", "e"]).success();
    close(number(&lab, "SELECT value FROM estimates WHERE name = 'it'"), 1.5);
}

#[test]
fn columns_are_what_they_should_be() {
    run_one("measure = \"win_rate\"", "SELECT 'a' AS prompt, 'model' AS preference")
        .fails_with(3)
        .says("column `preference` is VARCHAR; expected a number");
    run_one("measure = \"win_rate\"", "SELECT 'a' AS prompt, 1 AS preference, 0 AS Preference")
        .fails_with(3)
        .says("the query gives two columns `preference`");
    run_one("measure = \"win_rate\"", "SELECT 'a' AS Prompt, 1 AS PREFERENCE").success();
    run_one(
        "measure = \"win_rate\"",
        "SELECT * FROM query('SELECT 1 AS prompt, random() AS preference')",
    )
    .fails_with(3)
    .says("`query()` runs a text that nobody has checked");
    // From log-probabilities, as Rust computes it.
    let lab = one(
        "measure = \"mean\"",
        "SELECT 'a' AS prompt, preference(-0.010449888, -4.6069846) AS value",
    );
    lab.mrx(&["run", "e"]).success();
    let found = number(&lab, "SELECT value FROM estimates WHERE name = 'it'");
    close(found, mrx::stats::preference_from_logprobs(-0.010_449_888, -4.606_984_6).unwrap());
}

#[test]
fn what_rounding_leaves_is_no_spread() {
    let lab =
        one("measure = \"share\"", "SELECT i AS prompt, 0.3::DOUBLE AS value FROM range(10) t(i)");
    lab.mrx(&["run", "e"]).success();
    assert!(number(&lab, "SELECT min(high - low) FROM estimates WHERE low IS NOT NULL") > 0.3);
    let lab =
        one("measure = \"mean\"", "SELECT i AS prompt, 0.1::DOUBLE AS value FROM range(10) t(i)");
    lab.mrx(&["run", "e"]).success();
    assert_eq!(lab.ask("SELECT count(low) FROM estimates"), "0", "all say the same: no interval");
    let constant = "SELECT i AS prompt, 0.1::DOUBLE AS x, i AS y FROM range(10) t(i)";
    let lab = one("measure = \"correlation\"", constant);
    lab.mrx(&["run", "e"]).success();
    assert_eq!(lab.ask("SELECT count(value) FROM estimates WHERE name != 'it/missing'"), "0");
}

#[test]
fn an_order_that_strengths_explain_is_told() {
    let sql = "SELECT i AS prompt, 'a' AS first, 'b' AS second, (i % 3 > 0)::INT AS outcome FROM range(30) t(i)";
    let lab = one("measure = \"bradley_terry\"\norder_effect = true", sql);
    lab.mrx(&["run", "e"]).success();
    let method = lab.ask("SELECT method FROM estimates WHERE value IS NULL");
    assert!(method.contains("`order effect` is a combination of the others"), "{method}");
}
