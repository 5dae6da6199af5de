//! All that a report tells of some experiments, read once: numbers, curves, pairs, costs, settings, warnings, and a
//! sample of rows. Those that differ in nothing but their seed are told as one.

mod averaged;
mod by_name;
mod course;
mod excerpt;
mod held_out;
mod number;
mod places;
mod read_shares;
mod sample;
mod series;
mod setting;
mod share;
mod summed;
mod together;
mod warning;

use std::collections::BTreeMap;

use serde::Serialize;

use self::averaged::averaged;
use self::by_name::{ByName, by_name, each, taken, without_seeds};
use self::course::{Became, Curve, NodeCost, curves, nodes, pairs};
use self::held_out::{HeldOut, HeldOutPrompt, Opponents, held_out, opponents};
use self::number::{Number, numbers};
use self::read_shares::shares;
pub use self::series::Asked;
use self::series::{Seed, Series};
use self::setting::{Setting, settings, settings_of_all};
use self::share::Share;
use self::together::{Together, together};
use self::warning::{unmade, unmade_of_seeds, warnings, warnings_over_seeds};
use super::adapters;
use super::models::{ModelNumbers, models_of};
use super::recorded::{Error, RecordedModel};
use super::settings::{ChangedSetting, changed_settings};
use crate::query::Session;
use crate::store::{PlannedNode, RecordedPlan, Store};

/// What is told of some experiments.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// In the order in which they were named.
    pub experiments: Vec<Experiment>,
    /// What differed between the first and each other.
    pub differences: Vec<Differences>,
    /// What they show over seeds, where there are several of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<Together>,
}

/// What is told of one experiment, or of those that differ in nothing but their seed: estimates are their means,
/// counts and seconds their sums, and rows those of one.
#[derive(Debug, Default, Serialize)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// The seeds, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<Seed>,
    /// The seed whose rows are shown, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_seed: Option<u64>,
    /// Who played whom; `None` where nobody did.
    pub opponents: Option<Opponents>,
    /// A line for each model, as at the end of a run.
    pub models: Vec<ModelNumbers>,
    /// What a reader has to know before believing a number.
    pub warnings: Vec<String>,
    /// Every estimate that is told.
    pub numbers: Vec<Number>,
    /// The course of every training.
    pub curves: Vec<Curve>,
    /// What became of candidate pairs.
    pub pairs: Vec<Became>,
    /// Every node, and what it took.
    pub nodes: Vec<NodeCost>,
    /// Every setting.
    pub settings: Vec<Setting>,
    /// How many prompts are held out.
    pub held_out_of: i64,
    /// Those that are shown.
    pub held_out: Vec<HeldOutPrompt>,
    /// The prompts of each iteration that are shown.
    pub shares: Vec<Share>,
}

/// What differed between two experiments.
#[derive(Debug, Serialize)]
pub struct Differences {
    /// The second; the first is the first of all.
    pub name: String,
    /// Settings and files.
    pub settings: Vec<ChangedSetting>,
}

/// How much of an experiment is read at most: what fits of it is shown.
struct Room {
    bytes: usize,
    held_out: usize,
    of_share: usize,
}

impl Room {
    /// Divides a page among so many experiments.
    fn among(experiments: usize, bytes: usize) -> Self {
        let among = experiments.max(1);
        Self {
            bytes: bytes / among,
            held_out: (400 / among).max(40),
            of_share: (100 / among).max(10),
        }
    }
}

impl Overview {
    /// Reads what is told of some recorded experiments, with about so many bytes of rows among it; `others` are
    /// experiments that are only there because claims name them.
    ///
    /// # Errors
    /// Where the store is damaged.
    pub fn of(
        store: &Store,
        asked: &[Asked],
        others: &[RecordedPlan],
        bytes: usize,
    ) -> Result<Self, Error> {
        let all = Series::all(asked);
        let room = Room::among(all.len(), bytes);
        let mut found = Found::of(store, &all, &room)?;
        let experiments = all.iter().map(|one| found.experiment(store, one, &room));
        let experiments = experiments.collect::<Result<_, Error>>()?;
        let differences = match all.split_first() {
            Some((first, others)) => {
                let differing = |other| Differences::between(store, first, other);
                others.iter().map(differing).collect::<Result<_, Error>>()?
            }
            None => Vec::new(),
        };
        let together = together(store, (asked, &all), others)?;
        Ok(Self { experiments, differences, together })
    }
}

impl Differences {
    /// Of several seeds those of one that both have are compared.
    fn between(store: &Store, first: &Series, other: &Series) -> Result<Self, Error> {
        let name = other.name.clone();
        let Some((before, after)) = first.counterparts(other) else {
            return Ok(Self { name, settings: Vec::new() });
        };
        let both = [before, after].map(|plan| RecordedModel {
            experiment: plan.experiment.clone(),
            model: latest_of(plan),
            plan: plan.clone(),
        });
        let mut settings = changed_settings(store, &both)?;
        settings.extend(adapters::of_both(store, &both)?);
        Ok(Self { name, settings })
    }
}

