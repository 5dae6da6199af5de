//! Views over stores that others wrote: older, larger, or with something lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mrx::records::{Id as _, Prompt, PromptId};
use mrx::store::{
    Cost, Key, Manifest, PlannedNode, Record, RecordedPlan, Store, StoredTable, TableWriter,
    Version,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::lab::{Lab, PROJECT, copy_folder};

/// Records a run that made one table, as a plan of its own.
fn record(store: &Store, experiment: &str, node: &str, table: &str, stored: StoredTable) {
    let stage = node.split('.').next().unwrap();
    let key = json!({ "stage": stage, "version": 1, "config": { "of": experiment }, "inputs": {} });
    let key: Key = serde_json::from_value(key).unwrap();
    let run = key.digest();
    let recorded = "2026-01-01T00:00:00Z".to_owned();
    let manifest = Manifest {
        format: 1,
        run,
        node: node.to_owned(),
        experiment: experiment.to_owned(),
        key,
        tables: BTreeMap::from([(table.to_owned(), stored)]),
        objects: BTreeMap::new(),
        cost: Cost {
            started: recorded.clone(),
            seconds: 1.0,
            attempts: 1,
            spent: mrx::store::Spent::default(),
        },
        made_by: None,
    };
    fs::create_dir_all(store.runs_folder()).unwrap();
    let path = store.runs_folder().join(format!("{run}.json"));
    fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let (node, model) = (node.to_owned(), "m0".to_owned());
    let nodes = vec![PlannedNode { node, model, run: Some(run), finished: true }];
    let (experiment, file) = (experiment.to_owned(), None);
    store
        .record_plan(&RecordedPlan { format: 1, experiment, file, variant: None, recorded, nodes })
        .unwrap();
}

fn written<R: Record>(store: &Store, rows: &[R]) -> StoredTable {
    let mut writer = TableWriter::create(store).unwrap();
    writer.write(rows).unwrap();
    writer.finish().unwrap()
}

/// A row as an mrx wrote it that knew fewer columns.
#[derive(Serialize, Deserialize)]
struct FewerColumns {
    prompt_id: String,
    position: i32,
    prompt: String,
}

impl Record for FewerColumns {
    const TABLE: &'static str = "prompts";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &[];
}

/// A row as an mrx may write it that this one knows nothing of.
#[derive(Serialize, Deserialize)]
struct OtherTypes {
    prompt_id: String,
    position: String,
}

impl Record for OtherTypes {
    const TABLE: &'static str = "prompts";
    const VERSION: Version = Version::new(1, 0);
    const DISTINCT: &'static [&'static str] = &[];
}

fn prompt(id: &str) -> Prompt {
    Prompt {
        prompt_id: PromptId::from_text(id.to_owned()),
        position: 0,
        prompt: "new".to_owned(),
        messages: Vec::new(),
        reference: Some("r".to_owned()),
        category: None,
        source: None,
    }
}

fn lab_with_store() -> (Lab, Store) {
    let lab = Lab::new();
    let store = Store::create(lab.path.join(".mrx")).unwrap();
    (lab, store)
}

/// One scan over many small tables, and a branch for each of a few, give the same rows.
#[test]
fn columns_that_an_older_table_lacks_are_null() {
    for experiments in [1, 12] {
        let (lab, store) = lab_with_store();
        for number in 0..experiments {
            let (id, text) = (format!("p_{number}"), "old".to_owned());
            let old = FewerColumns { prompt_id: id.clone(), position: number, prompt: text };
            let (old, new) = (written(&store, &[old]), written(&store, &[prompt(&id)]));
            record(&store, &format!("old-{number}"), "prompts.m0", "prompts", old);
            record(&store, &format!("new-{number}"), "prompts.m0", "prompts", new);
        }
        let counted = "SELECT count(*), count(reference), count(messages), count(DISTINCT experiment) \
                       FROM prompts";
        let n = experiments;
        assert_eq!(lab.ask(counted), format!("{},{n},{n},{}", 2 * n, 2 * n));
        let last = n - 1;
        let one = format!("SELECT prompt, reference FROM prompts WHERE experiment = 'old-{last}'");
        assert_eq!(lab.ask(&one), "old,");
    }
}

#[test]
fn a_table_of_other_types_is_named_and_breaks_no_other_question() {
    let (lab, store) = lab_with_store();
    record(&store, "good", "prompts.m0", "prompts", written(&store, &[prompt("p_1")]));
    let odd = OtherTypes { prompt_id: "p_1".to_owned(), position: "first".to_owned() };
    record(&store, "odd", "prompts.m0", "prompts", written(&store, &[odd]));
    let outcome = lab.mrx(&["sql", "SELECT count(*) FROM prompts"]).fails_with(1);
    outcome
        .says("the table `prompts` of prompts.m0 in `odd` cannot be read")
        .says("`position` is Utf8; expected INTEGER");
    assert_eq!(lab.ask("SELECT count(*) FROM responses"), "0");
    assert_eq!(lab.ask("SELECT count(*) FROM nodes WHERE finished"), "2");
    lab.mrx(&["sql", "DESCRIBE pairs"]).success();
}

#[test]
fn a_store_of_version_0_1_0_answers_in_every_view() {
    let lab = Lab::new();
    copy_folder(&Path::new(PROJECT).join("tests/data/store_0_1_0/store"), &lab.path.join(".mrx"));
    for (view, _) in mrx::query::TABLES {
        lab.mrx(&["sql", &format!("SELECT * FROM {view} LIMIT 1")]).success();
    }
    assert_eq!(lab.ask("SELECT count(*) > 40 FROM nodes WHERE finished"), "true");
    assert_eq!(
        lab.ask("SELECT bool_and(score IS NOT NULL) FROM judgements WHERE status = 'ok'"),
        "true"
    );
    lab.mrx(&["sql", "--attach"]).success().prints("CREATE OR REPLACE VIEW judgements");
}

