//! What models are asked in evaluation, who decides, and what is estimated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::draw_tables::{Decide, VerdictTable};
use super::model_tables::Given;
use super::per_iteration::{
    Count, Level, Part, Positive, Rate, Resamples, Switch, Temperature, TopP,
};
use super::spanned::Spanned;
use crate::stages::{Measure, Order};

/// `[evaluate]`: what every model is asked, whom it plays, and who decides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[evaluate]`")]
pub(super) struct Evaluate {
    /// The engine that runs the models that answer, a name of `[engines.NAME]`; `[engine]` where not given.
    pub(super) engine: Option<Spanned<String>>,
    /// The query of the prompts, with the columns of `[prompts]`.
    pub(super) prompts: Spanned<PathBuf>,
    /// The files that the query may read, relative to the experiment's folder; their digests are part of the key.
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    /// The share of these prompts that epochs are chosen by, and that no test uses.
    pub(super) validation: Option<Part>,
    /// Whom every model plays: a model of the experiment, or a query of ready-made answers (columns `prompt`,
    /// `response`).
    #[schemars(extend("default" = "m0"))]
    pub(super) baseline: Option<Spanned<String>>,
    /// A query over `answers` (`answer_id`, `prompt`, `reference`, `category`, `response`) that gives `answer_id` and
    /// `score`: it decides games by the better score, and says how far judges are right.
    pub(super) oracle: Option<Spanned<PathBuf>>,
    /// The model that decides, in the oracle's place.
    pub(super) judge: Option<EvaluationJudge>,
    /// Answers to a prompt.
    #[schemars(extend("default" = 1))]
    pub(super) samples: Option<Count>,
    /// How far draws differ: 0 takes the likeliest token each time.
    #[schemars(extend("default" = 0.0))]
    pub(super) temperature: Option<Temperature>,
    /// The share of probability that is drawn from, the likeliest tokens first.
    #[schemars(extend("default" = 1.0))]
    pub(super) top_p: Option<TopP>,
    /// Tokens of a text at most; what is longer is cut.
    #[schemars(extend("default" = 2048))]
    pub(super) max_tokens: Option<Count>,
    /// What every iteration's judge is shown.
    #[serde(default)]
    pub(super) panel: Panel,
}

/// `[evaluate.judge]`: the model that decides games.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[evaluate.judge]`")]
pub(super) struct EvaluationJudge {
    /// The engine that runs it, a name of `[engines.NAME]`.
    pub(super) engine: Option<Spanned<String>>,
    /// How the winner is read, in place of `marker`.
    pub(super) verdict: Option<Spanned<VerdictTable>>,
    /// Whether a verdict is written and read, or the probabilities of the few verdicts that there are are weighed.
    #[schemars(extend("default" = "text"))]
    pub(super) decide: Option<Spanned<Decide>>,
    /// A folder, `m0`, or one that is served elsewhere: `{ served, revision }`.
    pub(super) model: Spanned<JudgeModel>,
    /// Its prompt, Jinja over `prompt`, `response_a` and `response_b`.
    pub(super) template: Option<Spanned<PathBuf>>,
    /// What it writes before its verdict.
    #[schemars(extend("default" = "winner"))]
    pub(super) marker: Option<Comparison>,
    /// In which order both answers are shown.
    #[schemars(extend("default" = "both"))]
    pub(super) order: Option<Order>,
    /// Arguments for its chat template, as `[model.template]`.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub(super) chat_template: Option<Given>,
    /// How far draws differ: 0 takes the likeliest token each time.
    #[schemars(extend("default" = 0.0))]
    pub(super) temperature: Option<Temperature>,
    /// The share of probability that is drawn from, the likeliest tokens first.
    #[schemars(extend("default" = 1.0))]
    pub(super) top_p: Option<TopP>,
    /// Tokens of a text at most; what is longer is cut.
    #[schemars(extend("default" = 2048))]
    pub(super) max_tokens: Option<Count>,
}

/// Which model decides: a folder, `m0`, or one that is served elsewhere.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a folder, `m0`, or a table of `served` and `revision`")]
pub(super) enum JudgeModel {
    /// A folder, or `m0`.
    Folder(PathBuf),
    /// A model that is served elsewhere.
    Served {
        /// What it is served as.
        served: String,
        /// Which of its versions it is, in your words: part of the key.
        revision: String,
    },
}

impl JudgeModel {
    /// Whether it is the model that the loop begins with.
    pub(super) fn is(&self, model: &str) -> bool {
        matches!(self, Self::Folder(named) if named.as_path() == Path::new(model))
    }
}

/// What it writes before its verdict.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Comparison {
    /// `Winner: Response A`.
    #[default]
    Winner,
    /// `[[A]]`.
    Choice,
}

/// `[evaluate.panel]`: what every iteration's judge is shown: M0's answers, and probes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[evaluate.panel]`")]
pub(super) struct Panel {
    /// Judgements of each.
    #[schemars(extend("default" = 1))]
    pub(super) samples: Option<Count>,
    /// Texts that no judge should score higher than an answer, by their names: Jinja over `prompt` and `response`.
    /// Four where not given.
    #[serde(default)]
    pub(super) probes: BTreeMap<String, Spanned<String>>,
}

/// `[estimate.NAME]`: a number with an interval, over the rows of a query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[estimate.NAME]`")]
pub(super) struct Estimate {
    /// What is computed.
    pub(super) measure: Spanned<Measure>,
    /// The query; the measure says which columns.
    pub(super) sql: Spanned<PathBuf>,
    /// The files that the query may read, relative to the experiment's folder; their digests are part of the key.
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    /// How often the bootstrap draws prompts anew.
    #[schemars(extend("default" = 1000))]
    pub(super) resamples: Option<Resamples>,
    /// How often intervals should cover the truth.
    #[schemars(extend("default" = 0.95))]
    pub(super) level: Option<Level>,
    /// `difference`: the first model. `bradley_terry`: the player whom the others are to beat.
    pub(super) baseline: Option<Spanned<String>>,
    /// `bradley_terry`: the prior that holds strengths together.
    #[schemars(extend("default" = 0.0))]
    pub(super) prior: Option<Spanned<Rate>>,
    /// `bradley_terry`: whether being shown first counts.
    #[schemars(extend("default" = false))]
    pub(super) order_effect: Option<Spanned<Switch>>,
    /// `length_controlled_win_rate`: C of its L1 penalty; none where not given.
    pub(super) inverse_penalty: Option<Spanned<Positive>>,
    /// `agreement`: the category that `/without_ties` leaves out.
    pub(super) tie: Option<Spanned<String>>,
}
