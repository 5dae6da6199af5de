//! All that a report tells of some experiments, read once: numbers, curves, pairs, costs, settings, warnings, and a
//! sample of rows.

mod course;
mod excerpt;
mod held_out;
mod number;
mod places;
mod read_shares;
mod sample;
mod setting;
mod share;
mod warning;

use std::collections::BTreeMap;

use serde::Serialize;

use self::course::{Became, Curve, NodeCost, curves, nodes, pairs};
use self::held_out::{HeldOut, HeldOutPrompt, Opponents, held_out, opponents};
use self::number::{Number, numbers};
use self::read_shares::shares;
use self::setting::{Setting, settings};
use self::share::Share;
use self::warning::warnings;
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
}

/// What is told of one experiment.
#[derive(Debug, Serialize)]
pub struct Experiment {
    /// Its name.
    pub name: String,
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
    /// Reads what is told of some recorded experiments, with about so many bytes of rows among it.
    ///
    /// # Errors
    /// Where the store is damaged.
    pub fn of(store: &Store, plans: &[RecordedPlan], bytes: usize) -> Result<Self, Error> {
        let names: Vec<&str> = plans.iter().map(|plan| plan.experiment.as_str()).collect();
        let room = Room::among(plans.len(), bytes);
        let mut found = Found::of(&Session::of(store, &names)?, &room)?;
        let experiments = plans.iter().map(|plan| found.experiment(store, plan, &room));
        let experiments = experiments.collect::<Result<_, Error>>()?;
        let differences = match plans.split_first() {
            Some((first, others)) => {
                let differing = |other| Differences::between(store, first, other);
                others.iter().map(differing).collect::<Result<_, Error>>()?
            }
            None => Vec::new(),
        };
        Ok(Self { experiments, differences })
    }
}

impl Differences {
    fn between(store: &Store, first: &RecordedPlan, other: &RecordedPlan) -> Result<Self, Error> {
        let both = [first, other].map(|plan| RecordedModel {
            experiment: plan.experiment.clone(),
            model: latest_of(plan),
            plan: plan.clone(),
        });
        let mut settings = changed_settings(store, &both)?;
        settings.extend(adapters::of_both(store, &both)?);
        Ok(Self { name: other.experiment.clone(), settings })
    }
}

/// The last model of a plan.
fn latest_of(plan: &RecordedPlan) -> String {
    let last = plan.nodes.iter().filter_map(PlannedNode::iteration).max();
    format!("m{}", last.unwrap_or(0))
}

/// What was read of all experiments at once, by their names: a query over many takes little longer than over one.
struct Found {
    opponents: BTreeMap<String, Vec<Opponents>>,
    models: BTreeMap<String, Vec<ModelNumbers>>,
    numbers: BTreeMap<String, Vec<Number>>,
    curves: BTreeMap<String, Vec<Curve>>,
    pairs: BTreeMap<String, Vec<Became>>,
    nodes: BTreeMap<String, Vec<NodeCost>>,
    held_out: BTreeMap<String, HeldOut>,
    shares: BTreeMap<String, Vec<Share>>,
}

impl Found {
    fn of(session: &Session, room: &Room) -> Result<Self, Error> {
        Ok(Self {
            opponents: by_name(opponents(session)?, |row| &row.experiment),
            models: by_name(models_of(session)?, |row| &row.experiment),
            numbers: by_name(numbers(session)?, |row| &row.experiment),
            curves: by_name(curves(session)?, |row| &row.experiment),
            pairs: by_name(pairs(session)?, |row| &row.experiment),
            nodes: by_name(nodes(session)?, |row| &row.experiment),
            held_out: held_out(session, room.held_out)?,
            shares: shares(session, room.of_share)?,
        })
    }

    /// Takes what was read of one experiment.
    fn experiment(
        &mut self,
        store: &Store,
        plan: &RecordedPlan,
        room: &Room,
    ) -> Result<Experiment, Error> {
        let name = plan.experiment.as_str();
        let numbers = self.numbers.remove(name).unwrap_or_default();
        let nodes = self.nodes.remove(name).unwrap_or_default();
        let mut warnings = warnings(&numbers);
        warnings.extend(unmade(&nodes));
        let mut experiment = Experiment {
            name: name.to_owned(),
            opponents: self.opponents.remove(name).and_then(|mut all| all.pop()),
            models: self.models.remove(name).unwrap_or_default(),
            warnings,
            curves: self.curves.remove(name).unwrap_or_default(),
            pairs: self.pairs.remove(name).unwrap_or_default(),
            settings: settings(store, plan)?,
            numbers,
            nodes,
            held_out_of: 0,
            held_out: Vec::new(),
            shares: Vec::new(),
        };
        let left = room.bytes.saturating_sub(sample::size(&experiment));
        let HeldOut { shown, of } = self.held_out.remove(name).unwrap_or_default();
        (experiment.held_out, experiment.held_out_of) = (shown, of);
        experiment.shares = self.shares.remove(name).unwrap_or_default();
        sample::fit(&mut experiment.held_out, &mut experiment.shares, left);
        Ok(experiment)
    }
}

/// Parts rows by experiment, each part in the order of all.
fn by_name<T>(rows: Vec<T>, name: fn(&T) -> &String) -> BTreeMap<String, Vec<T>> {
    let mut found: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for row in rows {
        found.entry(name(&row).clone()).or_default().push(row);
    }
    found
}

/// Says that there is more to come, or that something is gone.
fn unmade(nodes: &[NodeCost]) -> Option<String> {
    let missing = nodes.iter().filter(|node| !node.finished).count();
    let all = nodes.len();
    (missing > 0)
        .then(|| format!("{missing} of {all} nodes are not made: their rows are not in here."))
}