/// Every stage that makes a table is known to, or a lost node would not be told of.
#[test]
fn what_a_lost_manifest_made_is_told_where_it_is_asked_for() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let plan = lab.store().plan("scripted").unwrap().unwrap();
    let run_of =
        |name: &str| plan.nodes.iter().find(|node| node.node == name).unwrap().run.unwrap();
    let rows = lab.ask("SELECT count(*) FROM judgements WHERE model != 'm1'");
    for node in ["judge.m1", "pair.m2"] {
        fs::remove_file(lab.path.join(format!(".mrx/runs/{}.json", run_of(node)))).unwrap();
    }
    let outcome = lab.mrx(&["sql", "SELECT count(*) AS n FROM judgements", "--format", "csv"]);
    let outcome = outcome.success().prints(&format!("n\n{rows}"));
    outcome
        .says("rows are missing: of `scripted`, judge.m1 had been finished")
        .does_not_say("pair.m2");
    let pairs = lab.mrx(&["sql", "WITH judgements AS (FROM pairs) FROM judgements"]).success();
    pairs.says("pair.m2 had been").does_not_say("judge.m1");
    lab.mrx(&["sql", "SELECT count(*) FROM responses"]).success().does_not_say("missing");
    for view in ["runs", "nodes", "lineage", "experiments"] {
        let outcome = lab.mrx(&["sql", &format!("SELECT count(*) FROM {view}")]).success();
        outcome.says("judge.m1, pair.m2 had been");
    }
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["sql", "SELECT count(*) FROM judgements"]).success().does_not_say("missing");
}

/// Sixty experiments that share their work with one: what each has is what that one has.
#[test]
fn many_experiments_are_asked_as_one_is() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let numbers = "count(*), count(score), round(sum(score), 6), count(DISTINCT judgement_id), count(DISTINCT run) \
                   FROM judgements WHERE experiment =";
    let one = lab.ask(&format!("SELECT {numbers} 'scripted'"));
    let pairs =
        lab.ask("SELECT count(*), round(sum(score_chosen), 6), count(DISTINCT node) FROM pairs");
    let plan = lab.store().plan("scripted").unwrap().unwrap();
    for number in 0..60 {
        let experiment = format!("copy-{number}");
        lab.store().record_plan(&RecordedPlan { experiment, ..plan.clone() }).unwrap();
    }
    for experiment in ["scripted", "copy-0", "copy-59"] {
        assert_eq!(lab.ask(&format!("SELECT {numbers} '{experiment}'")), one);
        let of = format!(
            "SELECT count(*), round(sum(score_chosen), 6), count(DISTINCT node) FROM pairs WHERE experiment = '{experiment}'"
        );
        assert_eq!(lab.ask(&of), pairs);
    }
    let all = "SELECT count(DISTINCT (experiment, n)) FROM (SELECT experiment, count(*) AS n FROM judgements \
               GROUP BY ALL)";
    assert_eq!(lab.ask(all), "61");
    // The scan is told which file is asked for, and leaves the others out.
    let filtered =
        "EXPLAIN ANALYZE SELECT count(DISTINCT prompt_id) FROM pairs WHERE node = 'pair.m2'";
    lab.mrx(&["sql", filtered]).success().prints("mrx_file='");
}

/// A PIVOT makes names of columns out of a model's text.
#[test]
fn no_column_name_steers_a_terminal() {
    let (lab, _) = lab_with_store();
    let query =
        "PIVOT (SELECT chr(27) || '[31mred' || chr(10) || 'x|y' AS t, 1 AS n) ON t USING sum(n)";
    for (format, name) in
        [("table", "\u{fffd}[31mred x|y"), ("markdown", "\u{fffd}[31mred<br>x\\|y")]
    {
        let outcome = lab.mrx(&["sql", query, "--format", format]).success();
        assert!(!outcome.stdout.contains('\u{1b}'), "{:?}", outcome.stdout);
        outcome.prints(name);
    }
}

#[test]
fn a_query_keeps_to_its_memory() {
    let (lab, _) = lab_with_store();
    let wide =
        "SELECT count(DISTINCT x) FROM (SELECT md5(i::VARCHAR) AS x FROM range(20000000) t(i))";
    let outcome = lab.mrx(&["sql", wide, "--memory-limit", "100MB"]).fails_with(1);
    outcome.says("Out of Memory Error").says("raise --memory-limit").does_not_say("SET threads");
    // One value is made in one go, past the limit.
    let long = "SELECT repeat('a', 3000000000) AS text";
    let outcome = lab.mrx(&["sql", long, "--memory-limit", "100MB"]).fails_with(1);
    outcome.says("MiB of memory").says("--memory-limit");
    lab.mrx(&["sql", "SELECT 1", "--memory-limit", "half"]).fails_with(2).says("as 8GB");
}

#[test]
fn answers_do_not_depend_on_the_time_zone_of_the_machine() {
    let (lab, _) = lab_with_store();
    for zone in ["Asia/Tokyo", "America/New_York"] {
        let query = "SELECT to_timestamp(0)::VARCHAR AS t";
        let output =
            lab.command(&["sql", query, "--format", "csv"]).env("TZ", zone).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "t\n1970-01-01 00:00:00+00\n");
    }
}
