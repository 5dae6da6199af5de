//! The views about the store itself: `runs`, `nodes`, `lineage` and `experiments`, over manifests and recorded plans.

use std::path::{Path, PathBuf};

use super::engine::quote;
use super::places::NO_PARTITIONS;
use crate::store::Store;

/// The names of the views, each of which stands on those before it.
pub(super) const VIEWS: [&str; 4] = ["runs", "nodes", "lineage", "experiments"];

/// The JSON files that the views read.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Manifests: in SQL, a list of paths or a pattern; `None` where there are none.
    pub(super) manifests: Option<String>,
    /// Recorded plans, likewise.
    pub(super) plans: Option<String>,
}

impl Files {
    /// Every manifest and plan of a store, those that are still to come among them.
    pub(super) fn all(store: &Store, has_runs: bool, has_plans: bool) -> Self {
        let all = |folder: &Path| quote(&folder.join("*.json").to_string_lossy());
        Self {
            manifests: has_runs.then(|| all(&store.runs_folder())),
            plans: has_plans.then(|| all(&store.plans_folder())),
        }
    }

    /// These and no others.
    pub(super) fn of(manifests: &[PathBuf], plans: &[PathBuf]) -> Self {
        let listed = |paths: &[PathBuf]| {
            let quoted = paths.iter().map(|path| quote(&path.to_string_lossy()));
            (!paths.is_empty()).then(|| format!("[{}]", quoted.collect::<Vec<_>>().join(", ")))
        };
        Self { manifests: listed(manifests), plans: listed(plans) }
    }

    /// Says how to make the views; over nothing, they have their columns all the same.
    pub(super) fn script(&self) -> String {
        let (runs, nodes) = (runs(self.manifests.as_deref()), nodes(self.plans.as_deref()));
        let experiments = experiments(self.plans.as_deref());
        format!("{runs}{nodes}{LINEAGE}{experiments}")
    }
}

const TABLES: &str = "MAP(VARCHAR, STRUCT(object VARCHAR, rows UBIGINT, bytes UBIGINT))";
const COST: &str = "STRUCT(started TIMESTAMP, seconds DOUBLE, attempts INTEGER)";
const NODES: &str = "STRUCT(node VARCHAR, model VARCHAR, run VARCHAR)[]";

fn runs(manifests: Option<&str>) -> String {
    let source = match manifests {
        Some(files) => format!(
            "read_json({files}, columns = {{run: 'VARCHAR', experiment: 'VARCHAR', node: 'VARCHAR', \
             key: 'JSON', tables: '{TABLES}', cost: '{COST}'}}, format = 'unstructured', \
             maximum_object_size = 268435456, {NO_PARTITIONS})"
        ),
        None => format!(
            "(SELECT NULL::VARCHAR AS run, NULL::VARCHAR AS experiment, NULL::VARCHAR AS node, \
             NULL::JSON AS key, NULL::{TABLES} AS tables, NULL::{COST} AS cost) WHERE false"
        ),
    };
    format!(
        "CREATE OR REPLACE VIEW runs AS SELECT run, experiment AS first_experiment, node AS first_node,\n\
         \tkey->>'stage' AS stage, (key->>'version')::INTEGER AS version,\n\
         \tcost.started AS started, cost.seconds AS seconds, cost.attempts AS attempts,\n\
         \tlist_sum([t.rows FOR t IN map_values(tables)])::UBIGINT AS rows,\n\
         \tlist_sum([t.bytes FOR t IN map_values(tables)])::UBIGINT AS bytes, tables, key\n\
         FROM {source};\n"
    )
}

fn nodes(plans: Option<&str>) -> String {
    let source = match plans {
        Some(files) => format!(
            "(SELECT experiment, unnest(nodes) AS n, generate_subscripts(nodes, 1) - 1 AS position \
             FROM read_json({files}, columns = {{experiment: 'VARCHAR', nodes: '{NODES}'}}, \
             {NO_PARTITIONS}))"
        ),
        None => "(SELECT NULL::VARCHAR AS experiment, NULL::STRUCT(node VARCHAR, model VARCHAR, run VARCHAR) \
                 AS n, NULL::BIGINT AS position) WHERE false"
            .to_owned(),
    };
    format!(
        "CREATE OR REPLACE VIEW nodes AS SELECT p.experiment, p.position, p.n.node AS node, \
         split_part(p.n.node, '.', 1) AS stage, p.n.model AS model, p.n.run AS run, \
         r.run IS NOT NULL AS finished, r.rows, r.bytes, r.started, r.seconds, r.attempts\n\
         FROM (SELECT * FROM {source}) p LEFT JOIN runs r ON p.n.run = r.run;\n"
    )
}

/// Experiments, and what tells those of one file apart.
fn experiments(plans: Option<&str>) -> String {
    const VARIANT: &str = "STRUCT(family VARCHAR, seed UBIGINT, settings MAP(VARCHAR, VARCHAR))";
    let source = match plans {
        Some(files) => format!(
            "read_json({files}, columns = {{experiment: 'VARCHAR', variant: '{VARIANT}', file: 'VARCHAR', \
             recorded: 'TIMESTAMP'}}, {NO_PARTITIONS})"
        ),
        None => format!(
            "(SELECT NULL::VARCHAR AS experiment, NULL::{VARIANT} AS variant, NULL::VARCHAR AS file, \
             NULL::TIMESTAMP AS recorded) WHERE false"
        ),
    };
    format!(
        "CREATE OR REPLACE VIEW experiments AS SELECT experiment,\n\
         \tcoalesce(variant.family, experiment) AS family, variant.seed AS seed,\n\
         \tvariant.settings AS settings, file, recorded\nFROM {source};\n"
    )
}

/// What each node read, and the node that made it: of several that made the same bytes, the
/// nearest before. Files from outside the store were made by none.
const LINEAGE: &str = "\
CREATE OR REPLACE VIEW lineage AS
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
