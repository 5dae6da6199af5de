//! What stands beside each other on a page: experiments, and those that differ in nothing but their seed as one.

use serde::Serialize;

use crate::store::RecordedPlan;
use crate::study::over_seeds::{Claim, whose};

/// What a person names: an experiment, or those that a file makes of seeds and of what it sweeps.
#[derive(Debug)]
pub struct Asked {
    /// The experiments; those of one setting that differ in their seed are told as one.
    pub plans: Vec<RecordedPlan>,
    /// What their file claims of them.
    pub claims: Vec<Claim>,
}

/// A seed of several, and where its rows are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seed {
    /// The seed.
    pub seed: u64,
    /// The experiment that the store has of it, as `quickstart@seed=1`.
    pub experiment: String,
}

/// Experiments that are told as one.
pub(super) struct Series {
    /// What they have in common, as `quickstart@rho=0.2`; of one experiment its name.
    pub(super) name: String,
    /// The name that their file gives them.
    pub(super) family: String,
    /// What was swept, as `rho=0.2`.
    pub(super) swept: String,
    /// By their seeds.
    pub(super) plans: Vec<(u64, RecordedPlan)>,
}

impl Series {
    /// Parts what was asked for by what it sweeps, in its order.
    pub(super) fn all(asked: &[Asked]) -> Vec<Self> {
        asked.iter().flat_map(|asked| Self::of(&asked.plans)).collect()
    }

    fn of(plans: &[RecordedPlan]) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for plan in plans {
            let (family, swept, seed) = whose(plan);
            let at = (seed, plan.clone());
            let is_same = |one: &&mut Self| one.family == family && one.swept == swept;
            if let Some(known) = found.iter_mut().find(is_same) {
                known.plans.push(at);
            } else {
                let name = plan.experiment.clone();
                found.push(Self { name, family, swept, plans: vec![at] });
            }
        }
        for one in found.iter_mut().filter(|one| one.plans.len() > 1) {
            one.plans.sort_by_key(|(seed, _)| *seed);
            let at = if one.swept.is_empty() { "" } else { "@" };
            one.name = format!("{}{at}{}", one.family, one.swept);
        }
        found
    }

    /// Its seeds, where there are several.
    pub(super) fn seeds(&self) -> Vec<Seed> {
        let seed = |(seed, plan): &(u64, RecordedPlan)| Seed {
            seed: *seed,
            experiment: plan.experiment.clone(),
        };
        if self.plans.len() > 1 { self.plans.iter().map(seed).collect() } else { Vec::new() }
    }

    /// Whether its seed is known, so that it may be held against others at equal seeds.
    pub(super) fn is_seeded(&self) -> bool {
        self.plans.iter().all(|(_, plan)| plan.variant.is_some())
    }

    /// The experiment whose rows are shown: of those of which most is made the first.
    pub(super) fn shown(&self) -> Option<&(u64, RecordedPlan)> {
        let made = |plan: &RecordedPlan| plan.nodes.iter().filter(|node| node.finished).count();
        let most = self.plans.iter().map(|(_, plan)| made(plan)).max()?;
        self.plans.iter().find(|(_, plan)| made(plan) == most)
    }

    /// The experiments of two series that are compared: those of the first seed that both have.
    pub(super) fn counterparts<'a>(
        &'a self,
        other: &'a Self,
    ) -> Option<(&'a RecordedPlan, &'a RecordedPlan)> {
        let same = self.plans.iter().find_map(|(seed, plan)| {
            let found = other.plans.iter().find(|(known, _)| known == seed);
            found.map(|(_, counterpart)| (plan, counterpart))
        });
        same.or_else(|| Some((&self.plans.first()?.1, &other.plans.first()?.1)))
    }
}
