//! Numbers that say how to read what is stored.

use std::fmt;
use std::str::FromStr;

/// The number of the layout on disk; that of the Parquet settings stands in `store/table.rs`.
///
/// A store of an older number is read as it is, and gets this one when a run first writes to it; a newer
/// one is refused.
///
/// History: 1, the first; 2, small files vouch for themselves, tables say their version, and manifests how
/// long the files of a checkpoint are.
pub const FORMAT: u32 = 2;

/// The version of a table: its columns and what they mean.
///
/// The minor number goes up when a column is added, which an older table then lacks; the major number
/// with every other change, after which neither can be read as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Equal where two tables can be read as one.
    pub major: u32,
    /// How many columns were added since.
    pub minor: u32,
}

/// What tables of 0.1.0 are, which do not say.
pub(super) const FIRST: Version = Version { major: 1, minor: 0 };

impl Version {
    /// Makes a version of its numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Text that is no version of a table.
#[derive(Debug, thiserror::Error)]
#[error("expected a version like 1.0, found `{0}`")]
pub struct NotAVersion(String);

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once('.');
        let numbers = numbers.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (major, minor) = numbers.ok_or_else(|| NotAVersion(text.to_owned()))?;
        Ok(Self { major, minor })
    }
}
