//! How moments are written down.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};

/// Writes a moment as RFC 3339 in UTC, with milliseconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}
