//! How a verdict is read out of a text: a built-in way or a pattern of the user's own, and its scale.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::rules::{self, BuiltIn, Found, ReadVerdict, Which};
use super::sides;
use super::thinking::Thinking;
use crate::records::{FinishReason, Status};
use crate::store::Digest;

/// What the rules are at, and stands beside every reading. 1: the first. 2: reasoning is set apart; the last
/// rating counts; `_Score:_` is a marker.
const VERSION: u32 = 2;

/// What those are at whose words differ in case alone. 3: `m` and `M` are two words.
const CASED_VERSION: u32 = 3;

/// How a verdict is read. All of it stands in the key, and its name beside every reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Where the verdict stands.
    pub form: Form,
    /// What else there is to say of it.
    pub options: RuleOptions,
    /// The pattern, where it is one: compiled once, for it is asked of every row.
    compiled: Option<Compiled>,
}

/// A regular expression; it is what it says.
#[derive(Debug, Clone)]
struct Compiled(Regex);

impl Compiled {
    fn of(pattern: &str) -> Result<Self, BadRule> {
        let regex = Regex::new(pattern).map_err(|e| BadRule::Pattern(e.to_string()))?;
        match regex.capture_names().flatten().count() {
            1 => Ok(Self(regex)),
            groups => Err(BadRule::Groups(groups)),
        }
    }
}

impl PartialEq for Compiled {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Where a verdict stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A built-in way.
    Rule(BuiltIn),
    /// What the one named group of a regular expression catches.
    Pattern(String),
}

/// What else a rule says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleOptions {
    /// The field of a JSON object; `score` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The scale's begin and end; the built-in's own where it is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// See `min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Words and labels that stand for numbers; case matters only between two that differ in it alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, f64>,
    /// Which counts of several.
    #[serde(default, skip_serializing_if = "is_last")]
    pub which: Which,
    /// What a text without a verdict counts as; `None` is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<f64>,
    /// What stands before a verdict that is weighed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_last(which: &Which) -> bool {
    *which == Which::Last
}

/// Why a rule cannot be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BadRule {
    /// The pattern is no regular expression.
    #[error("expected a regular expression: {0}")]
    Pattern(String),
    /// It has none or several.
    #[error("expected one named group, as `(?<score>\\d+)`, found {0}")]
    Groups(usize),
    /// The scale ends before it begins.
    #[error("expected a scale whose `min` is below its `max`, found {min} to {max}")]
    Scale {
        /// Its begin.
        min: f64,
        /// Its end.
        max: f64,
    },
    /// There is no such rule.
    #[error("there is no reading rule `{0}`")]
    Unknown(String),
    /// The rule names its verdicts itself.
    #[error("`{option}` does not belong to the rule `{rule}`")]
    Option {
        /// What is given.
        option: &'static str,
        /// To which.
        rule: &'static str,
    },
}

/// What a rule reads, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// What was set apart as reasoning.
    pub thinking: Option<String>,
    /// What was left to read.
    pub answer: String,
    /// Where in that the verdict stands, in bytes; `None` where there is none.
    pub at: Option<Range<usize>>,
    /// What it says.
    pub verdict: ReadVerdict,
}

impl From<BuiltIn> for Rule {
    fn from(rule: BuiltIn) -> Self {
        Self { form: Form::Rule(rule), options: RuleOptions::default(), compiled: None }
    }
}

