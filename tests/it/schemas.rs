//! `schemas/` is the single source: rows and stored files are held against it.

use std::fs;
use std::path::Path;

use mrx::query::{Session, TABLES, documents, keys, references};
use mrx::records::{self, Id as _, JudgementId, PairId, PromptId, ResponseId};
use mrx::store::{
    Cost, Digest, FORMAT, Key, Manifest, PlannedNode, Record, RecordedPlan, Store, TableReader,
    TableWriter, Version, read_version,
};
use serde::{Deserialize, Serialize};

use crate::lab::PROJECT;

#[derive(Deserialize)]
struct Groups {
    rows: u64,
    groups: u64,
}

#[derive(Deserialize)]
struct Count {
    rows: i64,
    distinct_rows: i64,
}

#[derive(Deserialize)]
struct Column {
    column_name: String,
    column_type: String,
}

/// What DuckDB makes of the file that a record type writes.
fn stored_columns<R: Record>(store: &Store) -> Vec<(String, String)> {
    let table = TableWriter::<R>::create(store).unwrap().finish().unwrap();
    let path = store.object_path(table.object).to_string_lossy().into_owned();
    let session = Session::open(store).unwrap();
    let columns: Vec<Column> = session
        .rows(&format!(
            "SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet('{path}'))"
        ))
        .unwrap();
    columns.into_iter().map(|column| (column.column_name, column.column_type)).collect()
}

fn check<R: Record>(store: &Store) {
    let documents = documents().unwrap();
    let document = documents.iter().find(|document| document.name == R::TABLE).unwrap();
    let declared: Vec<(String, String)> =
        document.columns.iter().map(|c| (c.name.clone(), c.kind.clone())).collect();
    assert_eq!(stored_columns::<R>(store), declared, "schemas/{}.sql and its rows", R::TABLE);
    let nullable: Vec<bool> = document.columns.iter().map(|column| column.nullable).collect();
    let fields = mrx::store::fields::<R>().unwrap();
    let optional: Vec<bool> = fields.iter().map(|field| field.is_nullable()).collect();
    assert_eq!(optional, nullable, "{}: NOT NULL is a field that is no Option", R::TABLE);
    let ddl = mrx::query::ddl_of(R::TABLE).unwrap();
    let first = format!("-- Version {}. History: 1.0, ", R::VERSION);
    assert!(ddl.starts_with(&first), "schemas/{}.sql says: {first}", R::TABLE);
    let latest = format!("{}, ", R::VERSION);
    assert!(ddl.lines().next().unwrap().contains(&latest), "{}: {latest}…", R::TABLE);
    assert!(records::VERSIONS.contains(&(R::TABLE, R::VERSION)), "{} is listed", R::TABLE);
    for column in R::DISTINCT {
        assert!(declared.iter().any(|(name, _)| name == column), "{}: no {column}", R::TABLE);
    }
}

#[test]
fn rows_are_what_the_schemas_say() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap();
    check::<records::Prompt>(&store);
    check::<records::Example>(&store);
    check::<records::Response>(&store);
    check::<records::Judgement>(&store);
    check::<records::MetaJudgement>(&store);
    check::<records::Reading>(&store);
    check::<records::Rating>(&store);
    check::<records::Pair>(&store);
    check::<records::ReferenceLogps>(&store);
    check::<records::LessonRow>(&store);
    check::<records::CheckpointPart>(&store);
    check::<records::Metric>(&store);
    check::<records::Choice>(&store);
    check::<records::Verdict>(&store);
    check::<records::Estimate>(&store);
}

#[test]
fn every_column_says_what_it_means() {
    for table in documents().unwrap() {
        assert!(!table.comment.is_empty(), "{} has no comment", table.name);
        for column in table.columns {
            assert!(column.comment.len() > 8, "{}.{} has no comment", table.name, column.name);
        }
    }
}

