//! Two models beside each other: their games, their numbers, and what differed in making them.

use serde::Serialize;

use super::adapters;
use super::compared::{Compared, costs, of_game, own_numbers};
use super::flipped::{Flipped, decide};
use super::recorded::{Error, RecordedModel, asked_the_same, rows};
use super::settings::{ChangedSetting, changed_settings};
use crate::query::Session;
use crate::records::Estimate;
use crate::store::{Store, StoredTable};

/// Games in which the second model played the first, decided already.
pub struct Games {
    /// Who decided, for a person.
    pub judge: String,
    /// The prompts that both answered.
    pub asked: StoredTable,
    /// What they answered.
    pub answers: [StoredTable; 2],
    /// One row a game and order.
    pub verdicts: StoredTable,
    /// What the verdicts come to.
    pub estimates: StoredTable,
}

/// All that is compared.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// As `experiment/m1`, in the order in which they are compared.
    pub names: [String; 2],
    /// Who decided their games; `None` where there were none.
    pub judge: Option<String>,
    /// Prompts that were decided.
    pub prompts: usize,
    /// Those of them on which neither is better.
    pub equal: usize,
    /// Every number.
    pub lines: Vec<Compared>,
    /// The prompts on which one is better, the worst loss of the second first.
    pub flipped: Vec<Flipped>,
    /// What differed in making them.
    pub settings: Vec<ChangedSetting>,
}

impl Comparison {
    /// Compares two models, and the games between them where there were any.
    ///
    /// # Errors
    /// Where the store is damaged.
    pub fn of(
        store: &Store,
        models: &[RecordedModel; 2],
        games: Option<Games>,
    ) -> Result<Self, Error> {
        let mut comparison = Self {
            names: models.each_ref().map(RecordedModel::name),
            judge: None,
            prompts: 0,
            equal: 0,
            lines: Vec::new(),
            flipped: Vec::new(),
            settings: changed_settings(store, models)?,
        };
        comparison.settings.extend(adapters::of_both(store, models)?);
        if let Some(games) = games {
            comparison.add(store, games)?;
        }
        let session = Session::open(store)?;
        comparison.lines.extend(own_numbers(&session, models)?);
        comparison.lines.extend(costs(&session, models)?);
        Ok(comparison)
    }

    /// Checks that the games of two models are about the same prompts, in whichever order they were
    /// asked.
    ///
    /// # Errors
    /// [`Error::OtherPrompts`], and where the store is damaged.
    pub fn may_play(store: &Store, models: &[RecordedModel; 2]) -> Result<(), Error> {
        asked_the_same(store, models)
    }

    fn add(&mut self, store: &Store, games: Games) -> Result<(), Error> {
        let Games { judge, asked, answers, verdicts, estimates } = games;
        self.judge = Some(judge);
        let estimates: Vec<Estimate> = rows(store, estimates)?;
        self.lines.extend(estimates.into_iter().filter_map(|e| of_game(e, &self.names[0])));
        let decided = decide(store, asked, answers, rows(store, verdicts)?)?;
        (self.prompts, self.equal) = (decided.prompts, decided.equal);
        self.flipped = decided.flipped;
        Ok(())
    }

    /// The share of games that the second wins.
    #[must_use]
    pub fn win_rate(&self) -> Option<f64> {
        let line = self.lines.iter().find(|line| line.part == "games" && line.name == "win_rate");
        line.and_then(|line| line.second)
    }
}
