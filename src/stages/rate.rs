//! `rate`: the strength of each judgement in its tournament (Meta-Rewarding, section 2.2).
//!
//! A win from the position that wins less counts more: `ω1 = win_2nd / (win_1st + win_2nd)`,
//! `ω2 = win_1st / (win_1st + win_2nd)`, by default over the whole iteration. Then
//! `B_mn = ω1·1[m, shown first, beats n] + ω2·1[m, shown second, beats n]`, and strengths are the
//! Bradley–Terry fit of B.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::align::{groups, zip_rows};
use crate::records::{JudgementId, MetaJudgementId, PromptId, Rating, ResponseId};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::stats::{Bouts, BradleyTerry, Rated, fit_each};

/// Rates judgements.
#[derive(Debug, Clone, Serialize)]
pub struct Rate {
    /// λ, the precision of the Gaussian prior on strengths, above 0.
    pub prior: f64,
    /// Over what ω is counted.
    pub omega: OmegaScope,
    /// What a disagreement between both orders means.
    pub swap: Swap,
}

/// Over what the weights of both positions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OmegaScope {
    /// All comparisons of the iteration.
    #[default]
    Iteration,
    /// Those of one prompt.
    Prompt,
    /// Nothing: both positions weigh a half.
    Off,
}

/// What it means that both orders of a pair name different winners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Swap {
    /// Each keeps its weighted win.
    #[default]
    Weighted,
    /// A tie: neither counts. What is left has a win from either position, so both weigh a half.
    Tie,
}

impl Rate {
    /// 1: the first. 2: both directions of a pair are summed together; strengths differ from those of 1
    /// in their last digits. 3: the scope of ω, and what a swap means, may be set. 4: a verdict that was
    /// weighed is won in parts.
    const VERSION: u32 = 4;
}

#[derive(Deserialize)]
struct Compared {
    meta_judgement_id: MetaJudgementId,
    prompt_id: PromptId,
    response_id: ResponseId,
    first_judgement_id: JudgementId,
    second_judgement_id: JudgementId,
}

#[derive(Deserialize)]
struct Winner {
    meta_judgement_id: Option<MetaJudgementId>,
    value: Option<f64>,
    soft_value: Option<f64>,
}

/// How much of a comparison each of both sides won; nothing where it is a tie.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Won {
    first: f64,
    second: f64,
}

impl Winner {
    /// Who won, or how likely each was to: weighed verdicts have no tie.
    fn won(&self) -> Option<Won> {
        match (self.soft_value, self.value) {
            (Some(soft), _) => {
                Some(Won { first: f64::midpoint(1.0, soft), second: f64::midpoint(1.0, -soft) })
            }
            (None, Some(value)) if value > 0.0 => Some(Won { first: 1.0, second: 0.0 }),
            (None, Some(value)) if value < 0.0 => Some(Won { first: 0.0, second: 1.0 }),
            (None, Some(_)) => Some(Won { first: 0.0, second: 0.0 }),
            (None, None) => None,
        }
    }

    /// Makes it a tie, if it was decided at all.
    fn forget(&mut self) {
        self.value = self.value.map(|_| 0.0);
        self.soft_value = None;
    }
}

/// Weights of a win from the first and from the second position.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Omega {
    first: f64,
    second: f64,
}

impl Omega {
    /// Counts the wins of both positions.
    fn over(won: impl Iterator<Item = Won>) -> Self {
        let (first, second) =
            won.fold((0.0, 0.0), |(first, second), won| (first + won.first, second + won.second));
        Self::of(first, second)
    }

    fn of(wins_first: f64, wins_second: f64) -> Self {
        let total = wins_first + wins_second;
        if total == 0.0 {
            return Self { first: 0.5, second: 0.5 };
        }
        Self { first: wins_second / total, second: wins_first / total }
    }
}