#[test]
fn every_schema_file_is_a_table_and_every_reference_leads_to_a_key() {
    let folder = Path::new(PROJECT).join("schemas");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "sql"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut tables: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
    tables.sort_unstable();
    assert_eq!(files, tables);
    let keys = keys().unwrap();
    for [table, column, to, key] in references().unwrap() {
        let home = [to.clone(), key.clone()];
        assert!(keys.contains(&home), "{table}.{column} leads to {to}.{key}, which is no key");
    }
}

/// The reasons that a pair may be dropped for are spelled out in its schema.
#[test]
fn the_schema_of_pairs_lists_every_reason() {
    use records::Reason;
    // A reason that is new does not compile until it has its place here.
    let after = |reason: &Reason| match reason {
        Reason::NoValidScore => Some(Reason::EqualScores),
        Reason::EqualScores => Some(Reason::EqualTexts),
        Reason::EqualTexts => Some(Reason::EqualIds),
        Reason::EqualIds => Some(Reason::Cut),
        Reason::Cut => Some(Reason::NotBetter),
        Reason::NotBetter => Some(Reason::ChosenTooLong),
        Reason::ChosenTooLong => Some(Reason::NoVariance),
        Reason::NoVariance => Some(Reason::NoInformation),
        Reason::NoInformation => Some(Reason::TooManyOfScore),
        Reason::TooManyOfScore => Some(Reason::TooManyJudgePairs),
        Reason::TooManyJudgePairs => None,
    };
    let reasons = std::iter::successors(Some(Reason::NoValidScore), after);
    let ddl = mrx::query::ddl_of("pairs").unwrap();
    let missing: Vec<&str> =
        reasons.map(Reason::as_str).filter(|reason| !ddl.contains(reason)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

fn response(number: u64) -> records::Response {
    records::Response {
        response_id: ResponseId::from_text(format!("r_{number:040x}")),
        prompt_id: PromptId::from_text(format!("p_{:040x}", number / 7)),
        sample: i32::try_from(number % 7).unwrap(),
        seed: number.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        text: format!("answer {} to question {}", number % 13, number / 7)
            .repeat(1 + usize::try_from(number % 5).unwrap()),
        thinking: number.is_multiple_of(17).then(|| "let me see".to_owned()),
        completion_ids: number
            .is_multiple_of(3)
            .then(|| (0..u32::try_from(number % 9).unwrap()).collect()),
        text_digest: Digest::of(&number.to_le_bytes()).to_hex(),
        prompt_tokens: 12,
        completion_tokens: i32::try_from(number % 97).unwrap(),
        finish_reason: if number.is_multiple_of(11) {
            records::FinishReason::Length
        } else {
            records::FinishReason::Stop
        },
        logprob: number.is_multiple_of(3).then(|| -f64::from(u32::try_from(number).unwrap())),
        refusal: None,
    }
}

fn written(store: &Store, rows: &[records::Response], at_once: usize) -> mrx::store::StoredTable {
    let mut writer = TableWriter::<records::Response>::create(store).unwrap();
    rows.chunks(at_once).for_each(|rows| writer.write(rows).unwrap());
    writer.finish().unwrap()
}

/// A golden digest: where it changes, every store in the world has other names for the same rows,
/// and FORMAT has to be raised.
#[test]
fn the_same_rows_are_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap();
    let rows: Vec<_> = (0..5000).map(response).collect();
    let whole = written(&store, &rows, 5000);
    for at_once in [1, 7, 2048, 4999] {
        assert_eq!(written(&store, &rows, at_once), whole, "in portions of {at_once}");
    }
    insta::assert_snapshot!(whole.object, @"228b6b82d262dd551bb9dc96e93c38159d12294f9e569e29f22f653ec771f24f");
    insta::assert_snapshot!(written(&store, &[], 1).object, @"9449cff28912f4ac7dc5f4649a60ebc6649ac13dc9ef67b3a3eb367ec63f08d1");
}

#[test]
fn a_table_of_several_row_groups_comes_back_row_for_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap();
    let count = mrx::store::ROW_GROUP_ROWS as u64 * 2 + 17;
    let rows: Vec<_> = (0..count).map(response).collect();
    let table = written(&store, &rows, 10_000);
    assert_eq!(table, written(&store, &rows, 33_333), "groups do not follow batches");
    let read = TableReader::<records::Response>::open(&store, table.object).unwrap();
    for (found, expected) in read.zip(&rows) {
        assert_eq!(found.unwrap(), *expected);
    }
    let path = store.object_path(table.object).to_string_lossy().into_owned();
    let session = Session::open(&store).unwrap();
    let found: Vec<Groups> = session
        .rows(&format!(
            "SELECT max(row_group_num_rows)::UBIGINT AS rows, count(DISTINCT row_group_id)::UBIGINT AS groups FROM parquet_metadata('{path}')"
        ))
        .unwrap();
    assert_eq!((found[0].rows, found[0].groups), (mrx::store::ROW_GROUP_ROWS as u64, 3));
}

