//! The choice among the epochs that a training keeps: `train.m1` is the model after one of them, and says
//! which, and why. The paper picks an epoch, and does not say how (Meta-Rewarding, section 3.1).

use serde::Serialize;

use super::epoch::Epochs;
use crate::records::{Choice, Estimate};
use crate::runner::{Io, Signature, Stage, StageError};

/// Chooses the model.
#[derive(Debug, Clone, Serialize)]
pub struct Choose {
    /// By which rule.
    pub choose: EpochRule,
}

/// Which epoch is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochRule {
    /// The last.
    Last,
    /// This one.
    Epoch(usize),
    /// The one with the highest value of this estimate; of equal ones the earliest.
    Best(String),
}

impl Choose {
    /// 1: the first.
    const VERSION: u32 = 1;

    /// The inputs of what each epoch is estimated to be worth, the first one's first.
    pub const ESTIMATES: [&'static str; 20] = [
        "estimates_1",
        "estimates_2",
        "estimates_3",
        "estimates_4",
        "estimates_5",
        "estimates_6",
        "estimates_7",
        "estimates_8",
        "estimates_9",
        "estimates_10",
        "estimates_11",
        "estimates_12",
        "estimates_13",
        "estimates_14",
        "estimates_15",
        "estimates_16",
        "estimates_17",
        "estimates_18",
        "estimates_19",
        "estimates_20",
    ];
}

/// No epoch has a value to be chosen by.
#[derive(Debug, thiserror::Error)]
#[error("no epoch has a value of `{estimate}` to be chosen by; the last: {method}")]
struct NoValue {
    estimate: String,
    method: String,
}

impl Stage for Choose {
    fn signature(&self) -> Signature {
        Signature::of("choose", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let epochs = Epochs::read(io)?;
        let numbers = epochs.numbers();
        let (chosen, rows) = match &self.choose {
            EpochRule::Last => {
                let last = numbers.last().copied().unwrap_or(1);
                (last, unvalued(&numbers, last, "last")?)
            }
            EpochRule::Epoch(epoch) => (*epoch, unvalued(&numbers, *epoch, "epoch")?),
            EpochRule::Best(estimate) => best(io, &numbers, estimate)?,
        };
        epochs.take(io, chosen)?;
        io.write(rows.into_iter().map(Ok))
    }
}

/// A row for each epoch, where none was estimated.
fn unvalued(numbers: &[usize], chosen: usize, rule: &str) -> Result<Vec<Choice>, StageError> {
    let row = |&number: &usize| -> Result<Choice, StageError> {
        Ok(Choice {
            epoch: i32::try_from(number)?,
            chosen: number == chosen,
            rule: rule.to_owned(),
            estimate: None,
            value: None,
            low: None,
            high: None,
            level: None,
            n: None,
        })
    };
    numbers.iter().map(row).collect()
}

/// The epoch of the highest value, and a row for each with its own.
fn best(
    io: &Io<'_>,
    numbers: &[usize],
    estimate: &str,
) -> Result<(usize, Vec<Choice>), StageError> {
    let mut rows = unvalued(numbers, 0, "best")?;
    let mut method = "there is no such estimate".to_owned();
    for ((row, epoch), input) in rows.iter_mut().zip(numbers).zip(Choose::ESTIMATES) {
        row.estimate = Some(estimate.to_owned());
        let Some(found) = estimated(io, input, estimate)? else { continue };
        (row.value, row.low, row.high) = (found.value, found.low, found.high);
        (row.level, row.n) = (found.level, Some(found.n));
        if found.value.is_none() {
            let why = &found.method;
            io.warn(format!("epoch {epoch} has no {estimate}, and is not chosen: {why}"));
            method = found.method;
        }
    }
    let values: Vec<Option<f64>> = rows.iter().map(|row| row.value).collect();
    let place = highest(&values);
    let place = place.ok_or_else(|| NoValue { estimate: estimate.to_owned(), method })?;
    rows[place].chosen = true;
    Ok((numbers[place], rows))
}

/// The estimate of this name over all rows.
fn estimated(io: &Io<'_>, input: &str, name: &str) -> Result<Option<Estimate>, StageError> {
    for estimate in io.rows::<Estimate>(input)? {
        let estimate = estimate?;
        if estimate.name == name && estimate.group == "all" {
            return Ok(Some(estimate));
        }
    }
    Ok(None)
}

/// Where the highest value stands; of equal ones, the first.
fn highest(values: &[Option<f64>]) -> Option<usize> {
    let known = values.iter().enumerate().filter_map(|(place, value)| Some((place, (*value)?)));
    known.reduce(|most, next| if next.1 > most.1 { next } else { most }).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_values_the_first_is_the_highest_and_one_that_is_not_there_is_none() {
        assert_eq!(highest(&[Some(0.5), Some(0.7), Some(0.7), Some(0.6)]), Some(1));
        assert_eq!(highest(&[None, Some(-1.0), Some(-2.0), None]), Some(1));
        assert_eq!(highest(&[Some(0.0), Some(0.0)]), Some(0));
        assert_eq!(highest(&[None, None]), None);
        assert_eq!(highest(&[]), None);
    }
}
