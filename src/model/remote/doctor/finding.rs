//! What a check comes to.

use serde::Serialize;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as a run takes it to be.
    Pass,
    /// It is not, and that costs something.
    Fail,
    /// It could not be told, or is not made use of.
    Unknown,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The server's address.
    pub at: String,
    /// What was looked at.
    pub check: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What that costs a run; empty where it costs nothing.
    pub costs: String,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, found: String, costs: &str) -> Self {
        Self { at: String::new(), check, verdict, found, costs: costs.to_owned() }
    }

    pub(super) fn pass(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Pass, found.into(), "")
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, costs: &str) -> Self {
        Self::new(check, Verdict::Fail, found.into(), costs)
    }

    pub(super) fn unknown(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Unknown, found.into(), "")
    }
}
