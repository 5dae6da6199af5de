//! What an experiment's query may not do, because it would not give the same rows again: on another day, on
//! another machine, or in another folder.
//!
//! What stands in the query's text is refused by name. Two kinds of names cannot be told from columns there:
//! those of SQL's values, as `user`, answer with an error instead, and what is read from a file says of it only
//! the name that the experiment gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use duckdb::Connection;
use serde_json::Value;

use super::engine::quote;
use super::syntax::{references, visit};

/// What would make a query's rows others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, so the query would not give the same rows twice")]
pub struct Unrepeatable {
    what: String,
}

/// Names that DuckDB reads as the moment, or that say where and when a file was written.
const MOMENTARY: [&str; 7] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "filename",
    "last_modified",
];

/// Functions that run a text as a query: what that reads, and whether it says the same twice, cannot be
/// seen.
const HIDDEN: [&str; 3] = ["json_execute_serialized_sql", "query", "query_table"];

/// Functions that DuckDB calls stable and that count from the moment.
const CLOCKS: [&str; 4] = ["age", "ago", "current_localtime", "current_localtimestamp"];

/// Functions that DuckDB calls stable and whose answer is of the machine, the session or the database.
const SURROUNDINGS: [&str; 12] = [
    "col_description",
    "current_setting",
    "get_block_size",
    "getenv",
    "getvariable",
    "map_to_pg_oid",
    "obj_description",
    "parse_duckdb_log_message",
    "shobj_description",
    "vector_type",
    "version",
    "which_secret",
];

/// How the names of more such functions begin.
const SURROUNDING: [&str; 6] = ["current_", "duckdb_", "has_", "inet_", "pg_", "pragma_"];

/// SQL's values that are not of the moment: of the session. A column may have such a name.
const SESSION: [&str; 6] =
    ["current_catalog", "current_role", "current_schema", "current_user", "session_user", "user"];

/// The table functions whose rows follow from their arguments and the files that they read.
const TABLE_FUNCTIONS: [&str; 23] = [
    "generate_series",
    "histogram",
    "histogram_values",
    "json_each",
    "json_tree",
    "parquet_scan",
    "range",
    "read_blob",
    "read_csv",
    "read_csv_auto",
    "read_json",
    "read_json_auto",
    "read_json_objects",
    "read_json_objects_auto",
    "read_ndjson",
    "read_ndjson_auto",
    "read_ndjson_objects",
    "read_parquet",
    "read_text",
    "repeat",
    "repeat_row",
    "unnest",
    "values",
];

/// What DuckDB says of its own functions and views.
pub(super) struct Known {
    unstable: BTreeSet<String>,
    system_views: BTreeSet<String>,
}

