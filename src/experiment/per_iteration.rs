//! Values that may change from iteration to iteration: a scalar, or a list with one per iteration.
//!
//! The visitors are written by hand: `#[serde(untagged)]` would answer every mistake with "data
//! did not match any variant".

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::spanned::Spanned;
use crate::stages::Train;

/// A value with its place, so that a list of the wrong length can be pointed at.
pub(super) type Each<T> = Option<Spanned<PerIteration<T>>>;

/// One value for all iterations, or one for each.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PerIteration<T> {
    Same(T),
    Each(Vec<T>),
}

/// A value that stands alone in the file, and knows its range.
pub(super) trait Scalar: Sized {
    /// What a reader is told to write.
    const EXPECTED: &'static str;

    /// What an editor is told of it.
    fn described() -> Value;

    /// Takes a number; integers come as floats too.
    fn number(_: f64) -> Option<Self> {
        None
    }

    /// Takes a truth value.
    fn truth(_: bool) -> Option<Self> {
        None
    }

    /// Takes a word.
    fn word(_: &str) -> Option<Self> {
        None
    }
}

/// Which of the epochs that are kept becomes the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Last,
    Epoch(usize),
    Best,
}

impl Scalar for Choice {
    const EXPECTED: &'static str = "an epoch from 1, `last` or `best`";

    fn described() -> Value {
        json!({ "anyOf": [whole_from(1), { "enum": ["last", "best"] }] })
    }

    fn number(value: f64) -> Option<Self> {
        whole(value, 1.0).and_then(|epoch| usize::try_from(epoch).ok()).map(Self::Epoch)
    }

    fn word(word: &str) -> Option<Self> {
        match word {
            "last" => Some(Self::Last),
            "best" => Some(Self::Best),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

/// Describes a scalar for editors.
macro_rules! described {
    ($name:ident) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!({ "x-range": Self::EXPECTED });
                if let Value::Object(described) = Self::described() {
                    described.into_iter().for_each(|(name, value)| drop(schema.insert(name, value)));
                }
                schema
            }
        }
    };
}

/// Defines a scalar over a plain type.
macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expected:literal, $described:expr, $number:expr, $truth:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(super) struct $name(pub(super) $inner);

        impl Scalar for $name {
            const EXPECTED: &'static str = $expected;

            fn described() -> Value {
                $described
            }

            fn number(value: f64) -> Option<Self> {
                let take: fn(f64) -> Option<$inner> = $number;
                take(value).map(Self)
            }

            fn truth(value: bool) -> Option<Self> {
                let take: fn(bool) -> Option<$inner> = $truth;
                take(value).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(PhantomData))
            }
        }

        described!($name);
    };
}

described!(Choice);

/// A whole number from this one on, up to the file's largest.
fn whole_from(least: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": 1_000_000_000 })
}

/// The same, or `false`.
fn or_false(described: Value) -> Value {
    json!({ "anyOf": [described, { "const": false }] })
}

/// The whole number that `value` is, if it is one of at least `least`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
fn whole(value: f64, least: f64) -> Option<u64> {
    let fits = value >= least && value.fract() == 0.0 && value <= 1e9;
    fits.then_some(value as u64)
}

scalar!(
    /// How many of something.
    Count(u64), "a whole number from 1 to a billion", whole_from(1), |value| whole(value, 1.0), |_| None
);
scalar!(
    /// How many iterations' pairs are trained on.
    Window(usize), "a whole number from 1 to 10",
    json!({ "type": "integer", "minimum": 1, "maximum": 10 }),
    |value| whole(value, 1.0).and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= Train::WINDOW.len()),
    |_| None
);
scalar!(
    /// What every draw starts from.
    Seed(u64), "a whole number from 0 to a billion", whole_from(0), |value| whole(value, 0.0), |_| None
);
scalar!(
    /// How many of something, if any.
    Steps(u64), "a whole number from 0 to a billion", whole_from(0), |value| whole(value, 0.0), |_| None
);
scalar!(
    /// A rate, or a weight.
    Rate(f64), "a number of at least 0", json!({ "type": "number", "minimum": 0 }), |value| (value >= 0.0 && value.is_finite()).then_some(value), |_| None
);
scalar!(
    /// A number.
    Finite(f64), "a number", json!({ "type": "number" }), |value| value.is_finite().then_some(value), |_| None
);
scalar!(
    /// A limit, or `false` for none.
    Norm(Option<f64>), "a number above 0, or false for no limit",
    or_false(json!({ "type": "number", "exclusiveMinimum": 0 })),
    |value| (value > 0.0 && value.is_finite()).then_some(Some(value)), |on| (!on).then_some(None)
);
scalar!(
    /// A share of less than a half.
    Minority(f64), "a number from 0 and below 0.5",
    json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 0.5 }), |value| (0.0..0.5).contains(&value).then_some(value), |_| None
);
scalar!(
    /// How much of a running mean is kept at a step.
    Decay(f64), "a number from 0 and below 1",
    json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1 }), |value| (0.0..1.0).contains(&value).then_some(value), |_| None
);
scalar!(
    /// A sampling temperature.
    Temperature(f64), "a number of at least 0", json!({ "type": "number", "minimum": 0 }), |value| (value >= 0.0 && value.is_finite()).then_some(value), |_| None
);
scalar!(
    /// The share of probability that is drawn from.
    TopP(f64), "a number above 0 and at most 1",
    json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
    |value| (value > 0.0 && value <= 1.0).then_some(value), |_| None
);
scalar!(
    /// A share.
    Share(f64), "a number from 0 to 1", json!({ "type": "number", "minimum": 0, "maximum": 1 }), |value| (0.0..=1.0).contains(&value).then_some(value), |_| None
);
scalar!(
    /// A share that leaves something on both sides.
    Part(f64), "a number above 0 and below 1",
    json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }), |value| (value > 0.0 && value < 1.0).then_some(value), |_| None
);
scalar!(
    /// The most that a share may be, or `false` for any.
    Cap(Option<f64>), "a number from 0 to 1, or false for no limit",
    or_false(json!({ "type": "number", "minimum": 0, "maximum": 1 })),
    |value| (0.0..=1.0).contains(&value).then_some(Some(value)), |on| (!on).then_some(None)
);
scalar!(
    /// A nominal coverage.
    Level(f64), "a number from 0.5 to 0.9999",
    json!({ "type": "number", "minimum": 0.5, "maximum": 0.9999 }),
    |value| (0.5..=0.9999).contains(&value).then_some(value), |_| None
);
scalar!(
    /// How often something is drawn anew.
    Resamples(u64), "a whole number from 100 to a million",
    json!({ "type": "integer", "minimum": 100, "maximum": 1_000_000 }),
    |value| whole(value, 100.0).filter(|count| *count <= 1_000_000), |_| None
);
scalar!(
    /// A precision.
    Positive(f64), "a number above 0", json!({ "type": "number", "exclusiveMinimum": 0 }), |value| (value > 0.0 && value.is_finite()).then_some(value), |_| None
);
scalar!(
    /// A limit in characters, or `false` for none.
    Limit(Option<u64>), "a whole number from 1 to a billion, or false for no limit",
    or_false(whole_from(1)),
    |value| whole(value, 1.0).map(Some), |on| (!on).then_some(None)
);
scalar!(
    /// On or off.
    Switch(bool), "true or false", json!({ "type": "boolean" }), |_| None, Some
);

