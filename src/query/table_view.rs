//! The views over stored tables, as SQL.
//!
//! Every row carries `experiment`, `model`, `node`, `part` and `run`. Work that two experiments share
//! appears under both; `run` tells them apart from it. `part` is NULL for the loop itself, and says what
//! else a node is of: `eval`, `panel`.
//!
//! A large object is a branch of its own, which the planner drops where a filter rules it out. Many small
//! ones are one scan, joined to the list of nodes by file name: planning thousands of branches would take
//! longer than reading them, and the join too reads only the files that are asked for.

use std::fmt::Write as _;

use super::catalogue::Part;
use super::engine::quote;
use super::places::NO_PARTITIONS;
use super::schema::ColumnShape;
use crate::store::{Digest, ROW_GROUP_ROWS, Store};

/// Objects that are small, and more of them than this, are read in one scan.
const MANY: usize = 4;

/// A part of a table, and where its readings are, if it has been read.
pub(super) struct Source {
    pub(super) part: Part,
    /// Whether each column of the schema is there: an older table may lack some.
    pub(super) has: Vec<bool>,
    pub(super) readings: Option<Digest>,
}

/// The view over one table.
pub(super) struct TableView<'a> {
    pub(super) store: &'a Store,
    pub(super) table: &'a str,
    pub(super) columns: &'a [ColumnShape],
}

const NODE: [&str; 5] = ["experiment", "model", "node", "part", "run"];
const NOT_READ: &str = "NULL::VARCHAR AS status, NULL::VARCHAR AS rule";

