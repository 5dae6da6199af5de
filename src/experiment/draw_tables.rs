//! How texts are drawn and judged, and how verdicts are read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::per_iteration::{Count, Each, Finite, Switch, Temperature, TopP};
use super::spanned::Spanned;
use crate::stages::{BuiltIn, Which};

/// `[respond]`: how the actor draws answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[respond]`")]
pub(super) struct Draws {
    /// The engine that runs the model here, a name of `[engines.NAME]`; `[engine]` where not given.
    pub(super) engine: Option<Spanned<String>>,
    /// Answers to a prompt: the paper's K.
    #[schemars(extend("default" = 7, "x-paper" = "3.1"))]
    pub(super) samples: Each<Count>,
    /// How far draws differ: 0 takes the likeliest token each time.
    #[schemars(extend("default" = 0.8, "x-paper" = "3.1"))]
    pub(super) temperature: Each<Temperature>,
    /// The share of probability that is drawn from, the likeliest tokens first.
    #[schemars(extend("default" = 0.95, "x-paper" = "3.1"))]
    pub(super) top_p: Each<TopP>,
    /// Tokens of a text at most; what is longer is cut.
    #[schemars(extend("default" = 2048))]
    pub(super) max_tokens: Each<Count>,
}

/// `[judge]`: how the judge draws judgements of each answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[judge]`")]
pub(super) struct Judge {
    /// The engine that runs the model here, a name of `[engines.NAME]`; `[engine]` where not given.
    pub(super) engine: Option<Spanned<String>>,
    /// How its score is read, in place of `marker`.
    pub(super) verdict: Option<Spanned<VerdictTable>>,
    /// Whether a verdict is written and read, or the probabilities of the few verdicts that there are are weighed.
    #[schemars(extend("default" = "text"))]
    pub(super) decide: Option<Spanned<Decide>>,
    /// The judge's prompt, Jinja over `prompt` and `response`; the additive five-point rubric where not given.
    #[schemars(extend("x-paper" = "2.1"))]
    pub(super) template: Option<Spanned<PathBuf>>,
    /// What stands before the score.
    #[schemars(extend("default" = "score"))]
    pub(super) marker: Option<Marker>,
    /// Whether a score may have decimals.
    #[schemars(extend("default" = true))]
    pub(super) decimals: Option<Spanned<Switch>>,
    /// Judgements of an answer: the paper's N.
    #[schemars(extend("default" = 11, "x-paper" = "3.1"))]
    pub(super) samples: Each<Count>,
    /// How far draws differ: 0 takes the likeliest token each time.
    #[schemars(extend("default" = 0.8, "x-paper" = "3.1"))]
    pub(super) temperature: Each<Temperature>,
    /// The share of probability that is drawn from, the likeliest tokens first.
    #[schemars(extend("default" = 0.95, "x-paper" = "3.1"))]
    pub(super) top_p: Each<TopP>,
    /// Tokens of a text at most; what is longer is cut.
    #[schemars(extend("default" = 2048))]
    pub(super) max_tokens: Each<Count>,
}

/// `[judge.verdict]`, `[meta_judge.verdict]` and `[evaluate.judge.verdict]`: how a verdict is read. A comparison is
/// from 1, the first shown wins, to -1.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table of a rule or a pattern")]
pub(super) struct VerdictTable {
    /// A built-in way to read it.
    pub(super) rule: Option<BuiltIn>,
    /// A regular expression with one named group, in place of a rule.
    pub(super) pattern: Option<String>,
    /// The field that the rule `json` reads.
    #[schemars(extend("default" = "score"))]
    pub(super) field: Option<String>,
    /// The lowest value on the scale.
    pub(super) min: Option<Finite>,
    /// The highest value on the scale.
    pub(super) max: Option<Finite>,
    /// What words are worth, as `{ good = 5, bad = 1 }`; case matters only between two that differ in it alone.
    #[serde(default)]
    pub(super) values: BTreeMap<String, Finite>,
    /// Which verdict counts where a text has several.
    #[serde(default)]
    pub(super) which: Which,
    /// What a text without a verdict counts as; it is missing where not given.
    pub(super) without: Option<Finite>,
    /// What stands before a verdict that is weighed.
    pub(super) prefix: Option<String>,
}

/// How a verdict comes about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Decide {
    /// A text is written, and read.
    #[default]
    Text,
    /// The probabilities of the few verdicts that there are are read.
    Score,
}

/// What a judge writes before its score.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Marker {
    /// `Score: n`, 0 to 5.
    #[default]
    Score,
    /// `[[n]]`, 1 to 10.
    Rating,
}

/// `[meta_judge]`: how the meta-judge compares judgements of one answer. Without the table: Self-Rewarding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[meta_judge]`")]
pub(super) struct MetaJudge {
    /// The engine that runs the model here, a name of `[engines.NAME]`; `[engine]` where not given.
    pub(super) engine: Option<Spanned<String>>,
    /// How the winner is read, in place of `marker`.
    pub(super) verdict: Option<Spanned<VerdictTable>>,
    /// Whether a verdict is written and read, or the probabilities of the few verdicts that there are are weighed.
    #[schemars(extend("default" = "text"))]
    pub(super) decide: Option<Spanned<Decide>>,
    /// Whether judgements are compared.
    #[schemars(extend("default" = true, "x-paper" = "2.2"))]
    pub(super) enabled: Each<Switch>,
    /// Whether judgements are shown without their scores.
    #[schemars(extend("default" = false, "x-paper" = "2.2"))]
    pub(super) strip_scores: Each<Switch>,
    /// The meta-judge's prompt, Jinja over `prompt`, `response`, `judgement_a` and `judgement_b`; a rubric like the
    /// judge's where not given.
    #[schemars(extend("x-paper" = "2.2"))]
    pub(super) template: Option<Spanned<PathBuf>>,
    /// How far draws differ: 0 takes the likeliest token each time.
    #[schemars(extend("default" = 0.8, "x-paper" = "3.1"))]
    pub(super) temperature: Each<Temperature>,
    /// The share of probability that is drawn from, the likeliest tokens first.
    #[schemars(extend("default" = 0.95, "x-paper" = "3.1"))]
    pub(super) top_p: Each<TopP>,
    /// Tokens of a text at most; what is longer is cut.
    #[schemars(extend("default" = 2048))]
    pub(super) max_tokens: Each<Count>,
}
