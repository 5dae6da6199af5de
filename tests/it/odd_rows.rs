//! `estimate` on rows that are wrong, or that say little: every mistake is named, and no number says more
//! than its rows.

use crate::estimates::{close, number, one, rows};
use crate::lab::{Lab, Outcome};

fn run_one(settings: &str, sql: &str) -> Outcome {
    one(settings, sql).mrx(&["run", "e"])
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
    assert!(
        found.contains("there is no prompt on which both sides have a readable verdict"),
        "{found}"
    );
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
    refused(
        "measure = \"win_rate\"\n[respond]\nsamples = 3",
        "`respond` belongs to a loop, and there is no `[model]`",
    );
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
        .says("group `y`")
        .says("caused by: expected rows of two models, found m0");
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
fn length_control_of_a_difference_needs_both_lengths() {
    let sql = "SELECT i AS prompt, m AS model, (i * 7 + (m = 'm1')::INT * 3) % 11 / 10 AS preference, i * 31 % 17 AS response_chars
        FROM range(12) t(i), (VALUES ('m0'), ('m1')) u(m)";
    let lab = one("measure = \"difference\"", sql);
    lab.mrx(&["run", "e"]).success();
    let lengths = "SELECT count(*) FROM estimates WHERE name = 'it/length_controlled'";
    assert_eq!(lab.ask(lengths), "0");
    lab.write(
        "e/q.sql",
        &sql.replace(" AS response_chars", " AS response_chars, i * 13 % 7 AS baseline_chars"),
    );
    lab.mrx(&["run", "e"]).success();
    assert_eq!(lab.ask(lengths), "1");
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
