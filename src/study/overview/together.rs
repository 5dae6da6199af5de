//! What experiments show together over their seeds: how models differ at equal seeds, and which claims hold.

use serde::Serialize;

use super::series::{Asked, Series};
use crate::store::{RecordedPlan, Store};
use crate::study::beside::Beside;
use crate::study::over_seeds::{COMPARED, Holds, OverSeeds, Place, Tested};
use crate::study::recorded::Error;

/// What is shown over seeds.
#[derive(Debug, Serialize)]
pub struct Together {
    /// What the files claim of their models.
    pub claims: Vec<ToldClaim>,
    /// The latest model of each other experiment against that of the first, each number corrected for how many
    /// experiments are held against it.
    pub between: Vec<Beside>,
    /// The latest model of each experiment against its first, each two corrected for how many numbers they have.
    pub within: Vec<Beside>,
}

/// A claim, and what became of it.
#[derive(Debug, Serialize)]
pub struct ToldClaim {
    /// The name that its file gives its experiments.
    pub family: String,
    /// What it says.
    pub name: String,
    /// Of which estimate.
    pub by: String,
    /// Seeds that both models have the number at.
    pub seeds: usize,
    /// By how much the model has more, on average over these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
    /// The interval's lower end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// The probability, corrected for the number of claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_holm: Option<f64>,
    /// Whether it holds.
    pub holds: Holds,
}

/// Tells what is shown over seeds, where there are several of anything; `others` are experiments that claims name
/// and nobody asked for.
pub(super) fn together(
    store: &Store,
    (asked, series): (&[Asked], &[Series]),
    others: &[RecordedPlan],
) -> Result<Option<Together>, Error> {
    if series.iter().all(|one| one.plans.len() < 2) {
        return Ok(None);
    }
    let own = series.iter().flat_map(|one| one.plans.iter().map(|(_, plan)| plan));
    let is_own = |plan: &RecordedPlan| own.clone().any(|own| own.experiment == plan.experiment);
    let plans: Vec<RecordedPlan> =
        own.clone().chain(others.iter().filter(|plan| !is_own(plan))).cloned().collect();
    let numbers = OverSeeds::of(store, &plans)?;
    let claims = asked.iter().flat_map(|asked| claims(&numbers, asked)).collect();
    let between = COMPARED.iter().flat_map(|name| between(&numbers, series, name)).collect();
    let several = series.iter().filter(|one| one.plans.len() > 1);
    let within = several.flat_map(|one| within(&numbers, one)).collect();
    Ok(Some(Together { claims, between, within }))
}

fn claims(numbers: &OverSeeds, asked: &Asked) -> Vec<ToldClaim> {
    let family = asked.plans.iter().find_map(|plan| plan.variant.as_ref()).map(|v| &v.family);
    let Some(family) = family else { return Vec::new() };
    let told = |Tested { name, by, difference, p_holm, holds }: Tested| ToldClaim {
        family: family.clone(),
        name,
        by,
        seeds: difference.map_or(0, |difference| difference.seeds),
        difference: difference.map(|difference| difference.mean),
        low: difference.and_then(|difference| difference.low()),
        high: difference.and_then(|difference| difference.high()),
        p_holm,
        holds,
    };
    numbers.test(family, &asked.claims).into_iter().map(told).collect()
}

/// The models of some experiments that have one of these numbers, M0 first.
fn models(numbers: &OverSeeds, of: &Series, names: &[&str]) -> Vec<Place> {
    let places = numbers.places(&of.family, names).into_iter();
    places.filter(|place| place.swept == of.swept).collect()
}

fn between(numbers: &OverSeeds, series: &[Series], name: &str) -> Vec<Beside> {
    let mut seeded = series.iter().filter(|one| one.is_seeded());
    let latest = |one: &Series| models(numbers, one, &[name]).pop();
    let Some(first) = seeded.next().and_then(latest) else { return Vec::new() };
    let asked = seeded.filter_map(latest).map(|other| ([other, first.clone()], name.to_owned()));
    let all = Beside::all(numbers, asked.collect());
    // What one seed of each differs by is no difference over seeds.
    if all.iter().all(|one| one.seeds < 2) { Vec::new() } else { all }
}

/// Against M0, and where M0 plays no games, for everyone plays it, against the first that does.
fn within(numbers: &OverSeeds, one: &Series) -> Vec<Beside> {
    let all = models(numbers, one, &COMPARED);
    let playing = models(numbers, one, &COMPARED[..1]);
    let (Some(first), Some(latest)) = (all.first(), all.last()) else { return Vec::new() };
    let players = playing.first().filter(|player| *player != first);
    let beside = [Some(first), players].into_iter().flatten().filter(|other| *other != latest);
    beside.flat_map(|other| Beside::of_both(numbers, latest, other)).collect()
}