impl Stage for Rate {
    fn signature(&self) -> Signature {
        Signature::of("rate", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let mut won = Vec::new();
        if self.omega == OmegaScope::Iteration && self.swap == Swap::Weighted {
            for winner in io.rows::<Winner>("readings")? {
                won.extend(winner?.won());
            }
        }
        let overall = Omega::over(won.into_iter());
        let belongs =
            |m: &Compared, w: &Winner| w.meta_judgement_id.as_ref() == Some(&m.meta_judgement_id);
        let compared = io.rows::<Compared>("meta_judgements")?;
        let compared = zip_rows("readings", compared, io.rows::<Winner>("readings")?, belongs);
        let mut tournaments = groups(compared, |(row, _)| row.response_id.clone());
        let at_once = std::iter::from_fn(|| {
            let some: Result<Vec<_>, _> = tournaments.by_ref().take(Self::AT_ONCE).collect();
            some.map(|some| (!some.is_empty()).then_some(some)).transpose()
        });
        io.write(at_once.flat_map(|some| {
            let some = some.map(|some| {
                some.into_iter().map(|(_, rows)| self.tournament(rows, overall)).collect()
            });
            match some.and_then(|some| self.rate(some)) {
                Ok(ratings) => ratings.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        }))
    }
}

impl Rate {
    /// Tournaments that are fitted together, so that all threads have some.
    const AT_ONCE: usize = 512;

    fn tournament(&self, mut rows: Vec<(Compared, Winner)>, overall: Omega) -> Tournament {
        if self.swap == Swap::Tie {
            forget_disagreements(&mut rows);
        }
        let omega = match self.omega {
            OmegaScope::Iteration => overall,
            OmegaScope::Prompt => Omega::over(rows.iter().filter_map(|(_, winner)| winner.won())),
            OmegaScope::Off => Omega::of(0.0, 0.0),
        };
        Tournament::of(rows, omega)
    }

    fn rate(&self, tournaments: Vec<Tournament>) -> Result<Vec<Rating>, StageError> {
        let bouts: Vec<Bouts> = tournaments.iter().map(|t| t.bouts.clone()).collect();
        let model = BradleyTerry { prior: self.prior, order_effect: false };
        // ω sums to 1 over the two bouts of a pair; two bouts are what was observed.
        let fitted = fit_each(&bouts, model, 2.0)?;
        let rated = tournaments.into_iter().zip(fitted);
        let ratings = rated.flat_map(|(tournament, rated)| tournament.ratings(&rated));
        Ok(ratings.collect())
    }
}

/// Takes the winners away from pairs whose orders name different ones, or only one of which names any.
fn forget_disagreements(rows: &mut [(Compared, Winner)]) {
    let sides = |row: &Compared| (row.first_judgement_id.clone(), row.second_judgement_id.clone());
    let said: HashMap<(JudgementId, JudgementId), Option<f64>> =
        rows.iter().map(|(row, winner)| (sides(row), winner.soft_value.or(winner.value))).collect();
    for (row, winner) in rows {
        let (first, second) = sides(row);
        let swapped = said.get(&(second, first)).copied().flatten();
        let own = winner.soft_value.or(winner.value);
        let agrees = own.zip(swapped).is_some_and(|(one, other)| one * other < 0.0);
        if !agrees {
            winner.forget();
        }
    }
}

/// The judgements of one response, and who won against whom.
struct Tournament {
    prompt_id: PromptId,
    response_id: ResponseId,
    players: Vec<JudgementId>,
    bouts: Bouts,
    /// Bouts of each player that somebody won.
    decided: Vec<i32>,
    omega: Omega,
}

impl Tournament {
    fn of(rows: Vec<(Compared, Winner)>, omega: Omega) -> Self {
        let mut players: Vec<JudgementId> = Vec::new();
        for (row, _) in &rows {
            for id in [&row.first_judgement_id, &row.second_judgement_id] {
                if !players.contains(id) {
                    players.push(id.clone());
                }
            }
        }
        let place =
            |id: &JudgementId| players.iter().position(|player| player == id).unwrap_or_default();
        let mut bouts = Bouts::new(players.len());
        let mut decided = vec![0; players.len()];
        for (row, winner) in &rows {
            let [first, second] = [&row.first_judgement_id, &row.second_judgement_id].map(place);
            let Some(won) = winner.won().filter(|won| won.first + won.second > 0.0) else {
                continue;
            };
            if won.first > 0.0 {
                bouts.add(first, second, omega.first * won.first);
            }
            if won.second > 0.0 {
                bouts.add(second, first, omega.second * won.second);
            }
            decided[first] += 1;
            decided[second] += 1;
        }
        let (prompt_id, response_id) = (rows[0].0.prompt_id.clone(), rows[0].0.response_id.clone());
        Self { prompt_id, response_id, players, bouts, decided, omega }
    }

    fn ratings(&self, rated: &Rated) -> Vec<Rating> {
        let rating = |(player, id): (usize, &JudgementId)| Rating {
            prompt_id: self.prompt_id.clone(),
            response_id: self.response_id.clone(),
            judgement_id: id.clone(),
            strength: rated.strengths.of_player[player],
            standard_error: rated.standard_errors.as_ref().map(|errors| errors[player]),
            bouts: self.decided[player],
            wins: self.bouts.wins_of(player),
            omega_first: self.omega.first,
            omega_second: self.omega.second,
        };
        self.players.iter().enumerate().map(rating).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Id as _;

    fn row(first: &str, second: &str, value: f64) -> (Compared, Winner) {
        let compared = Compared {
            meta_judgement_id: MetaJudgementId::from_text(format!("{first}{second}")),
            prompt_id: PromptId::default(),
            response_id: ResponseId::default(),
            first_judgement_id: JudgementId::from_text(first.to_owned()),
            second_judgement_id: JudgementId::from_text(second.to_owned()),
        };
        (compared, Winner { meta_judgement_id: None, value: Some(value), soft_value: None })
    }

    fn stage(swap: Swap) -> Rate {
        Rate { prior: 0.01, omega: OmegaScope::Iteration, swap }
    }

    fn rate<const N: usize>(rows: [(Compared, Winner); N], omega: Omega) -> Vec<Rating> {
        stage(Swap::Weighted).rate(vec![Tournament::of(rows.into(), omega)]).unwrap()
    }

    #[test]
    fn a_win_from_the_weaker_position_counts_more() {
        assert_eq!(Omega::of(30.0, 10.0), Omega { first: 0.25, second: 0.75 });
        assert_eq!(Omega::of(0.0, 0.0), Omega { first: 0.5, second: 0.5 });
    }

    #[test]
    fn a_judge_that_always_takes_the_first_tells_nothing_apart() {
        let rows = [row("a", "b", 1.0), row("b", "a", 1.0)];
        let ratings = rate(rows, Omega::of(2.0, 0.0));
        assert_eq!(ratings.iter().map(|r| r.strength).collect::<Vec<_>>(), [0.0, 0.0]);
        assert_eq!(ratings[0].bouts, 2, "both were decided, and both weigh nothing");
        assert_eq!(ratings[0].standard_error, None);
    }

    #[test]
    fn who_wins_in_both_orders_is_stronger() {
        let rows =
            [row("a", "b", 1.0), row("b", "a", -1.0), row("a", "c", 1.0), row("c", "a", 1.0)];
        let ratings = rate(rows, Omega::of(3.0, 1.0));
        let strength =
            |id: &str| ratings.iter().find(|r| r.judgement_id.as_str() == id).unwrap().strength;
        assert!(strength("a") > strength("b"));
        assert!((ratings[0].wins - (0.25 + 0.75 + 0.25)).abs() < 1e-12);
    }

    #[test]
    fn orders_that_disagree_may_be_a_tie() {
        let rows =
            [row("a", "b", 1.0), row("b", "a", -1.0), row("a", "c", 1.0), row("c", "a", 1.0)];
        let tournament = stage(Swap::Tie).tournament(rows.into(), Omega::of(3.0, 1.0));
        assert_eq!(tournament.decided, [2, 2, 0], "a beats b in both orders, and c in one");
    }

    #[test]
    fn positions_may_be_weighed_within_a_prompt_or_not_at_all() {
        let omega = |scope| {
            let rows = vec![row("a", "b", 1.0), row("b", "a", 1.0), row("a", "c", -1.0)];
            let stage = Rate { omega: scope, ..stage(Swap::Weighted) };
            stage.tournament(rows, Omega::of(1.0, 9.0)).omega.first
        };
        let found = [OmegaScope::Iteration, OmegaScope::Prompt, OmegaScope::Off].map(omega);
        let off =
            found.iter().zip([0.9, 1.0 / 3.0, 0.5]).map(|(found, right)| (found - right).abs());
        assert!(off.into_iter().all(|off| off < 1e-12), "{found:?}");
    }
}