/// Two experiments that share work show it twice, and `run` tells it from other work.
#[test]
fn shared_work_appears_under_both_experiments() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap();
    let table = written(&store, &(0..10).map(response).collect::<Vec<_>>(), 10);
    let key = Key {
        stage: "respond".to_owned(),
        version: 1,
        config: serde_json::json!({}),
        inputs: [].into(),
    };
    let run = key.digest();
    let manifest = Manifest {
        format: FORMAT,
        run,
        node: "respond.m0".to_owned(),
        experiment: "one".to_owned(),
        key,
        tables: [("responses".to_owned(), table)].into(),
        objects: [].into(),
        cost: Cost {
            started: "2026-01-01T00:00:00Z".to_owned(),
            seconds: 1.0,
            attempts: 1,
            spent: mrx::store::Spent::default(),
        },
        made_by: None,
    };
    store.write_manifest(&manifest).unwrap();
    for experiment in ["one", "two"] {
        let node = PlannedNode {
            node: "respond.m0".to_owned(),
            model: "m0".to_owned(),
            run: Some(run),
            finished: true,
        };
        let recorded = "2026-01-01T00:00:00Z".to_owned();
        let plan = RecordedPlan {
            format: FORMAT,
            experiment: experiment.to_owned(),
            file: None,
            variant: None,
            recorded,
            nodes: vec![node],
        };
        store.record_plan(&plan).unwrap();
    }
    let session = Session::open(&store).unwrap();
    let found: Vec<Count> = session
        .rows("SELECT count(*) AS rows, count(DISTINCT (run, response_id)) AS distinct_rows FROM responses")
        .unwrap();
    assert_eq!((found[0].rows, found[0].distinct_rows), (20, 10));
}

/// A row of `notes` as an earlier version wrote it.
#[derive(Serialize, Deserialize)]
struct EarlierNote {
    id: u64,
}

/// A row of `notes` now.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    id: u64,
    text: Option<String>,
}

/// A row of `notes` in which the new column must be there.
#[derive(Serialize, Deserialize)]
struct StrictNote {
    id: u64,
    text: String,
}

/// A row of `notes` whose column has another type.
#[derive(Serialize, Deserialize)]
struct OtherNote {
    id: Option<String>,
}

/// A row of `notes` whose columns mean something else.
#[derive(Serialize, Deserialize)]
struct NextNote {
    id: u64,
}

macro_rules! notes {
    ($($row:ty: $major:literal $minor:literal),*) => {$(
        impl Record for $row {
            const TABLE: &'static str = "notes";
            const VERSION: Version = Version::new($major, $minor);
            const DISTINCT: &'static [&'static str] = &[];
        }
    )*};
}

notes!(EarlierNote: 1 0, Note: 1 1, NextNote: 2 0);

