//! `estimate`: numbers with intervals over the rows of any query.

use std::path::Path;

use crate::data::data;
use crate::lab::{Lab, PROJECT};

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
pub(crate) fn one(settings: &str, sql: &str) -> Lab {
    let lab = Lab::new();
    lab.write(
        "e/experiment.toml",
        &format!("name = \"e\"\n[estimate.it]\nsql = \"q.sql\"\n{settings}\n"),
    );
    lab.write("e/q.sql", sql);
    lab
}

/// Rows as a query: `VALUES` under the names of columns.
pub(crate) fn rows(columns: &str, rows: &str) -> String {
    format!("SELECT * FROM (VALUES {rows}) AS t({columns})")
}

pub(crate) fn number(lab: &Lab, query: &str) -> f64 {
    lab.ask(query).parse().unwrap_or_else(|_| panic!("{query}: {}", lab.ask(query)))
}

pub(crate) fn close(found: f64, expected: f64) {
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

/// A query is asked of an iteration's tables where it reads them, not where it only says their names.
#[test]
fn names_that_are_no_tables_are_not_taken_for_them() {
    let sql = "WITH pairs AS (SELECT 'a' AS prompt, 1.0 AS responses, 'verdicts' AS ratings)
               SELECT p.prompt, responses AS \"value\", ratings AS \"group\" FROM pairs p -- FROM judgements";
    let lab = one("measure = \"mean\"", sql);
    lab.mrx(&["run", "e"]).success();
    assert_eq!(
        lab.ask("SELECT node, value FROM estimates WHERE name = 'it'"),
        "estimate.all.it,1.0"
    );
}

#[test]
fn an_estimate_that_does_not_parse_is_told_before_anything_is_made() {
    let lab = one("measure = \"mean\"", "SELECT 1 AS value\nFORM pairs p q");
    let outcome = lab.mrx(&["plan", "e"]).fails_with(1);
    outcome.says("q.sql: syntax error").says("line 2");
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
        .says("the baseline `m7` is not one of the models; there are m0, m1");
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
    lab.mrx(&["plan", "loop"]).success().says("4 of 56 nodes would be made");
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
