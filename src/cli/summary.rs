//! What a run came to: a line for each model, what is claimed of them, and what to ask next.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::suggestions::{page_of, suggest, suggestions};
use super::ui::{Ui, seconds};
use crate::experiment::{Claimed, Experiment};
use crate::store::{RecordedPlan, Store};
use crate::study::{self, COMPARED, Claim, Holds, Mean, ModelNumbers, OverSeeds, Place, Tested};

/// A line as it is printed.
#[derive(Serialize, Deserialize)]
struct ModelLine {
    model: String,
    #[serde(rename = "win rate")]
    win_rate: Option<String>,
    #[serde(rename = "at equal length")]
    length_controlled: Option<String>,
    #[serde(rename = "judge agrees")]
    agreement: Option<String>,
    chars: Option<String>,
    /// Of actor and judge.
    pairs: Option<String>,
    time: String,
}

impl From<ModelNumbers> for ModelLine {
    fn from(known: ModelNumbers) -> Self {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let win_rate = known.win_rate.map(|rate| match (known.low, known.high) {
            (Some(low), Some(high)) => {
                format!("{} [{:.1}, {:.1}]", percent(rate), 100.0 * low, 100.0 * high)
            }
            _ => percent(rate),
        });
        let pairs = known.actor_pairs.zip(known.judge_pairs);
        Self {
            model: known.model,
            win_rate,
            length_controlled: known.length_controlled.map(percent),
            agreement: known.agreement.map(percent),
            chars: known.chars.map(|chars| format!("{chars:.1}")),
            pairs: pairs.map(|(actor, judge)| format!("{actor:.0} + {judge:.0}")),
            time: seconds(known.seconds),
        }
    }
}

/// Prints what the experiments of a file came to: models over seeds and the claims that are made of them, or of one
/// experiment its models. Where something was made, commands follow that go on from it.
pub(super) fn tell(
    store: &Store,
    experiments: &[Experiment],
    made: bool,
    ui: &Ui,
) -> Result<(), Failure> {
    match experiments {
        [] => Ok(()),
        [one] => tell_one(store, &one.plan().experiment, made, ui),
        [first, ..] => {
            let Some(variant) = &first.plan().variant else { return Ok(()) };
            let claims: Vec<Claim> = first.claims().iter().cloned().map(claimed).collect();
            let plans = recorded(store, experiments, &variant.family, &claims)?;
            let numbers = OverSeeds::of(store, &plans)?;
            tell_over_seeds(&numbers, &variant.family, ui)?;
            tell_claims(&numbers, &variant.family, &claims, ui)?;
            if made && !numbers.places(&variant.family, &["win_rate"]).is_empty() {
                suggest(&[page_of(&variant.family)], ui);
            }
            Ok(())
        }
    }
}

/// A line of models over seeds.
#[derive(Serialize, Deserialize)]
struct SeedsLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    swept: Option<String>,
    model: String,
    seeds: usize,
    #[serde(rename = "win rate")]
    win_rate: Option<String>,
    #[serde(rename = "at equal length")]
    length_controlled: Option<String>,
    #[serde(rename = "judge agrees")]
    agreement: Option<String>,
    chars: Option<String>,
}

/// Writes `70.2 % ± 4.2`.
fn percent(mean: Mean) -> String {
    let half = mean.half.map_or(String::new(), |half| format!(" ± {:.1}", 100.0 * half));
    format!("{:.1} %{half}", 100.0 * mean.mean)
}

/// What the store has recorded of experiments, in their order, and of those of other files that claims name.
fn recorded(
    store: &Store,
    experiments: &[Experiment],
    family: &str,
    claims: &[Claim],
) -> Result<Vec<RecordedPlan>, Failure> {
    let own = experiments.iter().map(|experiment| store.plan(&experiment.plan().experiment));
    let mut plans = own.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
    plans.extend(others_claimed(store, family, claims)?);
    Ok(plans)
}

/// What the store has recorded of experiments of other files that claims name.
pub(super) fn others_claimed(
    store: &Store,
    family: &str,
    claims: &[Claim],
) -> Result<Vec<RecordedPlan>, Failure> {
    let models = claims.iter().flat_map(|claim| [&claim.model, &claim.beats]);
    let whose = models.filter_map(|model| model.rsplit_once('/'));
    let named: BTreeSet<&str> =
        whose.map(|(whose, _)| whose.split_once('@').map_or(whose, |(other, _)| other)).collect();
    let is_named = |plan: &RecordedPlan| {
        let other = plan.variant.as_ref().map_or(&plan.experiment, |variant| &variant.family);
        other != family && named.contains(other.as_str())
    };
    if named.is_empty() {
        return Ok(Vec::new());
    }
    Ok(store.plans()?.into_iter().filter(is_named).collect())
}

