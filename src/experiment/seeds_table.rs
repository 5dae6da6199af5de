//! `seeds` and `[claims]`, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::per_iteration::{Count, Seed};
use super::spanned::Spanned;

/// `seeds`: how many, or which.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "how many seeds, or a list of seeds")]
pub(super) enum Seeds {
    /// How many, counted from `seed`.
    Count(Count),
    /// These.
    List(Vec<Seed>),
}

/// `[claims]`: `"M4 wins more than M1" = { model = "m4", beats = "m1" }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a claim, as `{ model = \"m4\", beats = \"m1\" }`")]
pub(super) struct ClaimTable {
    /// The model that has more: `m4`, of what is swept `rho=0.2/m4`, of another experiment `NAME/m4`.
    pub(super) model: Spanned<String>,
    /// The model that it beats.
    pub(super) beats: Spanned<String>,
    /// By which estimate: at equal seeds, and by the mean over them.
    #[schemars(extend("default" = "win_rate"))]
    pub(super) by: Option<String>,
}
