//! Two models over seeds beside each other: their means, and by how much they differ at equal seeds.

use serde::Serialize;

use super::over_seeds::{Holds, OverSeeds, Place, Tested};

/// A number of two models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// The model that is held against the other, as `quickstart@rho=0.2/m4`.
    pub model: String,
    /// The other.
    pub against: String,
    /// The number.
    pub name: String,
    /// Seeds that both have it at.
    pub seeds: usize,
    /// Its mean of the other model.
    pub before: f64,
    /// Its mean of the model.
    pub after: f64,
    /// By how much the model has more, on average over these seeds.
    pub difference: f64,
    /// The interval's lower end; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// The probability, corrected for all that is asked together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_holm: Option<f64>,
    /// Whether the model is shown to have more.
    pub more: Holds,
}

impl Beside {
    /// Every number that two models have, corrected for how many these are.
    #[must_use]
    pub fn of_both(numbers: &OverSeeds, model: &Place, against: &Place) -> Vec<Self> {
        let names = numbers.names(against).into_iter().map(str::to_owned);
        Self::all(numbers, names.map(|name| ([model.clone(), against.clone()], name)).collect())
    }

    /// Numbers of a model and of another that it is held against, corrected for how many are asked for.
    #[must_use]
    pub fn all(numbers: &OverSeeds, asked: Vec<([Place; 2], String)>) -> Vec<Self> {
        let tests = asked.iter().map(|(both, name)| (String::new(), both.clone(), name.clone()));
        let tested = numbers.compare(tests);
        let told = asked.iter().zip(tested);
        told.filter_map(|((both, name), tested)| Self::of(numbers, both, name, &tested)).collect()
    }

    fn of(
        numbers: &OverSeeds,
        [model, against]: &[Place; 2],
        name: &str,
        tested: &Tested,
    ) -> Option<Self> {
        let difference = tested.difference?;
        Some(Self {
            model: model.to_string(),
            against: against.to_string(),
            name: name.to_owned(),
            seeds: difference.seeds,
            before: numbers.mean(against, name)?.mean,
            after: numbers.mean(model, name)?.mean,
            difference: difference.mean,
            low: difference.low(),
            high: difference.high(),
            p_holm: tested.p_holm,
            more: tested.holds,
        })
    }
}
