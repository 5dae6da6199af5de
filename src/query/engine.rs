//! DuckDB as every query here meets it: in memory, nothing loaded from anywhere, clocks in UTC, memory
//! limited, and in the end locked.

use duckdb::{Config, Connection};

/// How much memory a database may take, in DuckDB's spelling, as `8GB`; half of the machine's where nobody
/// says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryLimit(Option<String>);

impl MemoryLimit {
    /// Reads a limit, as `8GB` or `500 MiB`.
    ///
    /// # Errors
    /// Says what was expected, where it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        match bytes(text) {
            Some(bytes) if bytes > 0.0 => Ok(Self(Some(text.trim().to_owned()))),
            _ => Err("expected a number and a unit, as 8GB, 500MB or 8GiB".to_owned()),
        }
    }

    /// The limit in bytes, where somebody said one.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size is positive"
    )]
    pub fn bytes(&self) -> Option<u64> {
        self.0.as_deref().and_then(bytes).map(|bytes| bytes as u64)
    }
}

/// Bytes of a size in DuckDB's spelling.
#[must_use]
fn bytes(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 8] = [
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("KIB", 1024.0),
        ("MIB", 1_048_576.0),
        ("GIB", 1_073_741_824.0),
        ("TIB", 1_099_511_627_776.0),
    ];
    let text = text.trim().to_uppercase();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic())?);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(|number| number * size)
}

/// Opens an empty database into which nothing can be loaded, whose answers do not depend on the machine's
/// time zone, and returns it with the bytes it may take.
pub(super) fn open(limit: &MemoryLimit) -> duckdb::Result<(Connection, u64)> {
    let config = Config::default()
        .with("autoload_known_extensions", "false")?
        .with("autoinstall_known_extensions", "false")?;
    let connection = Connection::open_in_memory_with_flags(config)?;
    set_utc(&connection)?;
    // DuckDB's own default is four fifths of what the machine, or its container, has.
    let found: String =
        connection.query_row("SELECT current_setting('memory_limit')", [], |row| row.get(0))?;
    let half = bytes(&found).map(|bytes| bytes * 0.625);
    let wanted = limit.0.as_deref().map_or(half, bytes);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of memory")]
    let wanted = wanted.map_or(u64::MAX, |bytes| bytes as u64);
    if wanted < u64::MAX {
        connection.execute_batch(&format!("SET memory_limit = '{}KiB';", (wanted >> 10).max(1)))?;
    }
    Ok((connection, wanted))
}

/// Sets the time zone to UTC; a DuckDB without its library of time zones knows no other.
fn set_utc(connection: &Connection) -> duckdb::Result<()> {
    let known = "SELECT count(*) FROM duckdb_settings() WHERE name = 'TimeZone'";
    let known: i64 = connection.query_row(known, [], |row| row.get(0))?;
    if known == 0 { Ok(()) } else { connection.execute_batch("SET TimeZone = 'UTC';") }
}

/// The statements after which only `paths` can be read, nothing written, and no setting changed.
pub(super) fn lock_down(setting: &str, paths: &[String]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| quote(path)).collect();
    format!(
        "SET temp_directory = ''; SET {setting} = [{}]; SET enable_external_access = false; \
         SET lock_configuration = true;",
        paths.join(", ")
    )
}

/// Quotes text as a SQL string.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// DuckDB's own words, which carry the line and a caret, without the wrapper's prefix and without advice on
/// settings that cannot be changed here.
pub(super) fn tidy(error: &duckdb::Error) -> String {
    match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => {
            let said =
                message.split_once("\n\nPossible solutions:").map_or(&**message, |(said, _)| said);
            said.trim_end().to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_with_a_unit() {
        assert_eq!(bytes("1.5 KiB"), Some(1536.0));
        assert_eq!(bytes("8gb"), Some(8e9));
        for wrong in ["", "8", "GB", "-1GB", "50%", "8 GB or so", "1e999GB"] {
            assert!(MemoryLimit::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_database_takes_half_of_the_machine_or_what_it_is_told() {
        let setting = |limit: &MemoryLimit, name: &str| -> String {
            let (connection, _) = open(limit).unwrap();
            connection
                .query_row(&format!("SELECT current_setting('{name}')"), [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(setting(&MemoryLimit::parse("100 MiB").unwrap(), "memory_limit"), "100.0 MiB");
        let own = Connection::open_in_memory().unwrap();
        let own: String =
            own.query_row("SELECT current_setting('memory_limit')", [], |row| row.get(0)).unwrap();
        let half = setting(&MemoryLimit::default(), "memory_limit");
        let ratio = bytes(&half).unwrap() / bytes(&own).unwrap();
        assert!((ratio - 0.625).abs() < 0.01, "{half} of {own}");
    }
}
