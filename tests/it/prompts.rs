//! Prompts come from any query, as long as it says the same thing twice.

use insta::assert_snapshot;

use crate::lab::Lab;

/// A lab whose prompts come from this query.
fn lab(sql: &str) -> Lab {
    let lab = Lab::with_loop();
    lab.write("loop/prompts.sql", sql);
    lab.edit("loop/experiment.toml", "per_iteration = 10", "per_iteration = 1");
    lab
}

fn refused(sql: &str) -> String {
    lab(sql).mrx(&["run", "loop", "prompts.m0"]).fails_with(3).report()
}

#[test]
fn what_is_no_prompt_is_refused_by_row() {
    assert_snapshot!(refused("SELECT instruction FROM 'prompts.jsonl'"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: the query gives no column `prompt`; it gives instruction

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
    assert_snapshot!(refused("SELECT instruction AS prompt, kind AS categroy FROM 'prompts.jsonl'"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: the query gives a column `categroy`; prompts have prompt, reference, category and source (did you mean `category`?)

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
    assert_snapshot!(refused("SELECT len(instruction) AS prompt FROM 'prompts.jsonl'"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: column `prompt` is BIGINT; expected VARCHAR, or a list of STRUCT(role VARCHAR, content VARCHAR)

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
    assert_snapshot!(refused("SELECT unnest(['a', 'b', NULL, 'd']) AS prompt"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: row 3 has no prompt: it is NULL

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
    assert_snapshot!(refused("SELECT unnest(['a', 'b', '  ', 'd']) AS prompt"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: row 3 has no prompt: it is empty

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
    assert_snapshot!(refused("SELECT unnest(['a', 'b', 'c', 'b']) AS prompt"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: rows 2 and 4 are the same prompt: `b`

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
    assert_snapshot!(refused("SELECT unnest(['a', 'b', 'c']) AS prompt"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: the query gives 3 prompts; 4 iterations of 1 need 4

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
}

#[test]
fn a_conversation_that_asks_nothing_is_refused_by_row() {
    let conversation = |roles: &[&str]| {
        let message = |role| format!("{{'role': '{role}', 'content': '{role} says'}}");
        let messages: Vec<String> = roles.iter().map(message).collect();
        format!(
            "SELECT unnest([[{{'role': 'user', 'content': 'a'}}], [{}]]) AS prompt",
            messages.join(", ")
        )
    };
    assert_snapshot!(refused(&conversation(&["system", "user", "assistant"])), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: row 2 asks nothing: its roles are system, user, assistant, and the last is the assistant's, whose turn comes next

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
    assert_snapshot!(refused(&conversation(&["system"])), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: row 2 asks nothing: its roles are system, and none is the user's

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
}

#[test]
fn the_case_of_a_column_does_not_matter() {
    let lab = lab("SELECT unnest(['a', 'b', 'c', 'd']) AS Prompt, 'x' AS CATEGORY");
    lab.mrx(&["run", "loop", "prompts.m0"]).success();
    assert_eq!(lab.ask("SELECT count(category) FROM prompts"), "1");
}

#[test]
fn sql_that_does_not_parse_keeps_its_place() {
    assert_snapshot!(refused("SELECT instruction AS prompt\nFORM 'prompts.jsonl'"), @r#"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: syntax error at or near "FORM", at line 2, column 1
      |
    2 | FORM 'prompts.jsonl'
      | ^

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    "#);
    assert_snapshot!(refused("SELECT 1 AS prompt; SELECT 2 AS prompt"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: expected one query (SELECT, FROM, VALUES or WITH)

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
    assert_snapshot!(refused("CREATE TABLE t AS SELECT 1"), @"
    1/1  prompts.m0                            failed
    0 made, 1 failed in TIME
    error: prompts.m0: expected one query (SELECT, FROM, VALUES or WITH)

    hint: what was made is kept; once this is mended, the same command goes on
    ---
    exit 3
    ");
}

#[test]
fn a_query_that_would_not_say_the_same_twice_is_refused() {
    for (sql, what) in [
        (
            "SELECT random()::VARCHAR AS prompt FROM range(9)",
            "`random()` changes from call to call",
        ),
        ("SELECT uuid()::VARCHAR AS prompt FROM range(9)", "`uuid()` changes"),
        ("SELECT now()::VARCHAR AS prompt", "changes from call to call"),
        (
            "SELECT prompt || current_timestamp AS prompt FROM range(4)",
            "`current_timestamp` says when",
        ),
        ("SELECT age('2020-01-01'::TIMESTAMP)::VARCHAR AS prompt", "`age()` changes"),
        (
            "SELECT current_setting('threads')::VARCHAR AS prompt",
            "`current_setting()` depends on the machine",
        ),
        (
            "SELECT filename AS prompt FROM read_text('prompts.jsonl')",
            "`filename` says when or where",
        ),
        (
            "SELECT name AS prompt FROM duckdb_settings()",
            "`duckdb_settings()` depends on the machine",
        ),
        ("SELECT instruction AS prompt FROM 'prompts.jsonl' LIMIT 9", "LIMIT without an ORDER BY"),
        (
            "SELECT prompt FROM (SELECT instruction AS prompt FROM 'prompts.jsonl' LIMIT 9)",
            "LIMIT without",
        ),
        (
            "SELECT instruction AS prompt FROM 'prompts.jsonl' USING SAMPLE 9",
            "sample without REPEATABLE",
        ),
    ] {
        lab(sql).mrx(&["run", "loop", "prompts.m0"]).fails_with(3).says(what);
    }
    let ordered = "SELECT instruction AS prompt FROM 'prompts.jsonl' ORDER BY md5_number(instruction) LIMIT 9";
    lab(ordered).mrx(&["run", "loop", "prompts.m0"]).success();
}

#[test]
fn a_query_that_would_say_something_else_on_another_machine_is_refused() {
    for (sql, what) in [
        ("SELECT current_localtimestamp()::VARCHAR AS prompt", "changes from call to call"),
        ("SELECT ago(INTERVAL 1 DAY)::VARCHAR AS prompt", "`ago()` changes from call to call"),
        ("SELECT value AS prompt FROM pg_settings", "`pg_settings` tells of the database"),
        ("SELECT name AS prompt FROM duckdb_databases", "`duckdb_databases` tells of the database"),
        ("SELECT table_name AS prompt FROM information_schema.tables", "`tables` tells of"),
        ("SELECT database AS prompt FROM (SHOW ALL TABLES)", "SHOW tells of the database"),
        ("SELECT getenv('HOME') AS prompt", "`getenv()` depends on the machine"),
        ("SELECT user || i AS prompt FROM range(4) t(i)", "`user` depends on the session"),
        ("SELECT current_user() AS prompt", "`current_user()` depends on the machine"),
        ("SELECT pg_conf_load_time()::VARCHAR AS prompt", "`pg_conf_load_time()` depends on"),
        ("SELECT nextval('s')::VARCHAR AS prompt", "`nextval()` changes"),
        ("SELECT file AS prompt FROM glob('*') t(file)", "`glob()` is not known to depend on"),
        (
            "SELECT f AS prompt FROM read_csv('prompts.jsonl', filename := true) t(a, f)",
            "`filename` of",
        ),
        (
            "SELECT f AS prompt FROM parquet_metadata('prompts.jsonl') t(f)",
            "is not known to depend",
        ),
        (
            "SELECT f AS prompt FROM system.main.read_text('prompts.jsonl') t(f)",
            "may be any function",
        ),
    ] {
        let outcome = lab(sql).mrx(&["run", "loop", "prompts.m0"]).fails_with(3);
        outcome.says(what).says("would not give the same rows twice");
    }
}

/// Such names are columns first.
#[test]
fn a_column_may_be_called_user() {
    let lab = lab("SELECT user AS prompt FROM (SELECT unnest(['a', 'b', 'c', 'd']) AS user)");
    lab.mrx(&["run", "loop", "prompts.m0"]).success();
}

#[test]
fn a_file_has_the_name_that_the_experiment_gives_it_and_no_time() {
    let lab = lab("SELECT f || i AS prompt, coalesce(m::VARCHAR, 'never') AS category
         FROM read_text(['prompts.jsonl']) t(f, c, s, m), range(4) r(i) WHERE s > 0 AND c != ''");
    lab.mrx(&["run", "loop", "prompts.m3"]).success();
    let found = "SELECT min(prompt[:-2]), max(prompt[:-2]), max(category) FROM prompts";
    assert_eq!(lab.ask(found), "prompts.jsonl,prompts.jsonl,never");
}

#[test]
fn prompts_do_not_depend_on_the_time_zone_of_the_machine() {
    let sql = "SELECT to_timestamp(i * 3600)::VARCHAR || ' ' || '2026-03-29 01:30:00'::TIMESTAMPTZ
               AS prompt FROM range(4) t(i)";
    let digests = ["UTC", "Asia/Tokyo", "America/New_York"].map(|zone| {
        let lab = lab(sql);
        let run =
            lab.command(&["run", "loop", "prompts.m0", "prompts.m1"]).env("TZ", zone).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        lab.digests("scripted")
    });
    assert!(digests.iter().all(|other| *other == digests[0] && !other.is_empty()), "{digests:?}");
}

#[test]
fn only_declared_files_are_read() {
    for sql in [
        "SELECT content AS prompt FROM read_text('/etc/passwd')",
        "SELECT content AS prompt FROM read_text(['prompts.jsonl', 'experiment.toml'])",
        "SELECT column0 AS prompt FROM 'experiment.csv'",
        "SELECT instruction AS prompt FROM read_json('*.jsonl')",
        "SELECT instruction AS prompt FROM read_json('../loop/prompts.jsonl')",
    ] {
        let outcome = lab(sql).mrx(&["run", "loop", "prompts.m0"]).fails_with(3);
        outcome.says("not among its declared files (prompts.jsonl)");
    }
    // A name that is put together is not seen in the text; DuckDB itself stops it.
    let sql = "SELECT content AS prompt FROM read_text('/etc/' || 'passwd')";
    let outcome = lab(sql).mrx(&["run", "loop", "prompts.m0"]).fails_with(3);
    assert!(!outcome.stderr.contains("root:"), "{}", outcome.report());
}

/// The working folder may hold a file of the same name: it is not the declared one.
#[test]
fn the_declared_file_is_read_whatever_stands_in_the_working_folder() {
    let lab = Lab::with_loop();
    lab.write(
        "prompts.jsonl",
        "{\"instruction\": \"a trap\", \"answer\": null, \"kind\": \"x\"}\n",
    );
    lab.mrx(&["run", "loop", "prompts.m0"]).success();
    assert_eq!(lab.ask("SELECT count(*) FROM prompts WHERE prompt = 'a trap'"), "0");
}

#[test]
fn places_in_a_query_are_right_past_letters_of_several_bytes() {
    let sql =
        "-- über alles: ← €\nSELECT instruction AS prompt, 'ÄÖÜ' AS category FROM 'prompts.jsonl'";
    lab(sql).mrx(&["run", "loop", "prompts.m0"]).success();
    let wrong = "-- ü\nSELECT 'Ä' AS prompt FORM x y z";
    lab(wrong)
        .mrx(&["run", "loop", "prompts.m0"])
        .fails_with(3)
        .says("2 | SELECT 'Ä' AS prompt FORM x y z");
}

#[test]
fn conversations_keep_their_messages() {
    let lab = lab(
        "SELECT [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Question ' || i}] AS prompt
         FROM range(4) t(i)",
    );
    lab.mrx(&["run", "loop", "respond.m3"]).success();
    let prompt = lab.ask("SELECT prompt FROM prompts WHERE prompt LIKE '%Question 2'");
    assert_eq!(prompt, "\"system: Be brief.", "each message as `role: content`");
    assert_eq!(lab.ask("SELECT bool_and(messages[1].role = 'system') FROM prompts"), "true");
    let bad = "SELECT [{'role': 'robot', 'content': 'x' || i}] AS prompt FROM range(4) t(i)";
    let outcome = self::lab(bad).mrx(&["run", "loop", "prompts.m0"]).fails_with(3);
    outcome.says("row 1, message 1: role `robot` is not system, user or assistant");
}

#[test]
fn the_order_in_which_a_query_gives_its_rows_does_not_matter() {
    let (up, down) = (
        lab("FROM 'prompts.jsonl' SELECT instruction AS prompt ORDER BY prompt"),
        lab("FROM 'prompts.jsonl' SELECT instruction AS prompt ORDER BY prompt DESC"),
    );
    for lab in [&up, &down] {
        lab.mrx(&["run", "loop", "prompts.m3"]).success();
    }
    assert_eq!(up.digests("scripted"), down.digests("scripted"));
}