impl TableView<'_> {
    /// Says what the view selects.
    pub(super) fn select(&self, sources: Vec<Source>) -> String {
        if sources.is_empty() {
            return empty(self.table);
        }
        let is_small = |source: &Source| source.part.stored.rows <= ROW_GROUP_ROWS as u64;
        let (small, mut single): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_small);
        let mut gathered = Vec::new();
        if small.len() > MANY {
            gathered = small;
        } else {
            single.splice(..0, small);
        }
        // Tables that lack the same columns are scanned together.
        gathered.sort_by(|one, other| other.has.cmp(&one.has));
        let scans =
            gathered.chunk_by(|one, other| one.has == other.has).map(|same| self.scan(same));
        scans
            .chain(single.iter().map(|source| self.branch(source)))
            .collect::<Vec<_>>()
            .join("\nUNION ALL ")
    }

    /// Selects one object.
    fn branch(&self, source: &Source) -> String {
        let node = NODE.iter().zip(node_of(&source.part));
        let node: Vec<String> = node.map(|(name, value)| format!("{value} AS {name}")).collect();
        let columns = format!("{}, {}", node.join(", "), self.columns(source));
        let rows = self.read(source.part.stored.object);
        match (reads(self.table), source.readings) {
            (None, _) => format!("SELECT {columns} FROM {rows} t"),
            (Some(name), None) => {
                format!("SELECT {columns}, NULL::DOUBLE AS {name}, {NOT_READ} FROM {rows} t")
            }
            (Some(_), Some(readings)) => {
                with_readings(self.table, &columns, &rows, &self.read(readings))
            }
        }
    }

    /// Selects many objects that have the same columns.
    fn scan(&self, sources: &[Source]) -> String {
        let Some(first) = sources.first() else { return empty(self.table) };
        let name = reads(self.table);
        let mut nodes = String::new();
        for source in sources {
            let start = if nodes.is_empty() { "(" } else { ",\n(" };
            let _ = write!(nodes, "{start}{}", node_of(&source.part).join(", "));
            let _ = write!(nodes, ", {}", self.path(source.part.stored.object));
            if name.is_some() {
                let readings = source.readings.map_or_else(null_text, |object| self.path(object));
                let _ = write!(nodes, ", {readings}");
            }
            nodes.push(')');
        }
        let objects = sources.iter().map(|source| source.part.stored.object);
        let (node, columns) =
            (NODE.map(|name| format!("n.{name}")).join(", "), self.columns(first));
        let rows = self.read_all(objects.collect());
        let listed = NODE.join(", ");
        let Some(name) = name else {
            return format!(
                "SELECT {node}, {columns} FROM {rows} t JOIN (VALUES {nodes}) n({listed}, mrx_file) \
                 ON t.mrx_file = n.mrx_file"
            );
        };
        let objects: Vec<Digest> = sources.iter().filter_map(|source| source.readings).collect();
        let nodes = format!("(VALUES {nodes}) n({listed}, mrx_file, mrx_readings)");
        let joined = format!("{rows} t JOIN {nodes} ON t.mrx_file = n.mrx_file");
        if objects.is_empty() {
            return format!(
                "SELECT {node}, {columns}, NULL::DOUBLE AS {name}, {NOT_READ} FROM {joined}"
            );
        }
        let readings = self.read_all(objects);
        format!(
            "SELECT {node}, {columns}, v.value AS {name}, v.status, v.rule FROM {joined} \
             LEFT JOIN {readings} v \
             ON v.mrx_file = n.mrx_readings AND v.file_row_number = t.file_row_number"
        )
    }

    /// The columns of the schema, NULL where an older table lacks one.
    fn columns(&self, source: &Source) -> String {
        let columns = self.columns.iter().zip(&source.has).map(|(column, has)| match has {
            true => format!("t.\"{}\"", column.name),
            false => format!("NULL::{} AS \"{}\"", column.kind, column.name),
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    fn path(&self, object: Digest) -> String {
        quote(&self.store.object_path(object).to_string_lossy())
    }

    fn read(&self, object: Digest) -> String {
        format!("read_parquet({}, {NO_PARTITIONS})", self.path(object))
    }

    /// Reads objects, each once, with the name of its file and the number of the row in it.
    fn read_all(&self, mut objects: Vec<Digest>) -> String {
        objects.sort_unstable();
        objects.dedup();
        let paths: Vec<String> = objects.into_iter().map(|object| self.path(object)).collect();
        let options = "filename = 'mrx_file', file_row_number = true";
        format!("read_parquet([{}], {options}, {NO_PARTITIONS})", paths.join(", "))
    }
}

fn null_text() -> String {
    "NULL::VARCHAR".to_owned()
}

/// What [`NODE`] is, of a part.
fn node_of(part: &Part) -> [String; 5] {
    let Part { experiment, model, node, part, run, .. } = part;
    let part = part.as_deref().map_or_else(null_text, quote);
    [quote(experiment), quote(model), quote(node), part, format!("'{run}'")]
}

/// A table that no run has made has its columns all the same.
pub(super) fn empty(table: &str) -> String {
    let read = match reads(table) {
        Some(name) => format!(", NULL::DOUBLE AS {name}, {NOT_READ}"),
        None => String::new(),
    };
    format!(
        "SELECT ''::VARCHAR AS experiment, ''::VARCHAR AS model, ''::VARCHAR AS node, \
         ''::VARCHAR AS part, ''::VARCHAR AS run, *{read} FROM declared.{table} WHERE false"
    )
}

/// The name under which a table's readings join it, for tables that are read.
pub(super) fn reads(table: &str) -> Option<&'static str> {
    match table {
        "judgements" => Some("score"),
        "meta_judgements" => Some("winner"),
        _ => None,
    }
}

/// Selects columns of a table `t` with what was read out of each of its rows. Row i of the readings is the
/// reading of row i: many times faster than joining ids.
pub(super) fn with_readings(table: &str, columns: &str, rows: &str, readings: &str) -> String {
    let name = reads(table).unwrap_or("value");
    format!(
        "SELECT {columns}, v.{name}, v.status, v.rule FROM {rows} t POSITIONAL JOIN \
         (SELECT value AS {name}, status, rule FROM {readings}) v"
    )
}
