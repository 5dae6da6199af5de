//! Mistakes in an experiment's file, and what is said of them.

use insta::assert_snapshot;

use mrx::experiment::{Experiment, Machine};
use mrx::runner::{NodeName, Source};
use mrx::stages::Verb;

use crate::lab::Lab;

/// The report of a run after one line of the experiment was replaced.
fn after(from: &str, to: &str) -> String {
    let lab = Lab::with_loop();
    lab.edit("loop/experiment.toml", from, to);
    lab.mrx(&["plan", "loop"]).fails_with(1).report()
}

#[test]
fn a_misspelt_field_is_pointed_at() {
    assert_snapshot!(after("samples = 7", "sampels = 7"), @"
    error: loop/experiment.toml:15:1: unknown field `sampels`, expected one of `engine`, `samples`, `temperature`, `top_p`, `max_tokens`
       |
    15 | sampels = 7
       | ^^^^^^^

    hint: did you mean `samples`?
    ---
    exit 1
    ");
}

#[test]
fn a_value_of_the_wrong_kind_says_what_was_expected() {
    assert_snapshot!(after("temperature = 0.8", "temperature = \"warm\""), @r#"
    error: loop/experiment.toml:16:15: invalid type: string "warm", expected a number of at least 0, or a list with one per iteration
       |
    16 | temperature = "warm"
       |               ^^^^^^
    ---
    exit 1
    "#);
}

#[test]
fn a_value_out_of_range_says_the_range() {
    assert_snapshot!(after("top_p = 0.95", "top_p = 1.5"), @"
    error: loop/experiment.toml:17:9: invalid value: floating point `1.5`, expected a number above 0 and at most 1, or a list with one per iteration
       |
    17 | top_p = 1.5
       |         ^^^
    ---
    exit 1
    ");
    assert_snapshot!(after("rho = [0.0, 0.32, 0.32, 0.4]", "rho = [0.0, 0.32, -0.32, 0.4]"), @"
    error: loop/experiment.toml:28:19: invalid value: floating point `-0.32`, expected a number from 0 to 1
       |
    28 | rho = [0.0, 0.32, -0.32, 0.4]
       |                   ^^^^^
    ---
    exit 1
    ");
}

#[test]
fn a_list_of_the_wrong_length_is_pointed_at() {
    assert_snapshot!(after("rho = [0.0, 0.32, 0.32, 0.4]", "rho = [0.0, 0.32]"), @"
    error: loop/experiment.toml:28:7: expected 4 values, one per iteration, found 2
       |
    28 | rho = [0.0, 0.32]
       |       ^^^^^^^^^^^
    ---
    exit 1
    ");
}

#[test]
fn malformed_toml_is_pointed_at() {
    assert_snapshot!(after("samples = 7", "samples ="), @"
    error: loop/experiment.toml:15:10: string values must be quoted, expected literal string
       |
    15 | samples =
       |          ^
    ---
    exit 1
    ");
}

#[test]
fn a_missing_table_is_named() {
    assert_snapshot!(after("[model]\npath = \"model\"\n", ""), @"
    error: loop/experiment.toml:1:1: missing field `model`
      |
    1 | # The whole loop on a model that answers by rule: every table of four iterations in seconds.
      | ^
    ---
    exit 1
    ");
}

#[test]
fn a_missing_file_is_named_where_it_is_asked_for() {
    assert_snapshot!(after("sql = \"prompts.sql\"", "sql = \"promts.sql\""), @r#"
    error: loop/experiment.toml:10:7: cannot read loop/promts.sql: No such file or directory (os error 2)
       |
    10 | sql = "promts.sql"
       |       ^^^^^^^^^^^^
    ---
    exit 1
    "#);
    assert_snapshot!(after("files = [\"prompts.jsonl\"]", "files = [\"prompts.json\"]"), @r#"
    error: loop/experiment.toml:11:10: cannot read loop/prompts.json: No such file or directory (os error 2)
       |
    11 | files = ["prompts.json"]
       |          ^^^^^^^^^^^^^^
    ---
    exit 1
    "#);
    assert_snapshot!(after("path = \"model\"", "path = \"modle\""), @r#"
    error: loop/experiment.toml:7:8: cannot read the model folder loop/modle: No such file or directory (os error 2)
      |
    7 | path = "modle"
      |        ^^^^^^^
    ---
    exit 1
    "#);
}

#[test]
fn a_template_without_its_variables_is_refused() {
    let lab = Lab::with_loop();
    lab.write("loop/judge.jinja", "How good is {{ response }}?");
    lab.edit("loop/experiment.toml", "[judge]\n", "[judge]\ntemplate = \"judge.jinja\"\n");
    assert_snapshot!(lab.mrx(&["plan", "loop"]).fails_with(1).report(), @r#"
    error: loop/experiment.toml:21:12: template loop/judge.jinja: it never shows `{{ prompt }}`; it has to show prompt, response
       |
    21 | template = "judge.jinja"
       |            ^^^^^^^^^^^^^
    ---
    exit 1
    "#);
}

#[test]
fn an_override_is_blamed_by_name() {
    let lab = Lab::with_loop();
    let report = |set: &str| lab.mrx(&["plan", "loop", "--set", set]).fails_with(1).report();
    assert_snapshot!(report("respond.temperature=-1"), @"
    error: --set respond.temperature=-1: invalid value: integer `-1`, expected a number of at least 0, or a list with one per iteration
    ---
    exit 1
    ");
    assert_snapshot!(report("respond.tempreature=1"), @"
    error: --set respond.tempreature=1: unknown field `tempreature`, expected one of `engine`, `samples`, `temperature`, `top_p`, `max_tokens`

    hint: did you mean `temperature`?
    ---
    exit 1
    ");
    assert_snapshot!(report("pairs.actor.rho=[0, 0, 0, 2]"), @"
    error: --set pairs.actor.rho=[0, 0, 0, 2]: invalid value: integer `2`, expected a number from 0 to 1
    ---
    exit 1
    ");
    assert_snapshot!(report("iterations=100000"), @"
    error: --set iterations=100000: expected at most 1000 iterations, found 100000
    ---
    exit 1
    ");
    assert_snapshot!(report("judge=5"), @"
    error: --set judge=5: invalid type: integer `5`, expected a table, `[judge]`
    ---
    exit 1
    ");
    assert_snapshot!(report("seed=-1"), @"
    error: --set seed=-1: invalid value: integer `-1`, expected a whole number from 0 to a billion
    ---
    exit 1
    ");
    assert_snapshot!(report("nonsense"), @"
    error: --set nonsense: expected `a.b=value`
    ---
    exit 1
    ");
    assert_snapshot!(report("seed.deep=1"), @"
    error: --set seed.deep=1: `seed` holds a value, not a table
    ---
    exit 1
    ");
}

#[test]
fn an_override_may_add_what_the_file_leaves_out() {
    let lab = Lab::with_loop();
    lab.edit("loop/experiment.toml", "name = \"scripted\"\n", "");
    lab.mrx(&["plan", "loop"]).fails_with(1).says("missing field `name`");
    lab.mrx(&["plan", "loop", "--set", "name=late"]).success();
}

#[test]
fn an_experiment_that_is_not_there_is_said_so() {
    let lab = Lab::new();
    assert_snapshot!(lab.mrx(&["run", "nowhere"]).fails_with(1).report(), @"
    error: cannot read nowhere
      caused by: No such file or directory (os error 2)
    ---
    exit 1
    ");
}

#[test]
fn a_name_that_could_leave_the_store_is_refused() {
    assert_snapshot!(after("name = \"scripted\"", "name = \"../scripted\""), @r#"
    error: loop/experiment.toml:2:8: expected a name of letters, digits, `-`, `_` and `.`, found `../scripted`
      |
    2 | name = "../scripted"
      |        ^^^^^^^^^^^^^
    ---
    exit 1
    "#);
}

#[test]
fn a_model_that_this_build_cannot_run_is_named() {
    let lab = Lab::with_loop();
    lab.write("loop/model/config.json", "{\"architectures\": [\"MambaForCausalLM\"]}");
    lab.mrx(&["run", "loop", "respond.m0"]).fails_with(3).says("MambaForCausalLM");
}

#[test]
fn every_node_reads_and_makes_what_the_list_of_stages_says() {
    let lab = Lab::with_loop();
    let evaluate = "\n[evaluate]\nprompts = \"prompts.sql\"\nfiles = [\"prompts.jsonl\"]\nvalidation = 0.3\noracle = \"oracle.sql\"\n\
                    [train]\nepochs = 2\nwindow = 2\nkeep_epochs = true\nchoose = [\"best\", 1, \"last\", \"best\"]\n";
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    lab.write("loop/experiment.toml", &format!("{toml}{evaluate}"));
    lab.write("loop/oracle.sql", "SELECT answer_id, len(response) AS score FROM answers");
    let experiment = Experiment::load(&lab.path.join("loop"), &[], &Machine::any()).unwrap();
    let verb_of = |node: &NodeName| Verb::all().find(|verb| verb.name() == node.stage()).unwrap();
    for node in &experiment.plan().nodes {
        let (verb, stage) = (verb_of(&node.name), node.stage.signature().stage);
        let others = [("answers", "panel"), ("train", "epoch"), ("train", "choose")];
        assert!(stage == verb.name() || others.contains(&(verb.name(), stage)), "{}", node.name);
        for input in &node.inputs {
            if let Source::Table { node: maker, table } = &input.source {
                assert!(verb.reads().contains(table), "{} reads {table}", node.name);
                assert!(verb_of(maker).makes().contains(table), "{maker} makes {table}");
            }
        }
    }
    lab.mrx(&["run", "loop"]).success();
    for key in lab.digests("scripted").keys() {
        let (node, table) = key.split_once('/').unwrap();
        let verb = verb_of(&node.parse().unwrap());
        assert!(verb.makes().contains(&table), "{node} makes {table}");
    }
}

#[test]
fn an_argument_of_a_chat_template_is_pointed_at() {
    let template = |line: &str| {
        after("path = \"model\"", &format!("path = \"model\"\n[model.template]\n{line}"))
    };
    assert_snapshot!(template("messages = \"a\""), @r#"
    error: loop/experiment.toml:9:12: the argument `messages`: `messages` is given by the conversation itself; expected another name
      |
    9 | messages = "a"
      |            ^^^
    ---
    exit 1
    "#);
    assert_snapshot!(template("levels = { low = 1 }"), @"
    error: loop/experiment.toml:9:10: the argument `levels`: expected text, a boolean, a number, or a list of these, found a table
      |
    9 | levels = { low = 1 }
      |          ^^^^^^^^^^^
    ---
    exit 1
    ");
    assert_snapshot!(template("strftime_now = \"today\""), @r#"
    error: loop/experiment.toml:9:16: the argument `strftime_now`: expected a date, as `2026-01-01` or `___________________`, found `today`
      |
    9 | strftime_now = "today"
      |                ^^^^^^^
    ---
    exit 1
    "#);
    assert_snapshot!(template("temperature = nan"), @"
    error: loop/experiment.toml:9:15: the argument `temperature`: expected text, a boolean, a number, or a list of these, found nothing
      |
    9 | temperature = nan
      |               ^^^
    ---
    exit 1
    ");
    let lab = Lab::with_loop();
    let plan = |set: &str| lab.mrx(&["plan", "loop", "--set", set]);
    plan("model.template.strftime_now=2026-01-01").success();
    plan("model.template.levels=[1, 'a', [true]]").success();
    assert_snapshot!(plan("model.template.enable-thinking=true").fails_with(1).report(), @"
    error: --set model.template.enable-thinking=true: the argument `enable-thinking`: expected a name of letters, digits and `_`, found `enable-thinking`
    ---
    exit 1
    ");
}
