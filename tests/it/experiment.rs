//! Mistakes in an experiment's file, and what is said of them.

use insta::assert_snapshot;

use crate::lab::Lab;

/// The report of a run after one line of the experiment was replaced.
fn after(from: &str, to: &str) -> String {
    let lab = Lab::with_loop();
    lab.edit("loop/experiment.toml", from, to);
    lab.mrx(&["plan", "loop"]).fails_with(1).report()
}

#[test]
fn a_misspelt_field_is_pointed_at() {
    assert_snapshot!(after("samples = 7", "sampels = 7"), @"");
}

#[test]
fn a_value_of_the_wrong_kind_says_what_was_expected() {
    assert_snapshot!(after("temperature = 0.8", "temperature = \"warm\""), @"");
}

#[test]
fn a_value_out_of_range_says_the_range() {
    assert_snapshot!(after("top_p = 0.95", "top_p = 1.5"), @"");
    assert_snapshot!(after("rho = [0.0, 0.32, 0.32, 0.4]", "rho = [0.0, 0.32, -0.32, 0.4]"), @"");
}

#[test]
fn a_list_of_the_wrong_length_is_pointed_at() {
    assert_snapshot!(after("rho = [0.0, 0.32, 0.32, 0.4]", "rho = [0.0, 0.32]"), @"");
}

#[test]
fn malformed_toml_is_pointed_at() {
    assert_snapshot!(after("samples = 7", "samples ="), @"");
}

#[test]
fn a_missing_table_is_named() {
    assert_snapshot!(after("[model]\npath = \"model\"\n", ""), @"");
}

#[test]
fn a_missing_file_is_named_where_it_is_asked_for() {
    assert_snapshot!(after("sql = \"prompts.sql\"", "sql = \"promts.sql\""), @"");
    assert_snapshot!(after("files = [\"prompts.jsonl\"]", "files = [\"prompts.json\"]"), @"");
    assert_snapshot!(after("path = \"model\"", "path = \"modle\""), @"");
}

#[test]
fn a_template_without_its_variables_is_refused() {
    let lab = Lab::with_loop();
    lab.write("loop/judge.jinja", "How good is {{ response }}?");
    lab.edit("loop/experiment.toml", "[judge]\n", "[judge]\ntemplate = \"judge.jinja\"\n");
    assert_snapshot!(lab.mrx(&["plan", "loop"]).fails_with(1).report(), @"");
}

#[test]
fn an_override_is_blamed_by_name() {
    let lab = Lab::with_loop();
    let report = |set: &str| lab.mrx(&["plan", "loop", "--set", set]).fails_with(1).report();
    assert_snapshot!(report("respond.temperature=-1"), @"");
    assert_snapshot!(report("respond.tempreature=1"), @"");
    assert_snapshot!(report("nonsense"), @"");
    assert_snapshot!(report("seed.deep=1"), @"");
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
    assert_snapshot!(lab.mrx(&["run", "nowhere"]).fails_with(1).report(), @"");
}

#[test]
fn a_name_that_could_leave_the_store_is_refused() {
    assert_snapshot!(after("name = \"scripted\"", "name = \"../scripted\""), @"");
}

#[test]
fn a_model_that_this_build_cannot_run_is_named() {
    let lab = Lab::with_loop();
    lab.write("loop/model/config.json", "{\"architectures\": [\"MambaForCausalLM\"]}");
    lab.mrx(&["run", "loop", "respond.m0"]).fails_with(3).says("MambaForCausalLM");
}
