//! Values that leave as they are, or not at all.

use duckdb::Connection;

use super::syntax::statement;

/// Wraps a query whose columns have types that Arrow's forms would bend: they are cast by DuckDB,
/// exactly, or it says that it cannot. `None` where there is nothing to bend.
pub(super) fn exactly(connection: &Connection, sql: &str) -> Option<String> {
    let query = statement(connection, sql).ok()?;
    // What cannot be described (EXPLAIN, SHOW) has plain columns.
    let mut statement = connection.prepare(&format!("DESCRIBE\n{query}")).ok()?;
    let described = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let columns = described.ok()?;
    if !columns.iter().any(|(_, kind)| exact_type(kind).is_some()) {
        return None;
    }
    let places: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    let casts = columns.iter().zip(&places).map(|((name, kind), place)| {
        let name = name.replace('"', "\"\"");
        match exact_type(kind) {
            Some(exact) => format!("CAST({place} AS {exact}) AS \"{name}\""),
            None => format!("{place} AS \"{name}\""),
        }
    });
    let casts = casts.collect::<Vec<_>>().join(", ");
    Some(format!("SELECT {casts} FROM (\n{query}\n) exact({})", places.join(", ")))
}

/// The type in which a value of this type leaves without a loss, where its own would lose some.
fn exact_type(kind: &str) -> Option<&'static str> {
    const BENT: [&str; 6] = ["UHUGEINT", "BIGNUM", "BIT", "INTERVAL", "WITH TIME ZONE", "UNION("];
    let odd_map = kind.match_indices("MAP(").any(|(at, _)| !kind[at..].starts_with("MAP(VARCHAR"));
    let inner_huge = kind != "HUGEINT" && kind.contains("HUGEINT");
    if BENT.iter().any(|bent| kind.contains(bent)) || odd_map || inner_huge {
        return Some("VARCHAR");
    }
    (kind == "HUGEINT").then_some("DECIMAL(38, 0)")
}
