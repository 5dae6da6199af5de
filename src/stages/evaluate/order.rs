//! In which order a judge is shown the two answers of a game.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::game::Game;
use crate::records::{RowId, Shown, VerdictId, seed_of};

/// How often each game is played, and whose answer is shown first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Twice, once in each order.
    #[default]
    Both,
    /// Once, in an order that a seed decides, as AlpacaEval 2 does.
    Seeded,
}

impl Order {
    /// Both orders: whose answer is shown first.
    pub(super) const BOTH: [Shown; 2] = [Shown::Model, Shown::Baseline];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How often each game is played.
    #[must_use]
    pub const fn times(self) -> u64 {
        match self {
            Self::Both => Self::BOTH.len() as u64,
            Self::Seeded => 1,
        }
    }

    /// Whose answer is shown first, each time that a game is played.
    pub(super) fn of(self, game: &Game, seed: u64) -> Vec<Shown> {
        match self {
            Self::Both => Self::BOTH.to_vec(),
            Self::Seeded => vec![seeded(game, seed)],
        }
    }
}

/// Tosses a coin for the baseline's answer: all models that play against it are shown on the same side, so
/// that a bias for one side is no difference between them. Nothing else has a say in it.
fn seeded(game: &Game, seed: u64) -> Shown {
    let answer = game.baseline.response_id.clone();
    let coin: VerdictId = RowId::of(answer).and("shown first").finish();
    if seed_of(seed, &coin).is_multiple_of(2) { Shown::Model } else { Shown::Baseline }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{FinishReason, PromptId, ResponseId};
    use crate::stages::evaluate::game::{AskedPrompt, PlayedResponse};

    fn game(model: u32, baseline: u32) -> Game {
        let prompt_id: PromptId = RowId::of("a prompt").finish();
        let answer = |text: String| PlayedResponse {
            response_id: RowId::of(text.clone()).finish::<ResponseId>(),
            prompt_id: prompt_id.clone(),
            text,
            finish_reason: FinishReason::Stop,
        };
        Game {
            question: AskedPrompt { prompt_id: prompt_id.clone(), prompt: "a prompt".to_owned() },
            response: answer(format!("answer {model}")),
            baseline: answer(format!("answer {baseline}")),
        }
    }

    #[test]
    fn the_coin_is_fair_and_follows_the_baselines_answer_and_the_seed() {
        let first = |model, baseline, seed| Order::Seeded.of(&game(model, baseline), seed);
        let heads = |seed| (0..2000).filter(|i| first(0, *i, seed) == [Shown::Model]).count();
        // Four standard deviations around a half.
        assert!((910..1090).contains(&heads(0)), "{}", heads(0));
        let moved = (0..2000).filter(|i| first(0, *i, 0) != first(0, *i, 1)).count();
        assert!((910..1090).contains(&moved), "{moved} of another seed are shown the other way");
        for baseline in 0..200 {
            assert_eq!(first(0, baseline, 3).len(), 1);
            assert_eq!(first(0, baseline, 3), first(1, baseline, 3), "of another model");
        }
    }
}
