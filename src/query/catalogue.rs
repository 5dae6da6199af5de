//! The catalogue: one view per table, over explicit lists of objects.
//!
//! Every row carries `experiment`, `model`, `node`, `part` and `run`. Work that two experiments share
//! appears under both; `run` tells them apart from it. `part` is NULL for the loop itself, and says what
//! else a node is of: `eval`, `panel`. The catalogue is a SQL script, so that
//! `mrx sql` and a foreign DuckDB (`mrx sql --attach`) see exactly the same views.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::schema::{TABLES, without_comments};
use crate::store::{Digest, Error, Manifest, PlannedNode, Store, StoredTable};

/// Short-hands that save typing. Each is documented where `mrx sql --help` prints it.
pub(super) const MACROS: &str = "\
CREATE MACRO preference(first, second) AS 1.0 / (1.0 + exp(second - first));
CREATE MACRO share(condition) AS avg(CASE WHEN condition THEN 1.0 ELSE 0.0 END);
CREATE MACRO excerpt(text, length := 60) AS CASE WHEN len(text) > length
    THEN left(regexp_replace(text, '\\s+', ' ', 'g'), length - 1) || '…'
    ELSE regexp_replace(text, '\\s+', ' ', 'g') END;
";

/// One table of one node, where its bytes are.
#[derive(Debug, Clone)]
struct Part {
    experiment: String,
    model: String,
    node: String,
    /// What it is of besides the loop.
    part: Option<String>,
    run: Digest,
    object: Digest,
    /// The table that this one was made from row by row, if it was.
    of: Option<Digest>,
}

/// Which objects make up each table, over every experiment of a store.
#[derive(Debug)]
pub struct Catalogue {
    store: Store,
    parts: BTreeMap<String, Vec<Part>>,
    /// Tables whose objects are gone or cut short.
    lost: Vec<(String, StoredTable)>,
    /// Any run that is finished, where there is one.
    some_run: Option<Digest>,
    has_plans: bool,
}

impl Catalogue {
    /// Lists what the recorded plans of a store lead to.
    ///
    /// # Errors
    /// Where a plan or a manifest cannot be read. An object that is gone or cut short is left out:
    /// see [`Catalogue::check`].
    pub fn open(store: &Store) -> Result<Self, Error> {
        let mut parts: BTreeMap<String, Vec<Part>> = BTreeMap::new();
        let mut lost = Vec::new();
        let plans = store.plans()?;
        for plan in &plans {
            for node in &plan.nodes {
                let Some(manifest) = node.run.map(|run| store.manifest(run)).transpose()?.flatten()
                else {
                    continue;
                };
                for (table, stored) in &manifest.tables {
                    if check_length(store, stored).is_err() {
                        lost.push((table.clone(), *stored));
                        continue;
                    }
                    parts.entry(table.clone()).or_default().push(Part {
                        experiment: plan.experiment.clone(),
                        model: node.model.clone(),
                        node: node.node.clone(),
                        part: part_of(node),
                        run: manifest.run,
                        object: stored.object,
                        of: source_of_readings(table, &manifest),
                    });
                }
            }
        }
        let some_run = match parts.values().flatten().next() {
            Some(part) => Some(part.run),
            None => store.run_keys()?.first().copied(),
        };
        Ok(Self { store: store.clone(), parts, lost, some_run, has_plans: !plans.is_empty() })
    }

    /// Checks that all of every table that a statement speaks of is there: an answer over a part of
    /// the rows would not be true. Tables that it does not speak of are no reason to be silent.
    ///
    /// # Errors
    /// Naming the first object that is gone, cut short or damaged.
    pub fn check(&self, sql: &str) -> Result<(), Error> {
        let words = words(sql);
        let speaks_of = |table: &str| words.iter().any(|word| word == table);
        for (table, stored) in &self.lost {
            let joined = table == "readings"
                && ["judgements", "meta_judgements"].map(speaks_of).contains(&true);
            if speaks_of(table) || joined {
                check_length(&self.store, stored)?;
            }
        }
        if speaks_of("runs") {
            // Manifests that plans lead to were read already; this view shows the others too.
            self.store.manifests()?;
        }
        let named = self.parts.iter().filter(|(table, _)| {
            speaks_of(table)
                || *table == "readings"
                    && ["judgements", "meta_judgements"].map(speaks_of).contains(&true)
        });
        let objects = named.flat_map(|(_, parts)| parts.iter().map(|part| part.object));
        self.store.check_objects(objects)
    }

