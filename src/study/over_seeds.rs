//! What experiments come to over their seeds: means, and differences at equal seeds. Seeds are the independent units:
//! intervals are Student's t over them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::recorded::Error;
use crate::query::Session;
use crate::stats::{Clusters, Values, holm};
use crate::store::{RecordedPlan, Store};

/// The numbers that models are compared by over seeds.
pub const COMPARED: [&str; 4] =
    ["win_rate", "length_controlled_win_rate", "judge_agreement", "response_chars"];

/// Nominal coverage of the intervals.
const LEVEL: f64 = 0.95;

/// The numbers of experiments that differ in their seeds, and in what they sweep.
pub struct OverSeeds {
    /// By what is swept and its value, as `rho=0.2`, then model and estimate: the value at each seed.
    values: BTreeMap<(Place, String), BySeed>,
    /// What is swept, in the order of the experiments.
    swept: Vec<String>,
}

type BySeed = BTreeMap<u64, f64>;

/// A model, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The name that the experiments of a file have in common.
    pub family: String,
    /// What was swept, as `rho=0.2`; empty where nothing was.
    pub swept: String,
    /// As `m4`.
    pub model: String,
}

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// Seeds that have a value.
    pub seeds: usize,
    /// The mean.
    pub mean: f64,
    /// What is added and taken away for the interval; `None` for one seed, or where all say the same.
    pub half: Option<f64>,
    /// The probability of a mean this far from 0 if the truth were 0.
    pub p: Option<f64>,
}

/// That a model has more of something than another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it says, for a person.
    pub name: String,
    /// The model that is said to have more: `m4`, `rho=0.2/m4`, or `experiment/m4`.
    pub model: String,
    /// The model that it is said to beat.
    pub beats: String,
    /// Of which estimate, as `win_rate`.
    pub by: String,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Tested {
    /// What it says.
    pub name: String,
    /// Of which estimate.
    pub by: String,
    /// By how much the model has more, on average over the seeds that both have; `None` where there are none.
    pub difference: Option<Mean>,
    /// Its probability, corrected for the number of claims (Holm, 1979).
    pub p_holm: Option<f64>,
    /// Whether it holds.
    pub holds: Holds,
}

/// Whether a claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Holds {
    /// It does.
    #[serde(rename = "yes")]
    Yes,
    /// The opposite does.
    #[serde(rename = "no")]
    No,
    /// These seeds do not show either.
    #[serde(rename = "not shown")]
    NotShown,
}

#[derive(Deserialize)]
struct Row {
    experiment: String,
    model: String,
    name: String,
    value: f64,
}

const NUMBERS: &str = "\
SELECT experiment, model, name, value FROM estimates e
WHERE e.\"group\" = 'all' AND value IS NOT NULL AND (part IS NULL OR NOT regexp_full_match(part, 'epoch\\d+'))
ORDER BY ALL";

impl OverSeeds {
    /// Reads the numbers of recorded experiments.
    ///
    /// # Errors
    /// Where the store is damaged.
    pub fn of(store: &Store, plans: &[RecordedPlan]) -> Result<Self, Error> {
        let names: Vec<&str> = plans.iter().map(|plan| plan.experiment.as_str()).collect();
        let rows: Vec<Row> = Session::of(store, &names)?.rows(NUMBERS)?;
        let known: BTreeMap<&str, &RecordedPlan> =
            plans.iter().map(|plan| (plan.experiment.as_str(), plan)).collect();
        let mut swept: Vec<String> = Vec::new();
        for plan in plans {
            let (_, own, _) = whose(plan);
            if !swept.contains(&own) {
                swept.push(own);
            }
        }
        let mut values: BTreeMap<(Place, String), BySeed> = BTreeMap::new();
        for Row { experiment, model, name, value } in rows {
            let Some(plan) = known.get(experiment.as_str()) else { continue };
            let (family, swept, seed) = whose(plan);
            let place = Place { family, swept, model };
            values.entry((place, name)).or_default().insert(seed, value);
        }
        Ok(Self { values, swept })
    }

    /// Every model of a family that has one of these numbers, in order.
    #[must_use]
    pub fn places(&self, family: &str, names: &[&str]) -> Vec<Place> {
        let own = self.values.keys().filter(|(place, _)| place.family == family);
        let named = own.filter(|(_, name)| names.contains(&name.as_str()));
        let places: BTreeSet<Place> = named.map(|(place, _)| place.clone()).collect();
        let mut places: Vec<Place> = places.into_iter().collect();
        let order = |place: &Place| self.swept.iter().position(|swept| *swept == place.swept);
        places.sort_by_key(|p| (order(p), p.model.len(), p.model.clone()));
        places
    }

    /// The model that is meant by `experiment/m4`, or by `experiment@rho=0.2/m4`; `None` where it has no numbers.
    #[must_use]
    pub fn place(&self, said: &str) -> Option<Place> {
        let place = place_of(said, "", "");
        self.values.keys().any(|(known, _)| *known == place).then_some(place)
    }

