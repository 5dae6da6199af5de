//! Which answers and which judgements make a pair.

use schemars::JsonSchema;
use serde::Deserialize;

use super::per_iteration::{Cap, Each, Limit, Positive, Share, Switch};
use crate::stages::{Cut, EqualScores, OmegaScope, Swap, Ties};

/// `[pairs.actor]` and `[pairs.judge]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[pairs]`")]
pub(super) struct Pairs {
    /// Pairs of answers.
    #[serde(default)]
    pub(super) actor: ActorPairs,
    /// Pairs of judgements.
    #[serde(default)]
    pub(super) judge: JudgePairs,
}

/// `[pairs.actor]`: pairs of answers, and length control.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[pairs.actor]`")]
pub(super) struct ActorPairs {
    /// How wide the tiers of the best and the worst scores are: the shortest of the best is chosen, the longest of
    /// the worst rejected. The paper's: [0, 0.32, 0.32, 0.4].
    #[schemars(extend("default" = 0.0, "x-paper" = "2.1"))]
    pub(super) rho: Each<Share>,
    /// A pair whose chosen answer has more characters is dropped. The paper's: 2500 in the first iteration.
    #[schemars(extend("default" = false, "x-paper" = "3.1"))]
    pub(super) max_chosen_chars: Each<Limit>,
    /// Which of equal scores is taken where rho is 0.
    #[serde(default)]
    #[schemars(extend("x-paper" = "2.1"))]
    pub(super) ties: Ties,
    /// What becomes of a prompt whose answers all score the same.
    #[serde(default)]
    #[schemars(extend("x-paper" = "2.1"))]
    pub(super) equal_scores: EqualScores,
    /// What becomes of answers that the token limit cut.
    #[serde(default)]
    pub(super) cut: Cut,
}

/// `[pairs.judge]`: pairs of judgements.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, `[pairs.judge]`")]
pub(super) struct JudgePairs {
    /// Whether the judge is trained. The paper's: [true, true, false, false].
    #[schemars(extend("default" = true, "x-paper" = "3.1"))]
    pub(super) enabled: Each<Switch>,
    /// What holds strengths together where a judgement never loses: the weight of a ridge, in wins.
    #[schemars(extend("default" = 0.01, "x-paper" = "2.2"))]
    pub(super) prior: Each<Positive>,
    /// Over what the weights of both positions are counted.
    #[serde(default)]
    #[schemars(extend("x-paper" = "2.2"))]
    pub(super) omega: OmegaScope,
    /// What it means that both orders of a pair name different winners.
    #[serde(default)]
    #[schemars(extend("x-paper" = "2.2"))]
    pub(super) swap: Swap,
    /// A pair whose chosen judgement has more characters is dropped. The paper's: 1100 and 1000.
    #[schemars(extend("default" = false, "x-paper" = "3.1"))]
    pub(super) max_chosen_chars: Each<Limit>,
    /// The most that judge pairs may be of all kept pairs.
    #[schemars(extend("default" = false))]
    pub(super) max_share: Each<Cap>,
    /// The most that judge pairs whose chosen judgements give one score may be of all judge pairs.
    #[schemars(extend("default" = false))]
    pub(super) max_share_per_score: Each<Cap>,
}