impl Rule {
    /// Checks a rule as a file gives it.
    ///
    /// # Errors
    /// Where it contradicts itself, or its pattern is none.
    pub fn new(form: Form, options: RuleOptions) -> Result<Self, BadRule> {
        let compiled = match &form {
            Form::Rule(_) => None,
            Form::Pattern(pattern) => Some(Compiled::of(pattern)?),
        };
        let rule = Self { form, options, compiled };
        if let Form::Rule(built_in) = rule.form {
            let name = built_in.name();
            let given = [
                ("field", rule.options.field.is_some() && built_in != BuiltIn::Json),
                ("min", rule.options.min.is_some() && !built_in.is_number()),
                ("max", rule.options.max.is_some() && !built_in.is_number()),
                ("values", !rule.options.values.is_empty() && built_in != BuiltIn::Json),
            ];
            if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err(BadRule::Option { option, rule: name });
            }
        } else if rule.options.field.is_some() {
            return Err(BadRule::Option { option: "field", rule: "pattern" });
        }
        match rule.scale() {
            Some([min, max]) if min >= max => Err(BadRule::Scale { min, max }),
            _ => Ok(rule),
        }
    }

    /// Returns the built-in rule of a name, as `score`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn built_in(name: &str) -> Result<Self, BadRule> {
        let found = BuiltIn::ALL.into_iter().find(|rule| rule.name() == name);
        found.map(Self::from).ok_or_else(|| BadRule::Unknown(name.to_owned()))
    }

    /// Returns the name that stands beside readings: with the version, and where the rule is not a
    /// built-in as it is, with the first digits of a digest of all that it says.
    #[must_use]
    pub fn name(&self) -> String {
        let base = match &self.form {
            Form::Rule(rule) => rule.name(),
            Form::Pattern(_) => "pattern",
        };
        let version = self.version();
        if self.is_bare() {
            return format!("{base}-{version}");
        }
        format!("{base}-{version}-{}", &Digest::of_json(&self.spelt()).to_hex()[..8])
    }

    fn is_bare(&self) -> bool {
        matches!(self.form, Form::Rule(_)) && self.options == RuleOptions::default()
    }

    fn spelt(&self) -> Value {
        json!({ "form": self.form, "options": self.options, "version": self.version() })
    }

    fn version(&self) -> u32 {
        let lower = |word: &String| word.to_lowercase();
        let distinct: BTreeSet<String> = self.options.values.keys().map(lower).collect();
        if distinct.len() < self.options.values.len() { CASED_VERSION } else { VERSION }
    }

    /// What is on its scale: from where and to where, where it begins and ends.
    fn bounds(&self) -> [Option<f64>; 2] {
        let own = match &self.form {
            Form::Rule(rule) => rule.scale(),
            Form::Pattern(_) => None,
        };
        let RuleOptions { min, max, .. } = self.options;
        [min.or(own.map(|[min, _]| min)), max.or(own.map(|[_, max]| max))]
    }

    /// Returns the scale of its verdicts, where it is known: its bounds, or the least and the largest of
    /// its values.
    #[must_use]
    pub fn scale(&self) -> Option<[f64; 2]> {
        let values = || self.options.values.values().copied();
        let [min, max] = self.bounds();
        let begin = min.or_else(|| values().reduce(f64::min));
        let end = max.or_else(|| values().reduce(f64::max));
        begin.zip(end).map(|(min, max)| [min, max])
    }

    /// Reads a text that ended so.
    #[must_use]
    pub fn read(&self, text: &str, finish: FinishReason) -> ReadVerdict {
        self.explain(text, finish, &Thinking::default()).verdict
    }

    /// Reads a text, and says what was read of it and where.
    #[must_use]
    pub fn explain(&self, text: &str, finish: FinishReason, markers: &Thinking) -> Explained {
        let (thinking, answer) = markers.set_apart(text);
        let found = match finish {
            // What the token limit cut is not the judge's last word, even where a number stands in it.
            FinishReason::Length => nothing(Status::Truncated),
            FinishReason::Refused => nothing(Status::Refused),
            FinishReason::Stop => self.find(&answer),
        };
        Explained { thinking, answer: answer.into_owned(), at: found.at, verdict: found.verdict }
    }

    /// Reads a text that its judge ended, and says what was read of it and where.
    #[must_use]
    pub fn try_on(&self, text: &str, markers: &Thinking) -> Explained {
        self.explain(text, FinishReason::Stop, markers)
    }

    fn find(&self, text: &str) -> Found {
        let RuleOptions { which, .. } = self.options;
        let scale = self.scale();
        let found = match &self.form {
            Form::Rule(rule) => match rule {
                BuiltIn::Score => rules::score(text, which, scale.unwrap_or([0.0, 5.0])),
                BuiltIn::WholeScore => {
                    rules::whole(rules::score(text, which, scale.unwrap_or([0.0, 5.0])))
                }
                BuiltIn::Rating => rules::rating(text, which),
                BuiltIn::Winner => sides::winner(text, &["judgement", "judgment"], which),
                BuiltIn::Response => {
                    sides::winner(text, &["response", "answer", "assistant"], which)
                }
                BuiltIn::Choice => sides::choice(text, which),
                BuiltIn::Arena => sides::arena(text, which),
                BuiltIn::Result => rules::result(text, which),
                BuiltIn::Boxed => rules::boxed(text, which),
                BuiltIn::Json => self.field(text),
            },
            Form::Pattern(_) => self.pattern(text),
        };
        self.on_scale(found)
    }

    fn on_scale(&self, found: Found) -> Found {
        let [min, max] = self.bounds();
        let outside =
            |value: f64| min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max);
        let verdict = match (found.verdict.value, self.options.without) {
            (Some(value), _) if outside(value) => ReadVerdict::without(Status::OffScale),
            (None, Some(without)) if found.verdict.status == Status::Missing => {
                ReadVerdict::ok(without)
            }
            _ => found.verdict,
        };
        Found { verdict, ..found }
    }

    fn field(&self, text: &str) -> Found {
        let field = self.options.field.as_deref().unwrap_or("score");
        let Some((at, value)) = self.options.which.of(rules::objects(text, field)) else {
            return nothing(Status::Missing);
        };
        let verdict = match value {
            Value::Number(number) => number.as_f64().map(ReadVerdict::ok),
            Value::String(label) => Some(self.label(&label)),
            _ => None,
        };
        Found::of(verdict.unwrap_or(ReadVerdict::without(Status::Ambiguous)), at)
    }

    fn pattern(&self, text: &str) -> Found {
        let Some(Compiled(regex)) = &self.compiled else { return nothing(Status::Missing) };
        let name = regex.capture_names().flatten().next().unwrap_or_default();
        let Some(found) = self.options.which.of(regex.captures_iter(text)) else {
            return nothing(Status::Missing);
        };
        let at = found.get(0).map_or(0..0, |whole| whole.range());
        let label = found.name(name).map_or("", |caught| caught.as_str());
        Found::of(self.label(label), at)
    }

    /// What a word or a number in words stands for.
    fn label(&self, label: &str) -> ReadVerdict {
        let label = label.trim();
        let values = &self.options.values;
        let named = |(known, _): &(&String, &f64)| known.to_lowercase() == label.to_lowercase();
        let mut cased = values.iter().filter(named).map(|(_, value)| *value);
        let alike = cased.next().filter(|one| cased.all(|other| other.to_bits() == one.to_bits()));
        let value = values.get(label).copied().or(alike);
        let value = value.or_else(|| label.parse().ok().filter(|number: &f64| number.is_finite()));
        value.map_or(ReadVerdict::without(Status::Ambiguous), ReadVerdict::ok)
    }

    /// Takes every verdict out of a text, with what marks it.
    #[must_use]
    pub fn strip<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if let Form::Rule(BuiltIn::Score | BuiltIn::WholeScore | BuiltIn::Rating) = self.form {
            return rules::without_score(text);
        }
        let mut left = text.to_owned();
        while let Some(at) = self.find(&left).at.filter(|at| !at.is_empty()) {
            left.replace_range(at, "");
        }
        Cow::Owned(left.trim_end().to_owned())
    }
}

const fn nothing(status: Status) -> Found {
    Found { verdict: ReadVerdict::without(status), at: None }
}

impl Serialize for Rule {
    /// A built-in one as it is by its name, another by all that it says.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_bare() {
            self.name().serialize(serializer)
        } else {
            self.spelt().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        #[derive(Deserialize)]
        struct Spelt {
            form: Form,
            options: RuleOptions,
        }
        match Value::deserialize(deserializer)? {
            Value::String(name) => {
                let (name, _version) = name.rsplit_once('-').unwrap_or((&name, ""));
                Self::built_in(name).map_err(D::Error::custom)
            }
            spelt => {
                let Spelt { form, options } =
                    serde_json::from_value(spelt).map_err(D::Error::custom)?;
                Self::new(form, options).map_err(D::Error::custom)
            }
        }
    }
}
