//! Questions, and that asking changes nothing.

use std::process::Command;

use insta::assert_snapshot;

use crate::lab::{Lab, skip};

fn finished() -> Lab {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    lab
}

#[test]
fn every_format_holds_the_same_rows() {
    let lab = finished();
    let query = "SELECT model, role, count(*) AS n, avg(score_chosen) AS mean, ['a', NULL] AS list FROM pairs \
                 WHERE model = 'm0' GROUP BY ALL ORDER BY ALL";
    let print = |format: &str| lab.mrx(&["sql", query, "--format", format]).success().stdout;
    assert_snapshot!(print("table"), @r#"
    model  role    n      mean  list
    ───────────────────────────────────────
    m0     actor  10   3.77626  ["a",null]
    m0     judge  10  0.734233  ["a",null]
    "#);
    assert_snapshot!(print("markdown"), @r#"
    | model | role | n | mean | list |
    | --- | --- | ---: | ---: | --- |
    | m0 | actor | 10 | 3.776262626262626 | ["a",null] |
    | m0 | judge | 10 | 0.7342328520330874 | ["a",null] |
    "#);
    assert_snapshot!(print("csv"), @r#"
    model,role,n,mean,list
    m0,actor,10,3.776262626262626,"[""a"",null]"
    m0,judge,10,0.7342328520330874,"[""a"",null]"
    "#);
    assert_snapshot!(print("json"), @r#"[{"model":"m0","role":"actor","n":10,"mean":3.776262626262626,"list":["a",null]},{"model":"m0","role":"judge","n":10,"mean":0.7342328520330874,"list":["a",null]}]"#);
    assert_snapshot!(print("jsonl"), @r#"
    {"model":"m0","role":"actor","n":10,"mean":3.776262626262626,"list":["a",null]}
    {"model":"m0","role":"judge","n":10,"mean":0.7342328520330874,"list":["a",null]}
    "#);
}

/// Types that Arrow's forms would bend leave exactly, or not at all.
#[test]
fn values_leave_as_they_are() {
    let lab = finished();
    let print = |value: &str, format: &str| {
        let query = format!("SELECT {value} AS v");
        lab.mrx(&["sql", &query, "--format", format]).success().stdout.trim().to_owned()
    };
    let largest = "340282366920938463463374607431768211455";
    assert_eq!(print(&format!("{largest}::UHUGEINT"), "csv"), format!("v\n{largest}"));
    assert_eq!(print("12345678901234567890123::HUGEINT", "csv"), "v\n12345678901234567890123");
    assert_eq!(print("'101'::BIT", "csv"), "v\n101");
    assert_eq!(print("TIMETZ '12:00:00+02'", "csv"), "v\n12:00:00+02");
    assert_eq!(print("MAP {1.5: 2}", "json"), "[{\"v\":\"{1.5=2}\"}]");
    assert_eq!(print("INTERVAL 3 DAY", "csv"), "v\n3 days");
    let largest = "170141183460469231731687303715884105727";
    assert_eq!(print(&format!("[{largest}::HUGEINT]"), "csv"), format!("v\n[{largest}]"));
    assert!(print("TIMESTAMPTZ '2026-01-02 03:04:05+00'", "csv").contains("2026-01-02 03:04:05"));
    let commented = "SELECT sum(sample) AS n FROM responses; -- all of them";
    assert_eq!(lab.ask(commented), "840");
    let query = "SELECT union_value(num := 2) AS v, 1 AS \"a \"\"b\"";
    lab.mrx(&["sql", query, "--format", "parquet"]).success();
    let histogram =
        "SELECT model, histogram(score) AS scores FROM judgements GROUP BY ALL ORDER BY ALL";
    lab.mrx(&["sql", histogram, "--format", "jsonl"]).success().prints("{1.0=");
    let huge = "SELECT 170141183460469231731687303715884105727::HUGEINT AS v";
    lab.mrx(&["sql", huge]).fails_with(1).says("Conversion Error");
    let steering = lab.mrx(&["sql", "SELECT chr(27) || '[31mred' AS v"]).success();
    assert!(!steering.stdout.contains('\u{1b}'), "a text must not steer the terminal");
}

#[test]
fn empty_answers_have_their_columns() {
    let lab = finished();
    let print = |format: &str| {
        let query = "SELECT model, score FROM judgements WHERE false";
        lab.mrx(&["sql", query, "--format", format]).success().stdout
    };
    assert_eq!(print("csv").trim(), "model,score");
    assert_eq!(print("json").trim(), "[]");
    assert_eq!(print("jsonl").trim(), "");
    assert!(print("table").contains("model") && print("markdown").contains("| model | score |"));
}

#[test]
fn parquet_and_arrow_come_back_through_duckdb() {
    let lab = finished();
    let query = "SELECT response_id, text, prompt_tokens FROM responses ORDER BY response_id";
    let mut command = lab.command(&["sql", query, "--format", "parquet"]);
    let bytes = command.output().unwrap().stdout;
    // The sandbox reads objects of the store only, so the copy is put there for the test.
    let folder = lab.path.join(".mrx/objects");
    std::fs::write(folder.join("copy.parquet"), bytes).unwrap();
    let path = folder.join("copy.parquet").to_string_lossy().into_owned();
    let same = lab.ask(&format!(
        "SELECT count(*) FROM read_parquet('{path}') JOIN responses USING (response_id, text)"
    ));
    assert_eq!(same, "280");
    let bytes = lab.command(&["sql", query, "--format", "arrow"]).output().unwrap().stdout;
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 280);
}

#[test]
fn a_table_fits_the_terminal_and_says_what_it_cut() {
    let lab = finished();
    let outcome =
        lab.mrx(&["sql", "FROM judgements ORDER BY judgement_id", "--rows", "3"]).success();
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 100), "{}", outcome.stdout);
    assert_eq!(outcome.stdout.lines().count(), 5);
    let outcome = outcome.says("3055 more rows").says("texts cut to fit");
    assert!(outcome.stderr.contains("more column"), "{}", outcome.stderr);
}

/// Every road by which a statement could write, read elsewhere, load code or change a setting.
#[test]
fn no_statement_can_do_anything_but_ask() {
    let lab = finished();
    lab.write("secret.txt", "the secret");
    let secret = lab.path.join("secret.txt").to_string_lossy().into_owned();
    let object = lab.object("scripted", "judge.m1/judgements").to_string_lossy().into_owned();
    let elsewhere = lab.path.join("new.parquet").to_string_lossy().into_owned();
    let roads = [
        format!("COPY (SELECT 1) TO '{object}'"),
        format!("COPY (SELECT 1) TO '{elsewhere}'"),
        format!("EXPORT DATABASE '{elsewhere}'"),
        format!("ATTACH '{elsewhere}' AS a"),
        format!("SELECT * FROM read_text('{secret}')"),
        format!("SELECT * FROM read_csv('{secret}')"),
        format!("SELECT * FROM '{secret}'"),
        format!("SELECT * FROM glob('{}/*')", lab.path.display()),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN (FORMAT json) COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN (ANALYZE /* ) SELECT 1 -- */) COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN /* /* */ ANALYZE SELECT 1 -- */ ANALYZE COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN (ANALYZE) -- x\n COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN (FORMAT json, ANALYZE) COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN ANALYZE EXPLAIN ANALYZE COPY (SELECT 1) TO '{object}'"),
        "EXPLAIN (ANALYZE /* ) SELECT 1 -- */) DROP VIEW judgements".to_owned(),
        format!("SELECT 1; COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN SELECT 1; COPY (SELECT 1) TO '{object}'"),
        format!("EXPLAIN ANALYZE SELECT 1; COPY (SELECT 1) TO '{object}'"),
        format!("PIVOT (SELECT 1 AS a, 2 AS b) ON a USING sum(b); COPY (SELECT 1) TO '{object}'"),
        format!(
            "PIVOT (SELECT 1 AS a) ON a) ; COPY (SELECT 1) TO '{object}'; SELECT * FROM (PIVOT (SELECT 1 AS a) ON a"
        ),
        format!("PIVOT (SELECT * FROM read_text('{secret}')) ON filename USING count(*)"),
        format!("COPY (PIVOT (SELECT 1 AS a, 2 AS b) ON a USING sum(b)) TO '{object}'"),
        format!("SELECT * FROM query('COPY (SELECT 1) TO ''{object}''')"),
        format!("WITH x AS (COPY (SELECT 1) TO '{object}') SELECT 1"),
        format!("/* SELECT */ COPY (SELECT 1) TO '{object}'"),
        "INSTALL httpfs".to_owned(),
        "LOAD httpfs".to_owned(),
        "EXPLAIN ANALYZE INSTALL httpfs".to_owned(),
        "SET threads = 1".to_owned(),
        "EXPLAIN SET threads = 1".to_owned(),
        "RESET threads".to_owned(),
        "PRAGMA enable_profiling".to_owned(),
        "CALL enable_logging()".to_owned(),
        "FROM enable_logging()".to_owned(),
        "SELECT (SELECT count(*) FROM \"Enable_Logging\"(level := 'trace'))".to_owned(),
        "EXPLAIN ANALYZE FROM enable_profiling()".to_owned(),
        "FROM checkpoint()".to_owned(),
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM enable_' || 'logging()'))".to_owned(),
        "FROM query('FROM enable_' || 'logging()')".to_owned(),
        "PIVOT (SELECT 1 AS a, (SELECT count(*) FROM enable_logging()) AS b) ON a USING sum(b)".to_owned(),
        "WITH p AS (PIVOT (SELECT (SELECT count(*) FROM query('FROM range(1)')) AS a) ON a USING count(*)) FROM p".to_owned(),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE OR REPLACE VIEW judgements AS SELECT 1".to_owned(),
        "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1".to_owned(),
        "DROP VIEW judgements".to_owned(),
        "INSERT INTO declared.prompts VALUES (1)".to_owned(),
        "DELETE FROM declared.prompts".to_owned(),
        "UPDATE declared.prompts SET position = 1".to_owned(),
        "USE declared".to_owned(),
        "BEGIN".to_owned(),
        "CHECKPOINT".to_owned(),
        "VACUUM".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        String::new(),
        ";".to_owned(),
        "/* nothing */".to_owned(),
    ];
    for road in roads {
        let outcome = lab.mrx(&["sql", &road]);
        assert_eq!(outcome.code, 1, "`{road}` ran:\n{}", outcome.report());
        assert!(!outcome.stdout.contains("the secret") && !outcome.stderr.contains("the secret"));
    }
    assert!(!lab.path.join("new.parquet").exists());
    lab.mrx(&["store", "verify"]).success().says("all is well");
    lab.mrx(&["run", "loop"]).success().says("nothing to do");
}

#[test]
fn what_asks_is_let_through() {
    let lab = finished();
    for query in [
        "FROM judgements LIMIT 1",
        "VALUES (1), (2);",
        "WITH a AS (SELECT 1 AS x) SELECT * FROM a",
        "DESCRIBE judgements",
        "SHOW TABLES",
        "SUMMARIZE pairs",
        "SUMMARIZE SELECT score FROM judgements",
        "PIVOT judgements ON model USING avg(score) GROUP BY sample",
        "FROM (PIVOT judgements ON model USING avg(score))",
        "PIVOT judgements ON model USING avg(score) -- and a comment",
        "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT count(*) FROM judgements",
        "EXPLAIN (FORMAT json) SELECT 1",
        "EXPLAIN (ANALYZE, FORMAT json) SELECT 1",
        "EXPLAIN (SELECT 1)",
        "EXPLAIN /* a comment */ SELECT 1",
        "EXPLAIN PIVOT judgements ON model USING avg(score)",
        "/* a comment */ SELECT 1",
    ] {
        lab.mrx(&["sql", query]).success();
    }
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let lab = finished();
    let report = |query: &str| lab.mrx(&["sql", query]).fails_with(1).report();
    assert_snapshot!(report("SELECT model,\n  FORM judgements"), @r#"
    error: Binder Error: Referenced column "model" was not found because the FROM clause is missing

    LINE 1: SELECT model,
                   ^
    ---
    exit 1
    "#);
    assert_snapshot!(report("SELECT scor FROM judgements"), @r#"
    error: Binder Error: Referenced column "scor" not found in FROM clause!
    Candidate bindings: "score", "logprob", "response_id", "finish_reason", "completion_ids"

    LINE 1: SELECT scor FROM judgements
                   ^
    ---
    exit 1
    "#);
    assert_snapshot!(report("SELECT * FROM judgments"), @r#"
    error: Catalog Error: Table with name judgments does not exist!
    Did you mean "judgements"?

    LINE 1: SELECT * FROM judgments
                          ^

    hint: `mrx sql "SHOW TABLES"` lists the views, `DESCRIBE judgements` the columns
    ---
    exit 1
    "#);
    assert_snapshot!(report("DROP TABLE prompts"), @"
    error: `DROP` is not a query, and only queries run here

    hint: SELECT, FROM, VALUES, WITH, PIVOT, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN run; `--format parquet` writes what comes out
    ---
    exit 1
    ");
    assert_snapshot!(report("SELECT 1; SELECT 2"), @"
    error: expected one statement, found 2

    hint: run them one by one
    ---
    exit 1
    ");
    // A mistake that shows only when rows are made: no panic, no half answer taken for a whole one.
    let outcome = lab.mrx(&["sql", "SELECT text::INTEGER FROM judgements"]).fails_with(1);
    outcome.says("Conversion Error");
}

#[test]
fn without_a_store_it_says_so() {
    assert_snapshot!(Lab::new().mrx(&["sql", "SELECT 1"]).fails_with(1).report(), @"
    error: no store at LAB/.mrx

    hint: `mrx run EXPERIMENT` makes one here; `--store DIR` or MRX_STORE names another
    ---
    exit 1
    ");
}

#[test]
fn queries_come_from_files_and_from_stdin_too() {
    let lab = finished();
    lab.write("q.sql", "-- how many?\nSELECT count(*) AS n FROM prompts;\n");
    lab.mrx(&["sql", "-f", "q.sql", "--format", "csv"]).success().prints("n\n40");
    let outcome =
        lab.mrx_with_input(&["sql", "--format", "csv"], "SELECT count(*) AS n\nFROM prompts");
    outcome.success().prints("n\n40");
}

/// A reader that has seen enough, as `head`, is no failure.
#[test]
fn a_closed_pipe_ends_in_peace() {
    let lab = finished();
    let mut command = lab.command(&["sql", "SELECT * FROM range(10000000)", "--format", "csv"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_store_can_be_asked_about_itself() {
    let lab = finished();
    assert_eq!(lab.ask("SELECT count(*) FROM runs"), "38");
    assert_eq!(lab.ask("SELECT count(*) FROM nodes WHERE finished"), "38");
    let maker =
        lab.ask("SELECT from_node FROM lineage WHERE node = 'rate.m1' AND input = 'readings'");
    assert_eq!(maker, "read.m1.meta");
    // The scripted model is copied, so every checkpoint has the same bytes: the nearest maker counts.
    let maker = "SELECT from_node FROM lineage WHERE node = 'judge.m2' AND input = 'model'";
    assert_eq!(lab.ask(maker), "train.m2");
    assert_eq!(lab.ask("SELECT node FROM nodes WHERE position = 0"), "prompts.m0");
    assert_eq!(lab.ask("SELECT share(kept) > 0.5 FROM pairs"), "true");
    assert_eq!(
        lab.ask("SELECT len(excerpt(text, length := 20)) <= 20 FROM responses LIMIT 1"),
        "true"
    );
}

#[test]
fn show_prints_an_artifact_whole() {
    let lab = finished();
    let node = lab.mrx(&["show", "rate.m1"]).success().prints("rate.m1 of scripted");
    let node = node.prints("meta_judgements  meta_judge.m1").prints("prior").prints("strength");
    let object = lab.digests("scripted")["rate.m1/ratings"].short();
    assert!(node.stdout.contains(&object));
    lab.mrx(&["show", &object]).success().prints("made by   rate.m1 of scripted");
    lab.mrx(&["show", &object[..6], "--rows", "1"]).success().prints("ratings: 9 columns");
    let json = lab.mrx(&["show", "rate.m1", "--format", "json"]).success().stdout;
    assert!(
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["key"]["config"]["prior"] == 0.01
    );
    lab.mrx(&["show", "--schema", "pairs"]).success().prints("COMMENT ON COLUMN pairs.reason");
    lab.mrx(&["show", "--schema", "pears"]).fails_with(2).says("there is no table `pears`");
    lab.mrx(&["show", "rat.m1"]).fails_with(2).says("did you mean `rate.m1`?");
    lab.mrx(&["show", "0000"]).fails_with(1).says("no run and no object starts with 0000");
    lab.mrx(&["run", "loop", "--set", "name=two"]).success();
    lab.mrx(&["show", "rate.m1"]).fails_with(2).says("one of scripted/rate.m1, two/rate.m1");
    lab.mrx(&["show", "two/rate.m1"]).success();
}

#[test]
fn a_row_is_traced_up_to_the_weights_and_down_to_what_came_of_it() {
    let lab = finished();
    let pair =
        lab.ask("SELECT pair_id FROM pairs WHERE role = 'judge' AND kept ORDER BY pair_id LIMIT 1");
    let up = lab.mrx(&["trace", &pair]).success();
    for part in [
        "chosen_judgement j_",
        "rejected_judgement j_",
        "respond.m",
        "prompts.m",
        "model from",
        "config.json",
    ] {
        assert!(up.stdout.contains(part), "no `{part}` in\n{}", up.stdout);
    }
    let prompt = lab.ask("SELECT prompt_id FROM prompts WHERE model = 'm1' LIMIT 1");
    let down = lab.mrx(&["trace", &prompt[..12]]).success();
    for part in ["7 responses", "2 pairs", "meta_judgements", "ratings"] {
        assert!(down.stdout.contains(part), "no `{part}` in\n{}", down.stdout);
    }
    let response = lab.ask("SELECT response_id FROM responses WHERE model = 'm1' LIMIT 1");
    lab.mrx(&["trace", &response]).success().prints("model from train.m1");
    lab.mrx(&["trace", "r_"]).fails_with(1).says("several ids start with");
    lab.mrx(&["trace", "x' OR true --"]).fails_with(1).says("no row has an id");
}

/// The same views in the duckdb package for Python, where it is installed.
#[test]
fn the_views_open_in_python_too() {
    let python = std::env::var("MRX_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_duckdb = Command::new(&python).args(["-c", "import duckdb"]).output();
    if !has_duckdb.is_ok_and(|output| output.status.success()) {
        skip(&format!("{python} has no duckdb package (set MRX_PYTHON)"));
        return;
    }
    let lab = finished();
    let script = lab.mrx(&["sql", "--attach"]).success().stdout;
    lab.write("views.sql", &script);
    let query = "SELECT model, score, count(*) FROM judgements GROUP BY ALL ORDER BY ALL";
    let program = "import duckdb, sys; duckdb.execute(open('views.sql').read()); \
                   print(duckdb.sql(sys.argv[1]).fetchall())";
    let output =
        Command::new(python).args(["-c", program, query]).current_dir(&lab.path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = String::from_utf8_lossy(&output.stdout).matches("('m").count();
    let ours = lab.mrx(&["sql", query, "--format", "jsonl"]).success().stdout.lines().count();
    assert_eq!(rows, ours);
}
