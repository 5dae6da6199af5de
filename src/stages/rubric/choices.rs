//! The few verdicts that there are, for a judge that is not asked to write: the probability of each is
//! read instead.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Rule;
use crate::records::{RowId, Weighed};

/// What a verdict may be, and what stands before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choices {
    /// What the judge is taken to have written, as `Score: `.
    pub prefix: String,
    /// Each verdict that there may be; at least two.
    pub verdicts: Vec<Choice>,
}

/// A verdict as a text and as a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// As it is written.
    pub text: String,
    /// As it is read.
    pub value: f64,
}

impl Choices {
    /// Adds the verdicts that are weighed to an id, where any are.
    pub(in crate::stages) fn name(choices: Option<&Self>, id: RowId) -> RowId {
        match choices {
            Some(Self { prefix, verdicts }) => {
                let verdicts: Vec<_> = verdicts.iter().map(|v| json!([v.text, v.value])).collect();
                id.and("weighed").and(prefix.clone()).and(verdicts)
            }
            None => id,
        }
    }

    /// Each verdict as the judge would write it, with what stands before it.
    pub(in crate::stages) fn texts(&self) -> Vec<String> {
        let text = |choice: &Choice| format!("{}{}", self.prefix, choice.text);
        self.verdicts.iter().map(text).collect()
    }

    /// Each verdict with its log-probability.
    pub(in crate::stages) fn weighed(&self, logprobs: &[f64]) -> Vec<Weighed> {
        let weighed = |(choice, logprob): (&Choice, &f64)| Weighed {
            verdict: choice.text.clone(),
            value: choice.value,
            logprob: *logprob,
        };
        self.verdicts.iter().zip(logprobs).map(weighed).collect()
    }

    /// Two verdicts of which the second goes on where the first ends, as 1 and 10: what is said of the
    /// first would be said of both.
    #[must_use]
    pub fn one_within_another(&self) -> Option<(&str, &str)> {
        let texts = || self.verdicts.iter().map(|choice| choice.text.as_str());
        let pairs = texts().flat_map(|one| texts().map(move |other| (one, other)));
        pairs.filter(|(one, other)| one != other).find(|(one, other)| other.starts_with(one))
    }
}

impl Rule {
    /// The verdicts that the rule may read, as whole texts of which none begins with another.
    #[must_use]
    pub fn choices(self) -> Option<Choices> {
        let choice = |text: String, value: f64| Choice { text, value };
        let numbers = |from: u32, to: u32, end: &str| {
            (from..=to).map(|n| choice(format!("{n}{end}"), f64::from(n))).collect()
        };
        let sides = |texts: &[(&str, f64)]| {
            texts.iter().map(|(text, value)| choice((*text).to_owned(), *value)).collect()
        };
        let (prefix, verdicts) = match self {
            Self::Score | Self::WholeScore => ("Score: ", numbers(0, 5, "")),
            Self::Rating => ("Rating: [[", numbers(1, 10, "]]")),
            Self::Winner => ("Winner: Judgement ", sides(&[("A", 1.0), ("B", -1.0)])),
            Self::Response => ("Winner: Response ", sides(&[("A", 1.0), ("B", -1.0)])),
            Self::Choice => ("[[", sides(&[("A]]", 1.0), ("B]]", -1.0), ("C]]", 0.0)])),
        };
        Some(Choices { prefix: prefix.to_owned(), verdicts })
    }
}