    /// The numbers of a model, but for those that stand beside another.
    #[must_use]
    pub fn names(&self, of: &Place) -> Vec<&str> {
        let own = self.values.keys().filter(|(place, name)| place == of && !name.contains('/'));
        own.map(|(_, name)| name.as_str()).collect()
    }

    /// The mean of a number of a model.
    #[must_use]
    pub fn mean(&self, place: &Place, name: &str) -> Option<Mean> {
        let values = self.values.get(&(place.clone(), name.to_owned()))?;
        Mean::of(values.values().copied().collect())
    }

    /// By how much the first has more of a number than the second, at seeds that both have.
    fn difference(&self, [more, less]: [&Place; 2], name: &str) -> Option<Mean> {
        let of = |place: &Place| self.values.get(&(place.clone(), name.to_owned()));
        let (more, less) = (of(more)?, of(less)?);
        let both = more.iter().filter_map(|(seed, value)| Some(value - less.get(seed)?));
        Mean::of(both.collect())
    }

    /// Tests claims of a family, each in everything that it sweeps unless the claim names one.
    #[must_use]
    pub fn test(&self, family: &str, claims: &[Claim]) -> Vec<Tested> {
        let of_family = self.values.keys().filter(|(place, _)| place.family == family);
        let known: BTreeSet<&str> = of_family.map(|(place, _)| place.swept.as_str()).collect();
        let swept: Vec<&str> =
            self.swept.iter().map(String::as_str).filter(|swept| known.contains(swept)).collect();
        let mut asked = Vec::new();
        for claim in claims {
            let fixed = [&claim.model, &claim.beats].iter().all(|said| said.contains('/'));
            let cases = if fixed || swept.is_empty() { vec![""] } else { swept.clone() };
            let many = cases.len() > 1;
            asked.extend(cases.into_iter().map(|case| {
                let place = |said: &str| place_of(said, family, case);
                let name =
                    if many { format!("{} ({case})", claim.name) } else { claim.name.clone() };
                (name, [place(&claim.model), place(&claim.beats)], claim.by.clone())
            }));
        }
        self.compare(asked)
    }

    /// Tests of two models each whether the first has more of a number, which are asked together: each by its name,
    /// the models, and the number.
    #[must_use]
    pub fn compare(
        &self,
        asked: impl IntoIterator<Item = (String, [Place; 2], String)>,
    ) -> Vec<Tested> {
        let test = |(name, both, by): (String, [Place; 2], String)| {
            let difference = self.difference(both.each_ref(), &by);
            Tested { name, by, difference, p_holm: None, holds: Holds::NotShown }
        };
        corrected(asked.into_iter().map(test).collect())
    }
}

/// Corrects the probabilities for their number, and says what holds.
fn corrected(mut tested: Vec<Tested>) -> Vec<Tested> {
    let known: Vec<(usize, f64)> =
        (0..).zip(&tested).filter_map(|(at, test)| Some((at, test.difference?.p?))).collect();
    let p_values: Vec<f64> = known.iter().map(|(_, p)| *p).collect();
    for ((at, _), p) in known.iter().zip(holm(&p_values)) {
        let test = &mut tested[*at];
        test.p_holm = Some(p);
        test.holds = match test.difference {
            Some(Mean { mean, .. }) if p < 1.0 - LEVEL && mean > 0.0 => Holds::Yes,
            Some(Mean { mean, .. }) if p < 1.0 - LEVEL && mean < 0.0 => Holds::No,
            _ => Holds::NotShown,
        };
    }
    tested
}

/// Whose numbers a recorded experiment has: the name of its file, what was swept, and its seed.
pub(super) fn whose(plan: &RecordedPlan) -> (String, String, u64) {
    match &plan.variant {
        None => (plan.experiment.clone(), String::new(), 0),
        Some(variant) => {
            let label = plan.experiment.split_once('@').map_or("", |(_, label)| label);
            let seed = format!("seed={}", variant.seed);
            let swept = label.strip_suffix(&seed).unwrap_or(label).trim_end_matches(',');
            (variant.family.clone(), swept.to_owned(), variant.seed)
        }
    }
}

/// The model that a claim means: of this family, of what is swept in it, or of another.
fn place_of(said: &str, family: &str, swept: &str) -> Place {
    let (whose, model) = match said.rsplit_once('/') {
        None => ((family, swept), said),
        Some((whose, model)) => match whose.split_once('@') {
            Some(both) => (both, model),
            None if whose.contains('=') => ((family, whose), model),
            None => ((whose, ""), model),
        },
    };
    let (family, swept) = (whose.0.to_owned(), whose.1.to_owned());
    Place { family, swept, model: model.to_owned() }
}

