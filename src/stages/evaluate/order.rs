//! In which order a judge is shown the two answers of a game.

use serde::{Deserialize, Serialize};

use super::game::Game;
use crate::records::{RowId, Shown, VerdictId, seed_of};

/// How often each game is played, and whose answer is shown first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Twice, once in each order.
    #[default]
    Both,
    /// Once, in an order that the game's own seed decides, as AlpacaEval 2 does.
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
    pub(super) const fn times(self) -> u64 {
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

/// Tosses a coin between the two answers, whichever of them is the baseline's: seen from the other side, a
/// game is the same. No other game, no judge and no decoding has a say in it.
fn seeded(game: &Game, seed: u64) -> Shown {
    let (model, baseline) = (&game.response.response_id, &game.baseline.response_id);
    let is_later = model > baseline;
    let [one, other] = if is_later { [baseline, model] } else { [model, baseline] };
    let id: VerdictId = RowId::of(one.clone()).and(other.clone()).and("shown first").finish();
    let first_is_later = seed_of(seed, &id) % 2 == 1;
    if first_is_later == is_later { Shown::Model } else { Shown::Baseline }
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
    fn the_coin_is_fair_and_follows_the_two_answers_and_the_seed() {
        let first = |model, baseline, seed| Order::Seeded.of(&game(model, baseline), seed);
        let heads =
            |seed| (0..2000).filter(|i| first(*i, 5000 + i, seed) == [Shown::Model]).count();
        // Four standard deviations around a half.
        assert!((910..1090).contains(&heads(0)), "{}", heads(0));
        let moved = (0..2000).filter(|i| first(*i, 5000 + i, 0) != first(*i, 5000 + i, 1)).count();
        assert!((910..1090).contains(&moved), "{moved} of another seed are shown the other way");
        for i in 0..200 {
            assert_eq!(first(i, 5000, 3).len(), 1);
            assert_eq!(first(i, 5000, 3), first(i, 5000, 3));
            assert_ne!(first(i, 5000, 3), first(5000, i, 3), "the same text is first");
        }
    }

    #[test]
    fn of_two_answers_that_are_one_the_models_is_not_always_first() {
        let same = (0..2000).filter(|i| Order::Seeded.of(&game(*i, *i), 0) == [Shown::Model]);
        let same = same.count();
        assert!((910..1090).contains(&same), "{same}");
    }
}
