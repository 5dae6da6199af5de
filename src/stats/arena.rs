//! Battles of many models on the same prompts, and each one's score against a baseline, as Arena-Hard
//! prints it: how likely it beats the baseline under the Bradley–Terry model, ties half a win each.

use std::collections::BTreeSet;

use super::bootstrap::{Bootstrap, Clusters, Resampled};
use super::bradley_terry::{Bouts, BradleyTerry, Strengths, WinnerShown};
use super::error::Error;

/// Who met, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Battle {
    /// Whose answer was shown first.
    pub first: String,
    /// Whose answer was shown second.
    pub second: String,
    /// 1 where the first wins, 0 where the second does, ½ for a tie, between where weighted.
    pub outcome: f64,
    /// How much the battle counts, at least 0.
    pub weight: f64,
}

/// Battles, each of one cluster: a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Arena {
    players: Vec<String>,
    /// Of each cluster: winner, loser, where the winner was shown, and the weight of the win.
    wins: Vec<Vec<(usize, usize, WinnerShown, f64)>>,
    clusters: Clusters,
}

impl Arena {
    /// Takes battles. Those of a model against itself say nothing and are left out.
    ///
    /// # Errors
    /// Where there is no battle, only one player, or an outcome or a weight is outside its range.
    pub fn new(battles: &[Battle], clusters: Clusters) -> Result<Self, Error> {
        Error::check_lengths(battles.len(), clusters.of_row().len())?;
        Error::check_preferences(battles.iter().map(|battle| Some(battle.outcome)))?;
        let weights: Vec<f64> = battles.iter().map(|battle| battle.weight).collect();
        Error::check_weights(&weights)?;
        let names = battles.iter().flat_map(|battle| [&battle.first, &battle.second]);
        let players: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().cloned().collect();
        if players.len() < 2 {
            return Err(Error::OnePlayer);
        }
        let place = |name: &String| players.binary_search(name).unwrap_or_default();
        let mut wins = vec![Vec::new(); clusters.count()];
        for (battle, cluster) in battles.iter().zip(clusters.of_row()) {
            let (first, second) = (place(&battle.first), place(&battle.second));
            let Battle { outcome, weight, .. } = battle;
            if first != second {
                wins[*cluster].push((first, second, WinnerShown::First, weight * outcome));
                wins[*cluster].push((second, first, WinnerShown::Second, weight * (1.0 - outcome)));
            }
        }
        Ok(Self { players, wins, clusters })
    }

    /// The players, in the order of their names; strengths and scores come in the same order.
    #[must_use]
    pub fn players(&self) -> &[String] {
        &self.players
    }

    /// Finds a player.
    ///
    /// # Errors
    /// Where none has that name.
    pub fn player(&self, name: &str) -> Result<usize, Error> {
        let found = self.players.iter().position(|player| player == name);
        let unknown =
            || Error::UnknownPlayer { name: name.to_owned(), known: self.players.clone() };
        found.ok_or_else(unknown)
    }

    /// The battles as bouts.
    #[must_use]
    pub fn bouts(&self) -> Bouts {
        self.bouts_of(&self.clusters.once())
    }

    fn bouts_of(&self, counts: &[f64]) -> Bouts {
        let mut bouts = Bouts::new(self.players.len());
        for (wins, count) in self.wins.iter().zip(counts).filter(|(_, count)| **count > 0.0) {
            for (winner, loser, place, weight) in wins {
                bouts.add_shown(*winner, *loser, weight * count, *place);
            }
        }
        bouts
    }

    /// Fits the strengths.
    ///
    /// # Errors
    /// As [`Bouts::fit`]; players who never lose are named.
    pub fn fit(&self, model: BradleyTerry) -> Result<Strengths, Error> {
        self.bouts().fit(model).map_err(|error| match error {
            Error::Unconnected { unbeaten, .. } => Error::Unbeaten {
                names: unbeaten.into_iter().map(|player| self.players[player].clone()).collect(),
            },
            other => other,
        })
    }

    /// Numbers of the fitted strengths, from fits on every resample of the clusters: for percentiles.
    ///
    /// # Errors
    /// As [`Arena::fit`].
    pub fn resampled(
        &self,
        model: BradleyTerry,
        bootstrap: &Bootstrap,
        numbers: impl Fn(&Strengths) -> Vec<f64> + Sync,
    ) -> Result<Vec<Resampled>, Error> {
        let count = numbers(&self.fit(model)?).len();
        Ok(bootstrap.draw(&self.clusters, |counts| match self.bouts_of(counts).fit(model) {
            Ok(fitted) => numbers(&fitted),
            Err(_) => vec![f64::NAN; count],
        }))
    }

    /// Which battles belong together.
    #[must_use]
    pub const fn clusters(&self) -> &Clusters {
        &self.clusters
    }
}