/// As `quickstart/m4`, or `quickstart@rho=0.2/m4`: what [`OverSeeds::place`] finds.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.swept.is_empty() { "" } else { "@" };
        write!(f, "{}{at}{}/{}", self.family, self.swept, self.model)
    }
}

impl Mean {
    pub(super) fn of(values: Vec<f64>) -> Option<Self> {
        let (seeds, ones) = (values.len(), vec![1.0; values.len()]);
        let values = Values::new(values, ones, Clusters::rows(seeds)).ok()?;
        let mean = values.mean()?;
        let half = values.interval(LEVEL).map(|(interval, _)| interval.high - mean);
        Some(Self { seeds, mean, half, p: values.p_value() })
    }

    /// The interval's lower end.
    #[must_use]
    pub fn low(&self) -> Option<f64> {
        self.half.map(|half| self.mean - half)
    }

    /// The interval's upper end.
    #[must_use]
    pub fn high(&self) -> Option<f64> {
        self.half.map(|half| self.mean + half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_seeds(rows: &[(&str, &str, &str, &[f64])]) -> OverSeeds {
        let value = |(family, swept, model, values): &(&str, &str, &str, &[f64])| {
            let [family, swept, model] = [*family, *swept, *model].map(str::to_owned);
            let by_seed = (0..).zip(values.iter().copied()).collect();
            ((Place { family, swept, model }, "win_rate".to_owned()), by_seed)
        };
        let mut swept: Vec<String> =
            rows.iter().map(|(_, swept, ..)| (*swept).to_owned()).collect();
        swept.dedup();
        OverSeeds { values: rows.iter().map(value).collect(), swept }
    }

    fn claim(model: &str, beats: &str) -> Claim {
        let [name, model, beats, by] = ["it", model, beats, "win_rate"].map(str::to_owned);
        Claim { name, model, beats, by }
    }

    #[test]
    fn means_are_those_of_students_t_over_seeds() {
        let all = over_seeds(&[("loop", "", "m1", &[0.6, 0.7, 0.65, 0.75])]);
        let place = place_of("m1", "loop", "");
        let mean = all.mean(&place, "win_rate").unwrap();
        // s = 0.06454972, t(0.975, 3) = 3.18244631, s·t/2 = 0.10271245; t of 0.675 is 20.9131, p = 0.00023852.
        assert_eq!(mean.seeds, 4);
        assert!((mean.mean - 0.675).abs() < 1e-12);
        assert!((mean.half.unwrap() - 0.102_712_4).abs() < 1e-6, "{mean:?}");
        assert!((mean.p.unwrap() - 2.385_2e-4).abs() < 1e-6, "{mean:?}");
        let one = over_seeds(&[("loop", "", "m1", &[0.6])]).mean(&place, "win_rate").unwrap();
        assert_eq!((one.mean, one.half, one.p), (0.6, None, None));
        assert_eq!(all.mean(&place, "judge_agreement"), None);
    }

    #[test]
    fn a_claim_holds_where_the_seeds_show_it_whatever_else_is_asked() {
        let all = over_seeds(&[
            ("loop", "", "m1", &[0.60, 0.62, 0.61, 0.60]),
            ("loop", "", "m4", &[0.70, 0.73, 0.70, 0.71]),
            ("other", "", "m4", &[0.50, 0.71, 0.90, 0.72]),
        ]);
        let claims =
            [claim("m4", "m1"), claim("m1", "m4"), claim("m4", "other/m4"), claim("m9", "m1")];
        let tested = all.test("loop", &claims);
        let holds: Vec<Holds> = tested.iter().map(|test| test.holds).collect();
        assert_eq!(holds, [Holds::Yes, Holds::No, Holds::NotShown, Holds::NotShown]);
        assert!((tested[0].difference.unwrap().mean - 0.1025).abs() < 1e-9);
        let (alone, among) = (tested[0].difference.unwrap().p.unwrap(), tested[0].p_holm.unwrap());
        assert!((among - 3.0 * alone).abs() < 1e-12, "one of three that have a probability");
        assert_eq!(tested[3].difference, None);
    }

    #[test]
    fn a_claim_is_tested_in_each_thing_that_is_swept() {
        let all = over_seeds(&[
            ("loop", "rho=0.0", "m1", &[0.5, 0.5]),
            ("loop", "rho=0.0", "m4", &[0.6, 0.7]),
            ("loop", "rho=0.2", "m1", &[0.5, 0.5]),
            ("loop", "rho=0.2", "m4", &[0.8, 0.9]),
        ]);
        let tested = all.test("loop", &[claim("m4", "m1"), claim("rho=0.2/m4", "rho=0.0/m4")]);
        let names: Vec<&str> = tested.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names, ["it (rho=0.0)", "it (rho=0.2)", "it"]);
        let means: Vec<f64> = tested.iter().map(|test| test.difference.unwrap().mean).collect();
        assert!(means.iter().zip([0.15, 0.35, 0.2]).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