impl Known {
    /// Asks which functions DuckDB itself calls volatile, as `random`, or bound to the moment, as `now`; and
    /// which views tell of the database.
    pub(super) fn ask(connection: &Connection) -> duckdb::Result<Self> {
        let names = |sql: &str| -> duckdb::Result<BTreeSet<String>> {
            let mut statement = connection.prepare(sql)?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        Ok(Self {
            unstable: names(
                "SELECT DISTINCT function_name FROM duckdb_functions()
                 WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')",
            )?,
            system_views: names("SELECT DISTINCT view_name FROM duckdb_views() WHERE internal")?,
        })
    }

    /// Refuses a query that would not give the same rows again.
    pub(super) fn check(&self, tree: &Value) -> Result<(), Unrepeatable> {
        let mut found = None;
        for reference in references(tree) {
            let name = reference.name.to_lowercase();
            let elsewhere = reference.view().is_none() || self.system_views.contains(&name);
            if elsewhere {
                found.get_or_insert(format!("`{name}` tells of the database, not of the files"));
            }
        }
        visit(tree, &mut |node| {
            if found.is_none() {
                found = self.wrong_in(node);
            }
        });
        found.map_or(Ok(()), |what| Err(Unrepeatable { what }))
    }

    fn wrong_in(&self, node: &Value) -> Option<String> {
        let is = |kind: &str| text(node, "type") == kind;
        let column = node.get("column_names").and_then(Value::as_array).and_then(|c| c.last());
        let column = column.and_then(Value::as_str).unwrap_or_default().to_lowercase();
        if MOMENTARY.contains(&column.as_str()) {
            return Some(format!("`{column}` says when or where the query ran"));
        }
        if is("SHOW_REF") && node.get("query").is_none_or(Value::is_null) {
            return Some("SHOW tells of the database, not of the files".to_owned());
        }
        if is("TABLE_FUNCTION") {
            return self.wrong_table_function(node.get("function")?);
        }
        let function = node.get("function_name").and_then(Value::as_str);
        function.and_then(|_| self.wrong_function(node)).or_else(|| wrong_choice(node))
    }

    fn wrong_function(&self, call: &Value) -> Option<String> {
        let name = text(call, "function_name").to_lowercase();
        if HIDDEN.contains(&name.as_str()) {
            return Some(format!("`{name}()` runs a text that nobody has checked"));
        }
        if self.unstable.contains(&name) || CLOCKS.contains(&name.as_str()) {
            return Some(format!("`{name}()` changes from call to call"));
        }
        if SURROUNDINGS.contains(&name.as_str())
            || SESSION.contains(&name.as_str())
            || SURROUNDING.iter().any(|prefix| name.starts_with(prefix))
        {
            return Some(format!("`{name}()` depends on the machine or the session"));
        }
        // A name of another place would get past those that stand here; the parser itself writes `main`.
        let (catalog, schema) = (text(call, "catalog"), text(call, "schema"));
        let at_home = catalog.is_empty() && ["", "main"].contains(&schema);
        (!at_home).then(|| format!("`{catalog}.{schema}.{name}()` may be any function"))
    }

    fn wrong_table_function(&self, call: &Value) -> Option<String> {
        let name = text(call, "function_name").to_lowercase();
        let children = call.get("children").and_then(Value::as_array);
        let mut named = children.into_iter().flatten().map(|child| text(child, "alias"));
        if named.any(|named| named.eq_ignore_ascii_case("filename")) {
            return Some(format!("`filename` of `{name}()` says where the query ran"));
        }
        self.wrong_function(call).or_else(|| {
            let known = TABLE_FUNCTIONS.contains(&name.as_str());
            let what =
                || format!("`{name}()` is not known to depend on its arguments and files alone");
            (!known).then(what)
        })
    }
}

/// A choice of rows that is not the query's own.
fn wrong_choice(node: &Value) -> Option<String> {
    let modifiers = node.get("modifiers").and_then(Value::as_array);
    let has = |kind: &str| {
        let mut kinds = modifiers.into_iter().flatten().map(|modifier| text(modifier, "type"));
        kinds.any(|found| found.starts_with(kind))
    };
    if has("LIMIT") && !has("ORDER") {
        return Some("a LIMIT without an ORDER BY takes any rows".to_owned());
    }
    let sample = node.get("sample").filter(|sample| sample.is_object())?;
    let seeded = sample.get("seed").and_then(Value::as_i64).is_some_and(|seed| seed >= 0);
    (!seeded).then(|| "a sample without REPEATABLE takes any rows".to_owned())
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The script after which SQL's values of the session are errors, and `read_text` and `read_blob` say of a
/// file only what it is called in the experiment.
pub(super) fn script(files: &BTreeMap<String, PathBuf>) -> String {
    let mut script = String::new();
    for name in SESSION {
        let said = Unrepeatable { what: format!("`{name}` depends on the session") }.to_string();
        let said = quote(&said);
        let _ = writeln!(script, "CREATE MACRO \"{name}\"() AS error({said})::VARCHAR;");
    }
    // One file may be declared under two names; a map has each key once.
    let names: BTreeMap<_, _> =
        files.iter().map(|(name, path)| (quote(&path.to_string_lossy()), quote(name))).collect();
    let names: Vec<String> = names.iter().map(|(path, name)| format!("{path}: {name}")).collect();
    let names = format!("MAP {{{}}}", names.join(", "));
    for function in ["read_text", "read_blob"].into_iter().filter(|_| !files.is_empty()) {
        let _ = writeln!(
            script,
            "CREATE MACRO {function}(files) AS TABLE SELECT {names}[filename] AS filename, content, size, \
             NULL::TIMESTAMPTZ AS last_modified FROM system.main.{function}(files);"
        );
    }
    script
}