/// The last model of a plan.
fn latest_of(plan: &RecordedPlan) -> String {
    let last = plan.nodes.iter().filter_map(PlannedNode::iteration).max();
    format!("m{}", last.unwrap_or(0))
}

/// What was read of all experiments at once, by their names: a query over many takes little longer than over one.
struct Found {
    opponents: ByName<Opponents>,
    models: ByName<ModelNumbers>,
    numbers: ByName<Number>,
    curves: ByName<Curve>,
    pairs: ByName<Became>,
    nodes: ByName<NodeCost>,
    held_out: BTreeMap<String, HeldOut>,
    shares: BTreeMap<String, Vec<Share>>,
}

impl Found {
    fn of(store: &Store, all: &[Series], room: &Room) -> Result<Self, Error> {
        let plans = all.iter().flat_map(|one| one.plans.iter());
        let names: Vec<&str> = plans.map(|(_, plan)| plan.experiment.as_str()).collect();
        let session = &Session::of(store, &names)?;
        let shown: Vec<&str> = all
            .iter()
            .filter_map(|one| one.shown().map(|(_, plan)| plan.experiment.as_str()))
            .collect();
        let fewer = (shown.len() < names.len()).then(|| Session::of(store, &shown)).transpose()?;
        let of_rows = fewer.as_ref().unwrap_or(session);
        let seeds = all.iter().map(|one| one.plans.len()).max().unwrap_or(1);
        Ok(Self {
            opponents: by_name(opponents(session)?, |row| &row.experiment),
            models: by_name(models_of(session)?, |row| &row.experiment),
            numbers: by_name(numbers(session)?, |row| &row.experiment),
            curves: by_name(curves(session, seeds)?, |row| &row.experiment),
            pairs: by_name(pairs(session)?, |row| &row.experiment),
            nodes: by_name(nodes(session)?, |row| &row.experiment),
            held_out: held_out(of_rows, room.held_out)?,
            shares: shares(of_rows, room.of_share)?,
        })
    }

    /// Takes what was read of one experiment, or of several seeds.
    fn experiment(
        &mut self,
        store: &Store,
        series: &Series,
        room: &Room,
    ) -> Result<Experiment, Error> {
        let mut experiment = match series.plans.as_slice() {
            [(_, plan)] => self.of_one(store, plan)?,
            plans => self.of_seeds(store, plans)?,
        };
        experiment.name.clone_from(&series.name);
        experiment.seeds = series.seeds();
        let Some((seed, shown)) = series.shown() else { return Ok(experiment) };
        experiment.shown_seed = (series.plans.len() > 1).then_some(*seed);
        let left = room.bytes.saturating_sub(sample::size(&experiment));
        let HeldOut { shown: rows, of } =
            self.held_out.remove(&shown.experiment).unwrap_or_default();
        (experiment.held_out, experiment.held_out_of) = (rows, of);
        experiment.shares = self.shares.remove(&shown.experiment).unwrap_or_default();
        sample::fit(&mut experiment.held_out, &mut experiment.shares, left);
        Ok(experiment)
    }

    fn of_one(&mut self, store: &Store, plan: &RecordedPlan) -> Result<Experiment, Error> {
        let name = plan.experiment.as_str();
        let numbers = taken(&mut self.numbers, name);
        let nodes = taken(&mut self.nodes, name);
        let mut warnings = warnings(&numbers);
        warnings.extend(unmade(&nodes));
        Ok(Experiment {
            opponents: taken(&mut self.opponents, name).pop(),
            models: taken(&mut self.models, name),
            warnings,
            curves: taken(&mut self.curves, name),
            pairs: taken(&mut self.pairs, name),
            settings: settings(store, plan)?,
            numbers,
            nodes,
            ..Experiment::default()
        })
    }

    fn of_seeds(
        &mut self,
        store: &Store,
        plans: &[(u64, RecordedPlan)],
    ) -> Result<Experiment, Error> {
        let of_each = each(&mut self.numbers, plans);
        let numbers = averaged(&of_each);
        let of_nodes = each(&mut self.nodes, plans);
        let mut warnings = warnings_over_seeds(&numbers, &of_each);
        warnings.extend(unmade_of_seeds(&of_nodes));
        let nodes = summed::nodes(without_seeds(of_nodes));
        let models = without_seeds(each(&mut self.models, plans));
        // The latest model of any seed.
        let opponents = without_seeds(each(&mut self.opponents, plans)).into_iter().flatten();
        Ok(Experiment {
            opponents: opponents.max_by_key(|one| (one.latest.len(), one.latest.clone())),
            models: averaged::models(&models, &numbers, &nodes),
            warnings,
            curves: summed::curves(each(&mut self.curves, plans)),
            pairs: summed::pairs(without_seeds(each(&mut self.pairs, plans))),
            settings: settings_of_all(store, plans)?,
            numbers,
            nodes,
            ..Experiment::default()
        })
    }
}