    /// Checks every manifest, for a statement over the views that are made of all of them.
    pub(super) fn check_manifests(&self, sql: &str) -> Result<(), Error> {
        let words = words(sql);
        if ["runs", "nodes", "lineage"].iter().any(|view| words.iter().any(|word| word == view)) {
            self.store.manifests()?;
        }
        Ok(())
    }

    /// Returns the script that defines every view.
    #[must_use]
    pub fn script(&self) -> String {
        self.script_reading(&self.all_manifests())
    }

    /// Returns the same script for a session of mrx. DuckDB reads what a view reads once when the
    /// view is made: here that is one manifest, and all of them only when somebody asks.
    pub(super) fn session_script(&self) -> String {
        let all = self.all_manifests();
        let one = self.some_run.map_or_else(|| all.clone(), |run| self.manifests(&run.to_hex()));
        let script = self.script_reading("getvariable('manifests')");
        format!("SET VARIABLE manifests = {one};\n{script}SET VARIABLE manifests = {all};\n")
    }

    fn all_manifests(&self) -> String {
        self.manifests("*")
    }

    fn manifests(&self, name: &str) -> String {
        quote(&self.store.runs_folder().join(format!("{name}.json")).to_string_lossy())
    }

    fn script_reading(&self, manifests: &str) -> String {
        let mut script = String::from("CREATE SCHEMA IF NOT EXISTS declared;\nUSE declared;\n");
        for (_, ddl) in TABLES {
            script.push_str(without_comments(ddl));
        }
        script.push_str("USE main;\n");
        script.push_str(MACROS);
        for (table, _) in TABLES {
            let _ = writeln!(script, "CREATE VIEW {table} AS\n{};", self.view(table));
        }
        script.push_str(&self.runs(manifests));
        script.push_str(&self.nodes());
        script.push_str(LINEAGE);
        script
    }

    fn view(&self, table: &str) -> String {
        let parts = self.parts.get(table).map(Vec::as_slice).unwrap_or_default();
        if parts.is_empty() {
            return empty_view(table);
        }
        let branches: Vec<String> = parts.iter().map(|part| self.branch(table, part)).collect();
        branches.join("\nUNION ALL ")
    }

    fn branch(&self, table: &str, part: &Part) -> String {
        let Part { experiment, model, node, part, run, object, .. } = part;
        let part = part.as_deref().map_or_else(|| "NULL::VARCHAR".to_owned(), quote);
        let place = format!(
            "'{experiment}' AS experiment, '{model}' AS model, '{node}' AS node, {part} AS part, \
             '{run}' AS run"
        );
        let rows = self.read(*object);
        let Some(name) = reads(table) else {
            return format!("SELECT {place}, * FROM {rows}");
        };
        let readings = self.parts.get("readings").into_iter().flatten();
        let mut readings = readings
            .filter(|reading| reading.experiment == *experiment && reading.of == Some(*object));
        match readings.next() {
            None => format!("SELECT {place}, *, NULL::DOUBLE AS {name}, {NOT_READ} FROM {rows}"),
            Some(reading) => {
                let columns = format!("{place}, r.*");
                with_readings(table, &columns, &rows, &self.read(reading.object))
            }
        }
    }

    fn read(&self, object: Digest) -> String {
        format!("read_parquet({})", quote(&self.store.object_path(object).to_string_lossy()))
    }

    fn runs(&self, manifests: &str) -> String {
        let columns = "{run: 'VARCHAR', experiment: 'VARCHAR', node: 'VARCHAR', key: 'JSON', \
            tables: 'MAP(VARCHAR, STRUCT(object VARCHAR, rows UBIGINT, bytes UBIGINT))', \
            cost: 'STRUCT(started TIMESTAMP, seconds DOUBLE, attempts INTEGER)'}";
        let source = if self.some_run.is_some() {
            let options = "format = 'unstructured', maximum_object_size = 268435456";
            format!("read_json({manifests}, columns = {columns}, {options})")
        } else {
            "(SELECT NULL::VARCHAR AS run, NULL::VARCHAR AS experiment, NULL::VARCHAR AS node, \
             NULL::JSON AS key, NULL::MAP(VARCHAR, STRUCT(object VARCHAR, rows UBIGINT, bytes UBIGINT)) AS tables, \
             NULL::STRUCT(started TIMESTAMP, seconds DOUBLE, attempts INTEGER) AS cost) WHERE false"
                .to_owned()
        };
        format!(
            "CREATE VIEW runs AS SELECT run, experiment AS first_experiment, node AS first_node,\n\
             \tkey->>'stage' AS stage, (key->>'version')::INTEGER AS version,\n\
             \tcost.started AS started, cost.seconds AS seconds, cost.attempts AS attempts,\n\
             \tlist_sum([t.rows FOR t IN map_values(tables)])::UBIGINT AS rows,\n\
             \tlist_sum([t.bytes FOR t IN map_values(tables)])::UBIGINT AS bytes, tables, key\n\
             FROM {source};\n"
        )
    }

