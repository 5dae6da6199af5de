//! Texts of a query's rows are those of the files: what a reader guessed is not turned back into text, and the
//! place of a file is no column of it.

use crate::lab::{Lab, PROJECT, copy_folder};
use crate::quickstart::{SMALL, small_quickstart};

/// A lab whose four prompts come from this query over `rows.jsonl` and `rows.csv`.
fn lab(sql: &str) -> Lab {
    let lab = Lab::with_loop();
    prompts_in(&lab, "loop", sql);
    lab
}

fn prompts_in(lab: &Lab, folder: &str, sql: &str) {
    lab.write(&format!("{folder}/prompts.sql"), sql);
    lab.write(
        &format!("{folder}/rows.jsonl"),
        "{\"prompt\": \"a\", \"reference\": \"12-25-2020\", \"category\": null, \"source\": 3.10, \"mixed\": \"x\"}\n\
         {\"prompt\": \"b\", \"reference\": \"01-02-2021\", \"category\": null, \"source\": 4, \"mixed\": 1}\n\
         {\"prompt\": \"c\", \"reference\": \"01-03-2021\", \"category\": null, \"source\": 5, \"mixed\": 2}\n\
         {\"prompt\": \"d\", \"reference\": null, \"category\": null, \"source\": 6, \"mixed\": null}\n",
    );
    lab.write(&format!("{folder}/rows.csv"), "prompt,reference\na,3.10\nb,4.20\nc,5.00\nd,6.50\n");
    let toml = format!("{folder}/experiment.toml");
    lab.edit(&toml, "per_iteration = 10", "per_iteration = 1");
    lab.edit(&toml, "\"prompts.jsonl\"", "\"rows.jsonl\", \"rows.csv\"");
}

/// The references of all prompts, in the order of their prompts.
fn references(lab: &Lab) -> String {
    lab.mrx(&["run", "loop", "prompts.m3"]).success();
    let rest = ["prompts.m0", "prompts.m1", "prompts.m2"];
    lab.mrx(&[&["run", "loop"], &rest[..]].concat()).success();
    lab.ask("SELECT string_agg(coalesce(reference, '-'), ' ' ORDER BY prompt) FROM prompts")
}

#[test]
fn what_a_reader_guessed_is_not_turned_back_into_text() {
    for (sql, column, kind) in [
        ("SELECT prompt, reference FROM read_json('rows.jsonl')", "reference", "DATE"),
        ("SELECT prompt, source FROM read_json('rows.jsonl')", "source", "DOUBLE"),
        // JSON as text would keep the quotes of "x".
        ("SELECT prompt, mixed AS category FROM read_json('rows.jsonl')", "category", "JSON"),
        ("SELECT prompt, reference FROM read_csv('rows.csv')", "reference", "DOUBLE"),
        ("SELECT prompt, len(prompt) AS Category FROM 'rows.csv'", "Category", "BIGINT"),
    ] {
        let outcome = lab(sql).mrx(&["run", "loop", "prompts.m0"]).fails_with(3);
        outcome
            .says(&format!("prompts.m0: column `{column}` is {kind}; expected VARCHAR"))
            .says("hint: let the reader keep the text");
    }
}

#[test]
fn texts_that_are_read_as_texts_stay_as_they_are() {
    let columns = "columns = {prompt: 'VARCHAR', reference: 'VARCHAR'}";
    for (sql, expected) in [
        (
            format!("SELECT prompt, reference FROM read_json('rows.jsonl', {columns})"),
            "12-25-2020 01-02-2021 01-03-2021 -",
        ),
        (
            "SELECT json->>'prompt' AS prompt, json->>'reference' AS reference
             FROM read_json_objects('rows.jsonl')"
                .to_owned(),
            "12-25-2020 01-02-2021 01-03-2021 -",
        ),
        ("FROM read_csv('rows.csv', all_varchar = true)".to_owned(), "3.10 4.20 5.00 6.50"),
    ] {
        assert_eq!(references(&lab(&sql)), expected, "{sql}");
    }
}

/// A column without a value has whatever type a reader gives it.
#[test]
fn a_column_without_a_value_is_text() {
    let sql =
        "SELECT prompt, category, NULL AS source, [][1] AS reference FROM read_json('rows.jsonl')";
    assert_eq!(references(&lab(sql)), "- - - -");
}

#[test]
fn ready_made_answers_and_targets_are_texts() {
    let lab = Lab::new();
    small_quickstart(&lab, "q");
    let run = |more: &[&str]| lab.mrx(&[&["run", "q"], &SMALL[..], more].concat());
    lab.write("q/fewer.sql", "SELECT 'a' AS prompt, 3.10 AS target");
    run(&["sft.m0"]).fails_with(3).says("column `target` is DECIMAL(3,2); expected VARCHAR");
    lab.write("q/fewer.sql", "SELECT 'a' AS prompt, 'b' AS target, DATE '2020-12-25' AS category");
    run(&["sft.m0"]).fails_with(3).says("column `category` is DATE; expected VARCHAR");
    lab.write("q/answers.sql", "SELECT 'a' AS prompt, 3.10 AS response");
    run(&["--set", "evaluate.baseline=answers.sql", "answers.baseline.eval"])
        .fails_with(3)
        .says("column `response` is DECIMAL(3,2); expected VARCHAR");
}

/// DuckDB would read the folder `reference=3` as a column of every file in it.
#[test]
fn a_folder_on_the_way_to_a_file_is_no_column_of_it() {
    let all = "SELECT * EXCLUDE (reference, source, mixed) FROM 'rows.jsonl'";
    let few = "SELECT * FROM read_json('rows.jsonl', columns = {prompt: 'VARCHAR', reference: 'VARCHAR'})";
    let csv = "SELECT * FROM read_csv(['rows.csv'], all_varchar = true)";
    let text = "SELECT * EXCLUDE (content, size, last_modified) RENAME (filename AS prompt) FROM read_text('rows.csv')
                UNION ALL SELECT prompt FROM 'rows.csv' WHERE prompt != 'd'";
    for sql in [all, few, csv, text] {
        let found = ["plain", "seed=3/reference=3/source=x"].map(|folder| {
            let lab = Lab::new();
            let folder = format!("runs/{folder}/loop");
            copy_folder(
                &std::path::Path::new(PROJECT).join("experiments/scripted"),
                &lab.path.join(&folder),
            );
            prompts_in(&lab, &folder, sql);
            lab.mrx(&["run", &folder, "prompts.m0", "prompts.m1"]).success();
            lab.digests("scripted")
        });
        assert_eq!(found[0], found[1], "{sql}");
    }
}

#[test]
fn a_folder_on_the_way_to_the_store_is_no_column_of_a_table() {
    let lab = Lab::with_loop();
    let store = "position=7/run=x/experiment=y/mrx";
    lab.mrx(&["run", "loop", "read.m0", "--store", store]).success();
    let ask = |sql: &str| lab.mrx(&["sql", sql, "--format", "csv", "--store", store]).success();
    ask("SELECT max(position) FROM prompts").prints("9\n");
    ask("SELECT DISTINCT experiment FROM judgements").prints("\nscripted\n");
    ask("SELECT count(*) FROM runs WHERE run = 'x' OR first_experiment = 'y'").prints("\n0\n");
    ask("SELECT DISTINCT experiment FROM nodes").prints("\nscripted\n");
    let shown = lab.mrx(&["show", "prompts.m0", "--rows", "1", "--store", store]).success();
    assert!(!shown.stdout.contains("experiment=y") && !shown.stdout.contains("│ y"));
}
