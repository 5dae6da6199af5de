//! The few verdicts that there are, for a judge that is not asked to write: the probability of each is
//! read instead.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rule::{Form, Rule};
use super::rules::BuiltIn;
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
    /// The verdicts that the rule may read, as whole texts; `None` where they cannot be listed.
    #[must_use]
    pub fn choices(&self) -> Option<Choices> {
        let (prefix, end, labels) = self.written();
        let labelled = |text: &str, value: f64| Choice { text: format!("{text}{end}"), value };
        let verdicts: Vec<Choice> = if !labels.is_empty() {
            labels.iter().map(|(text, value)| labelled(text, *value)).collect()
        } else if !self.options.values.is_empty() {
            self.options.values.iter().map(|(text, value)| labelled(text, *value)).collect()
        } else {
            whole_numbers(self.scale()?)?.map(|n| labelled(&n.to_string(), f64::from(n))).collect()
        };
        let prefix = self.options.prefix.clone().unwrap_or(prefix);
        (verdicts.len() > 1).then_some(Choices { prefix, verdicts })
    }

    /// What stands before and after a verdict of the rule, and its labels, where it has some.
    fn written(&self) -> (String, &'static str, &'static [(&'static str, f64)]) {
        const SIDES: &[(&str, f64)] = &[("A", 1.0), ("B", -1.0)];
        const CHOICES: &[(&str, f64)] = &[("A", 1.0), ("B", -1.0), ("C", 0.0)];
        const LEVELS: &[(&str, f64)] =
            &[("A>>B", 1.0), ("A>B", 0.5), ("A=B", 0.0), ("B>A", -0.5), ("B>>A", -1.0)];
        let Form::Rule(rule) = self.form else { return (String::new(), "", &[]) };
        let (prefix, end, labels) = match rule {
            BuiltIn::Score | BuiltIn::WholeScore => ("Score: ", "", &[][..]),
            BuiltIn::Rating => ("Rating: [[", "]]", &[][..]),
            BuiltIn::Winner => ("Winner: Judgement ", "", SIDES),
            BuiltIn::Response => ("Winner: Response ", "", SIDES),
            BuiltIn::Choice => ("[[", "]]", CHOICES),
            BuiltIn::Arena => ("[[", "]]", LEVELS),
            BuiltIn::Result => ("[RESULT] ", "", &[][..]),
            BuiltIn::Boxed => ("\\boxed{", "}", &[][..]),
            BuiltIn::Json => {
                let field = self.options.field.as_deref().unwrap_or("score");
                return (format!("{{{}: ", json!(field)), "}", &[]);
            }
        };
        (prefix.to_owned(), end, labels)
    }
}

/// The whole numbers of a scale, where they are few.
#[expect(clippy::cast_possible_truncation, reason = "checked just before")]
fn whole_numbers([min, max]: [f64; 2]) -> Option<std::ops::RangeInclusive<i32>> {
    const MOST: f64 = 1000.0;
    let few = min.abs() <= MOST && max.abs() <= MOST;
    few.then(|| min.ceil() as i32..=max.floor() as i32)
}

#[cfg(test)]
mod tests {
    use super::super::rule::RuleOptions;
    use super::*;
    use crate::records::{FinishReason, Status};

    #[test]
    fn a_rule_reads_each_of_its_choices_as_what_it_is() {
        let scaled = |form, min, max| {
            let options = RuleOptions { min: Some(min), max: Some(max), ..RuleOptions::default() };
            Rule::new(form, options).unwrap()
        };
        let bare = BuiltIn::ALL.into_iter().filter(|rule| rule.scale().is_some()).map(Rule::from);
        let rules = bare.chain([
            scaled(Form::Rule(BuiltIn::Boxed), 0.0, 3.0),
            scaled(Form::Rule(BuiltIn::Json), 1.0, 4.0),
        ]);
        for rule in rules {
            let choices = rule.choices().unwrap();
            assert_eq!(choices.one_within_another(), None, "{choices:?}");
            for (text, choice) in choices.texts().iter().zip(&choices.verdicts) {
                let read = rule.read(text, FinishReason::Stop).value;
                assert_eq!(read, Some(choice.value), "{text}");
            }
        }
        assert_eq!(Rule::from(BuiltIn::Boxed).choices(), None, "a scale is needed");
        let words = RuleOptions {
            values: [("good".to_owned(), 1.0), ("bad".to_owned(), -1.0)].into(),
            prefix: Some("It is ".to_owned()),
            ..RuleOptions::default()
        };
        let rule = Rule::new(Form::Pattern(r"It is (?<how>\w+)".to_owned()), words).unwrap();
        assert_eq!(rule.choices().unwrap().texts(), ["It is bad", "It is good"]);
        let cased = RuleOptions {
            values: [("m".to_owned(), 1.0), ("M".to_owned(), -1.0)].into(),
            ..RuleOptions::default()
        };
        let rule = Rule::new(Form::Pattern("(?<better>[mM]+)".to_owned()), cased).unwrap();
        assert_eq!(rule.choices().unwrap().texts(), ["M", "m"]);
        let read = |text: &str| rule.read(text, FinishReason::Stop);
        assert_eq!((read("m").value, read("M").value), (Some(1.0), Some(-1.0)));
        assert_eq!(read("Mm").status, Status::Ambiguous, "neither of both");
        assert!(rule.name().starts_with("pattern-3-"), "they were one word before");
        let ratings = scaled(Form::Rule(BuiltIn::Score), 1.0, 10.0).choices().unwrap();
        assert_eq!(ratings.one_within_another(), Some(("1", "10")));
    }
}