fn tell_over_seeds(numbers: &OverSeeds, family: &str, ui: &Ui) -> Result<(), Failure> {
    let places = numbers.places(family, &COMPARED);
    if places.is_empty() {
        return Ok(());
    }
    let swept = places.iter().any(|place| !place.swept.is_empty());
    let line = |place: &Place| {
        let [win_rate, length_controlled, agreement, chars] =
            COMPARED.map(|name| numbers.mean(place, name));
        let all = [win_rate, length_controlled, agreement, chars].into_iter().flatten();
        SeedsLine {
            swept: swept.then(|| place.swept.clone()),
            model: place.model.clone(),
            seeds: all.map(|mean| mean.seeds).max().unwrap_or(0),
            win_rate: win_rate.map(percent),
            length_controlled: length_controlled.map(percent),
            agreement: agreement.map(percent),
            chars: chars.map(|mean| match mean.half {
                Some(half) => format!("{:.1} ± {half:.1}", mean.mean),
                None => format!("{:.1}", mean.mean),
            }),
        }
    };
    ui.say("");
    let lines: Vec<SeedsLine> = places.iter().map(line).collect();
    super::tables::print_rows(ui, crate::query::Format::Table, &lines)?;
    ui.say("\nmeans over seeds, with Student's t over seeds at 95 %");
    tell_differences(numbers, &places, ui)
}

/// A line of differences at equal seeds.
#[derive(Serialize, Deserialize)]
struct DifferenceLine {
    swept: String,
    beside: String,
    model: String,
    of: String,
    difference: String,
    #[serde(rename = "p (Holm)")]
    p: Option<String>,
}

/// Prints by how much the last model of all that is swept differs from that of the first value, at equal seeds.
fn tell_differences(numbers: &OverSeeds, places: &[Place], ui: &Ui) -> Result<(), Failure> {
    let Some(first) = places.first().map(|place| place.swept.clone()) else { return Ok(()) };
    let last = places.iter().rev().find(|place| place.swept == first).map(|p| p.model.clone());
    let Some(model) = last else { return Ok(()) };
    let mut lines = Vec::new();
    for name in ["win_rate", "judge_agreement", "response_chars"] {
        let others = places.iter().filter(|p| p.model == model && p.swept != first);
        let asked = others.map(|place| {
            let beside = Place { swept: first.clone(), ..place.clone() };
            (place.swept.clone(), [place.clone(), beside], name.to_owned())
        });
        for Tested { name: swept, difference, p_holm, .. } in numbers.compare(asked) {
            let Some(difference) = difference else { continue };
            lines.push(DifferenceLine {
                swept,
                beside: first.clone(),
                model: model.clone(),
                of: name.to_owned(),
                difference: signed(difference),
                p: p_holm.map(|p| format!("{p:.3}")),
            });
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    ui.say("");
    super::tables::print_rows(ui, crate::query::Format::Table, &lines)?;
    ui.say("\ndifferences at equal seeds; p is corrected for the number of values that are swept");
    Ok(())
}

/// Writes `0.062 [0.042, 0.081]`.
fn signed(of: Mean) -> String {
    match of.low().zip(of.high()) {
        Some((low, high)) => format!("{:.3} [{low:.3}, {high:.3}]", of.mean),
        None => format!("{:.3}", of.mean),
    }
}

/// A claim, and what became of it.
#[derive(Serialize, Deserialize)]
struct ClaimLine {
    claim: String,
    seeds: usize,
    difference: Option<String>,
    #[serde(rename = "p (Holm)")]
    p: Option<String>,
    holds: String,
}

fn tell_claims(
    numbers: &OverSeeds,
    family: &str,
    claims: &[Claim],
    ui: &Ui,
) -> Result<(), Failure> {
    if claims.is_empty() {
        return Ok(());
    }
    let line = |Tested { name, difference, p_holm, holds, .. }: Tested| ClaimLine {
        claim: name,
        seeds: difference.map_or(0, |difference| difference.seeds),
        difference: difference.map(signed),
        p: p_holm.map(|p| format!("{p:.3}")),
        holds: match holds {
            Holds::Yes => "yes",
            Holds::No => "no",
            Holds::NotShown => "not shown",
        }
        .to_owned(),
    };
    ui.say("");
    let lines: Vec<ClaimLine> = numbers.test(family, claims).into_iter().map(line).collect();
    super::tables::print_rows(ui, crate::query::Format::Table, &lines)
}

pub(super) fn claimed(Claimed { name, model, beats, by }: Claimed) -> Claim {
    Claim { name, model, beats, by }
}

/// Prints the table of an experiment's models.
fn tell_one(store: &Store, experiment: &str, made: bool, ui: &Ui) -> Result<(), Failure> {
    let models = study::models(store, experiment)?;
    if models.is_empty() {
        return Ok(());
    }
    let last = models.iter().rev().find(|model| model.win_rate.is_some());
    let next = suggestions(experiment, last.map(|model| model.model.as_str()));
    let lines: Vec<ModelLine> = models.into_iter().map(ModelLine::from).collect();
    ui.say("");
    super::tables::print_rows(ui, crate::query::Format::Table, &lines)?;
    if !made {
        return Ok(());
    }
    suggest(&next, ui);
    Ok(())
}