    fn nodes(&self) -> String {
        let source = if self.has_plans {
            let files = quote(&self.store.plans_folder().join("*.json").to_string_lossy());
            format!(
                "(SELECT experiment, unnest(nodes) AS n, generate_subscripts(nodes, 1) - 1 AS position \
                 FROM read_json({files}, columns = {{experiment: 'VARCHAR', nodes: 'STRUCT(node VARCHAR, model VARCHAR, run VARCHAR)[]'}}))"
            )
        } else {
            "(SELECT NULL::VARCHAR AS experiment, NULL::STRUCT(node VARCHAR, model VARCHAR, run VARCHAR) AS n, \
             NULL::BIGINT AS position) WHERE false"
                .to_owned()
        };
        format!(
            "CREATE VIEW nodes AS SELECT p.experiment, p.position, p.n.node AS node, \
             split_part(p.n.node, '.', 1) AS stage, p.n.model AS model, p.n.run AS run, \
             r.run IS NOT NULL AS finished, r.rows, r.bytes, r.started, r.seconds, r.attempts\n\
             FROM (SELECT * FROM {source}) p LEFT JOIN runs r ON p.n.run = r.run;\n"
        )
    }
}

/// The last word of a node's name: `panel` of `judge.m1.panel`, and of `prompts.eval`, which is of no
/// model, `eval`.
fn part_of(node: &PlannedNode) -> Option<String> {
    let part = node.node.split('.').nth(2);
    part.or_else(|| node.iteration().is_none().then_some(&*node.model)).map(ToOwned::to_owned)
}

const NOT_READ: &str = "NULL::VARCHAR AS status, NULL::VARCHAR AS rule";

/// What each node read, and the node that made it: of several that made the same bytes, the
/// nearest before. Files from outside the store were made by none.
const LINEAGE: &str = "\
CREATE VIEW lineage AS
WITH read AS (
    SELECT n.experiment, n.position, n.node, n.run, i.key AS input, i.value->>'$' AS object
    FROM nodes n JOIN runs r ON r.run = n.run, json_each(r.key->'inputs') i
), made AS (
    SELECT experiment, position, node, run, t.key AS table_name, t.value.object AS object
    FROM (SELECT n.*, unnest(map_entries(r.tables)) AS t FROM nodes n JOIN runs r ON r.run = n.run)
)
SELECT read.experiment, read.node, read.run, read.input, read.object,
    arg_max(made.node, made.position) AS from_node, arg_max(made.run, made.position) AS from_run,
    arg_max(made.table_name, made.position) AS from_table
FROM read LEFT JOIN made ON made.experiment = read.experiment AND made.object = read.object
    AND made.position < read.position
GROUP BY ALL;
";

/// A table that no run has made yet has its columns all the same.
fn empty_view(table: &str) -> String {
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
fn reads(table: &str) -> Option<&'static str> {
    match table {
        "judgements" => Some("score"),
        "meta_judgements" => Some("winner"),
        _ => None,
    }
}

/// Selects a table with what was read out of each of its rows. Row i of the readings is the reading of
/// row i: many times faster than joining ids.
pub(super) fn with_readings(table: &str, columns: &str, rows: &str, readings: &str) -> String {
    let name = reads(table).unwrap_or("value");
    format!(
        "SELECT {columns}, v.{name}, v.status, v.rule FROM {rows} r POSITIONAL JOIN \
         (SELECT value AS {name}, status, rule FROM {readings}) v"
    )
}

/// The object that a readings table was read from, as its run's key says.
fn source_of_readings(table: &str, manifest: &Manifest) -> Option<Digest> {
    let key = Some(&manifest.key).filter(|_| table == "readings")?;
    key.table("judgements").or_else(|| key.table("meta_judgements"))
}

/// DuckDB would say only that some file is too small; this says which object of the store it is.
fn check_length(store: &Store, stored: &StoredTable) -> Result<(), Error> {
    let StoredTable { object: digest, bytes, .. } = *stored;
    let Ok(found) = store.object_path(digest).metadata() else {
        return Err(Error::ObjectMissing { digest });
    };
    if found.len() == bytes {
        return Ok(());
    }
    let reason = format!("it has {} bytes, and its manifest says {bytes}", found.len());
    Err(Error::ObjectDamaged { digest, reason })
}

/// The words of a statement, in lower case.
fn words(sql: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    sql.split(|c| !is_name(c)).map(str::to_lowercase).collect()
}

/// Quotes text as a SQL string.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