#[test]
fn a_table_that_has_grown_is_read_in_every_version_of_its_major() {
    const KNOWN: [(&str, Version); 1] = [("notes", Version::new(1, 1))];
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap().knowing(&KNOWN);
    let earlier = stored(&store, &[EarlierNote { id: 7 }, EarlierNote { id: 8 }]);
    assert_eq!(read_version(&store.object_path(earlier)).unwrap(), Version::new(1, 0));
    let read: Vec<Note> = read_all(&store, earlier).unwrap();
    assert_eq!(read, [Note { id: 7, text: None }, Note { id: 8, text: None }]);
    let grown = stored(&store, &[Note { id: 9, text: Some("new".to_owned()) }]);
    assert_eq!(read_all::<EarlierNote>(&store, grown).unwrap()[0].id, 9);
    // What cannot be read is told of by name: the column, the table and its version.
    let told = read_all::<StrictNote>(&store, earlier).err().unwrap().to_string();
    assert!(told.contains("table `notes` is of version 1.0, and this mrx reads 1.1"), "{told}");
    assert!(told.contains("it has no column `text`"), "{told}");
    let told = read_all::<OtherNote>(&store, grown).err().unwrap().to_string();
    assert!(told.contains("column `id` is of type UInt64, not Utf8"), "{told}");
    let next = stored(&store, &[NextNote { id: 1 }]);
    let told = read_all::<EarlierNote>(&store, next).err().unwrap().to_string();
    assert!(told.contains("version 2.0, and this mrx reads 1.1"), "{told}");
    assert!(told.contains(&next.short()), "{told}");
}

fn stored<R: Record>(store: &Store, rows: &[R]) -> Digest {
    let mut writer = TableWriter::<R>::create(store).unwrap();
    writer.write(rows).unwrap();
    writer.finish().unwrap().object
}

fn read_all<Q: serde::de::DeserializeOwned>(
    store: &Store,
    object: Digest,
) -> Result<Vec<Q>, mrx::store::Error> {
    TableReader::open(store, object)?.collect()
}

fn round_trip<R: Record + Clone + PartialEq + std::fmt::Debug>(store: &Store, rows: &[R]) {
    let mut writer = TableWriter::<R>::create(store).unwrap();
    writer.write(rows).unwrap();
    let table = writer.finish().unwrap();
    let read = TableReader::<R>::open(store, table.object).unwrap();
    assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), rows, "{}", R::TABLE);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Whatever a row holds, it comes back: lists, enums, NULLs, any text, any number.
    #[test]
    fn every_row_comes_back_as_it_was(
        texts in proptest::collection::vec("\\PC{0,40}", 0..4),
        optional in proptest::option::of("\\PC{0,40}"),
        number in proptest::option::of(-1e300..1e300),
        seed: u64,
        shape in proptest::option::of(proptest::collection::vec(0..u64::MAX, 0..4)),
        which in 0..5_usize,
    ) {
        use records::{Reason, Role, Status};
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path().join("store")).unwrap();
        let text = texts.concat();
        let message = |content: &String| records::Message { role: "user".to_owned(), content: content.clone() };
        let messages: Vec<records::Message> = texts.iter().map(message).collect();
        let status = [Status::Ok, Status::Missing, Status::OffScale, Status::Truncated, Status::Ambiguous][which];
        round_trip(&store, &[records::Reading {
            judgement_id: optional.clone().map(JudgementId::from_text),
            meta_judgement_id: None,
            value: number,
            soft_value: number.map(|number| number / 3.0),
            status,
            rule: text.clone(),
        }]);
        round_trip(&store, &[records::CheckpointPart {
            file: text.clone(),
            tensor: optional.clone(),
            dtype: None,
            shape: shape.clone(),
            offset: seed,
            bytes: u64::MAX,
            digest: text.clone(),
            object: text.clone(),
        }]);
        round_trip(&store, &[records::Pair {
            pair_id: PairId::from_text(text.clone()),
            prompt_id: PromptId::from_text(text),
            role: if seed.is_multiple_of(2) { Role::Actor } else { Role::Judge },
            kept: seed.is_multiple_of(3),
            reason: seed.is_multiple_of(5).then_some(Reason::ChosenTooLong),
            chosen_response_id: optional.clone().map(ResponseId::from_text),
            rejected_response_id: None,
            chosen_judgement_id: None,
            rejected_judgement_id: optional.clone().map(JudgementId::from_text),
            score_chosen: number,
            score_rejected: None,
            messages,
            chosen: optional,
            rejected: None,
            chosen_ids: shape.map(|ids| ids.into_iter().map(|id| u32::try_from(id % 50_000).unwrap()).collect()),
            rejected_ids: None,
        }]);
    }
}
