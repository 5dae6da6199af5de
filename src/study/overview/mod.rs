//! All that a report tells of some experiments, read once: numbers, curves, pairs, costs, settings, warnings, and a
//! sample of rows.

mod course;
mod excerpt;
mod held_out;
mod number;
mod read_shares;
mod sample;
mod setting;
mod share;
mod warning;

use rayon::prelude::*;
use serde::Serialize;

use self::course::{Became, Curve, NodeCost, curves, nodes, pairs};
use self::held_out::{HeldOutPrompt, Opponents, held_out, opponents};
use self::number::{Number, numbers};
use self::read_shares::shares;
use self::setting::{Setting, settings};
use self::share::Share;
use self::warning::warnings;
use super::adapters;
use super::models::{ModelNumbers, models_in};
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
        let room = Room::among(plans.len(), bytes);
        let of_plan = |plan| Experiment::of(store, plan, &room);
        let experiments: Vec<Experiment> =
            plans.par_iter().map(of_plan).collect::<Result<_, Error>>()?;
        let latest = |plan: &RecordedPlan| RecordedModel {
            experiment: plan.experiment.clone(),
            model: latest_of(plan),
            plan: plan.clone(),
        };
        let Some((first, others)) = plans.split_first() else {
            return Ok(Self { experiments, differences: Vec::new() });
        };
        let differing = |plan: &RecordedPlan| {
            let both = [latest(first), latest(plan)];
            let mut settings = changed_settings(store, &both)?;
            settings.extend(adapters::of_both(store, &both)?);
            Ok(Differences { name: plan.experiment.clone(), settings })
        };
        let differences = others.iter().map(differing).collect::<Result<_, Error>>()?;
        Ok(Self { experiments, differences })
    }
}

/// The last model of a plan.
fn latest_of(plan: &RecordedPlan) -> String {
    let last = plan.nodes.iter().filter_map(PlannedNode::iteration).max();
    format!("m{}", last.unwrap_or(0))
}

impl Experiment {
    fn of(store: &Store, plan: &RecordedPlan, room: &Room) -> Result<Self, Error> {
        let name = plan.experiment.as_str();
        let session = Session::of(store, &[name])?;
        let opponents = opponents(&session, name)?;
        let latest = opponents.as_ref().map_or("m0", |opponents| &opponents.latest).to_owned();
        let numbers = numbers(&session, name)?;
        let nodes = nodes(&session, name)?;
        let mut warnings = warnings(&numbers);
        warnings.extend(unmade(&nodes));
        let mut experiment = Self {
            name: name.to_owned(),
            models: models_in(&session, name)?,
            warnings,
            curves: curves(&session, name)?,
            pairs: pairs(&session, name)?,
            settings: settings(store, plan)?,
            opponents,
            numbers,
            nodes,
            held_out_of: 0,
            held_out: Vec::new(),
            shares: Vec::new(),
        };
        let left = room.bytes.saturating_sub(sample::size(&experiment));
        (experiment.held_out, experiment.held_out_of) =
            held_out(&session, name, &latest, room.held_out)?;
        experiment.shares = shares(&session, name, room.of_share)?;
        sample::fit(&mut experiment.held_out, &mut experiment.shares, left);
        Ok(experiment)
    }
}

/// Says that there is more to come, or that something is gone.
fn unmade(nodes: &[NodeCost]) -> Option<String> {
    let missing = nodes.iter().filter(|node| !node.finished).count();
    let all = nodes.len();
    (missing > 0)
        .then(|| format!("{missing} of {all} nodes are not made: their rows are not in here."))
}