impl Steps {
    /// As a size.
    pub(super) fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Count {
    /// As a size: the file's counts end at a billion.
    pub(super) fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// As a limit of tokens.
    pub(super) fn tokens(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        T::truth(value).ok_or_else(|| E::invalid_value(de::Unexpected::Bool(value), &self))
    }

    #[expect(clippy::cast_precision_loss, reason = "larger numbers are refused anyway")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        T::number(value as f64)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        T::number(value).ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<T, E> {
        T::word(word).ok_or_else(|| E::invalid_type(de::Unexpected::Str(word), &self))
    }
}

impl<'de, T: Scalar + Deserialize<'de>> Deserialize<'de> for PerIteration<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PerIterationVisitor(PhantomData))
    }
}

impl<T: Scalar + JsonSchema> JsonSchema for PerIteration<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("PerIteration_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = T::json_schema(generator);
        json_schema!({
            "x-range": T::EXPECTED, "x-per-iteration": true,
            "anyOf": [T::described(), { "type": "array", "items": one }],
        })
    }
}

struct PerIterationVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar + Deserialize<'de>> Visitor<'de> for PerIterationVisitor<T> {
    type Value = PerIteration<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list with one per iteration", T::EXPECTED)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        let one = T::truth(value).map(PerIteration::Same);
        one.ok_or_else(|| E::invalid_value(de::Unexpected::Bool(value), &self))
    }

    #[expect(clippy::cast_precision_loss, reason = "larger numbers are refused anyway")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        let one = T::number(value as f64).map(PerIteration::Same);
        one.ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        let one = T::number(value).map(PerIteration::Same);
        one.ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
        let one = T::word(word).map(PerIteration::Same);
        one.ok_or_else(|| E::invalid_type(de::Unexpected::Str(word), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(PerIteration::Each(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a schema lets a value through, and whether the reader does.
    fn agree<T: Scalar + JsonSchema>() {
        let mut generator = SchemaGenerator::default();
        let schema = T::json_schema(&mut generator).to_value();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let edges = [0.0, 0.5, 0.9999, 1.0, 10.0, 100.0, 1e6, 1e9];
        let around = edges
            .iter()
            .flat_map(|edge| [*edge, edge - 1e-5, edge + 1e-5, edge + 1.0, -edge - 1.0]);
        for number in around {
            let told = validator.is_valid(&json!(number));
            assert_eq!(told, T::number(number).is_some(), "{number} as {}", T::EXPECTED);
        }
        for truth in [true, false] {
            assert_eq!(validator.is_valid(&json!(truth)), T::truth(truth).is_some(), "{truth}");
        }
        for word in ["last", "best", "first", "", "1"] {
            assert_eq!(validator.is_valid(&json!(word)), T::word(word).is_some(), "{word}");
        }
        let list = PerIteration::<T>::json_schema(&mut generator).to_value();
        let validator = jsonschema::validator_for(&list).unwrap();
        assert!(validator.is_valid(&json!([])) && !validator.is_valid(&json!(["?"])));
    }

    #[test]
    fn editors_are_told_the_ranges_that_are_read() {
        agree::<Choice>();
        agree::<Count>();
        agree::<Window>();
        agree::<Seed>();
        agree::<Steps>();
        agree::<Rate>();
        agree::<Finite>();
        agree::<Norm>();
        agree::<Minority>();
        agree::<Decay>();
        agree::<Temperature>();
        agree::<TopP>();
        agree::<Share>();
        agree::<Part>();
        agree::<Cap>();
        agree::<Level>();
        agree::<Resamples>();
        agree::<Positive>();
        agree::<Limit>();
        agree::<Switch>();
    }
}
