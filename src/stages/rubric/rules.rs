//! The built-in ways of reading a verdict out of a text.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::records::Status;

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadVerdict {
    /// The score or the winner; `None` unless the status is ok.
    pub value: Option<f64>,
    /// Whether there is one.
    pub status: Status,
}

impl ReadVerdict {
    pub(super) const fn ok(value: f64) -> Self {
        Self { value: Some(value), status: Status::Ok }
    }

    pub(super) const fn without(status: Status) -> Self {
        Self { value: None, status }
    }
}

/// A verdict, and where in the text it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) verdict: ReadVerdict,
    pub(super) at: Option<Range<usize>>,
}

impl Found {
    pub(super) const MISSING: Self =
        Self { verdict: ReadVerdict::without(Status::Missing), at: None };

    pub(super) const fn of(verdict: ReadVerdict, at: Range<usize>) -> Self {
        Self { verdict, at: Some(at) }
    }
}

/// Which verdict counts where a text has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The last: what a judge ends with.
    #[default]
    Last,
    /// The first.
    First,
}

impl Which {
    pub(super) fn of<T>(self, mut found: impl Iterator<Item = T>) -> Option<T> {
        match self {
            Self::Last => found.last(),
            Self::First => found.next(),
        }
    }
}

/// A way of reading that needs no telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuiltIn {
    /// `Score: n`, 0 to 5.
    Score,
    /// The same, where n has no decimals.
    WholeScore,
    /// `[[n]]`, or else `[n]`, 1 to 10, as MT-Bench asks for.
    Rating,
    /// `Winner: Judgement A` or `B`.
    Winner,
    /// `Winner: Response A` or `B`, or a tie.
    Response,
    /// `[[A]]`, `[[B]]` or, for a tie, `[[C]]`, as MT-Bench asks for.
    Choice,
    /// `[[A>>B]]`, `[[A>B]]`, `[[A=B]]`, `[[B>A]]` or `[[B>>A]]`, as Arena-Hard asks for.
    Arena,
    /// `[RESULT] n`, 1 to 5, as Prometheus asks for.
    Result,
    /// `\boxed{n}`.
    Boxed,
    /// A field of a JSON object: `score`, unless another is named.
    Json,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Score,
        Self::WholeScore,
        Self::Rating,
        Self::Winner,
        Self::Response,
        Self::Choice,
        Self::Arena,
        Self::Result,
        Self::Boxed,
        Self::Json,
    ];

    /// Returns its name, as `score`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::WholeScore => "whole-score",
            Self::Rating => "rating",
            Self::Winner => "winner",
            Self::Response => "response",
            Self::Choice => "choice",
            Self::Arena => "arena",
            Self::Result => "result",
            Self::Boxed => "boxed",
            Self::Json => "json",
        }
    }

    /// Returns the scale of its verdicts, where it has one of its own.
    #[must_use]
    pub const fn scale(self) -> Option<[f64; 2]> {
        match self {
            Self::Score | Self::WholeScore => Some([0.0, 5.0]),
            Self::Rating => Some([1.0, 10.0]),
            Self::Winner | Self::Response | Self::Choice | Self::Arena => Some([-1.0, 1.0]),
            Self::Result => Some([1.0, 5.0]),
            Self::Boxed | Self::Json => None,
        }
    }

    /// Whether its verdicts are numbers, whose scale may be another.
    #[must_use]
    pub const fn is_number(self) -> bool {
        !matches!(self, Self::Winner | Self::Response | Self::Choice | Self::Arena)
    }
}

/// Marks that models put around a marker and what it marks: emphasis, quotes, brackets.
pub(super) const MARKUP: &[char] = &['*', '_', '"', '\'', '`', '(', ')', '[', ']', ' ', '\t'];

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static SCORE: LazyLock<Regex> = LazyLock::new(|| marker("score").unwrap());

/// A number, what it is out of, and what follows.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let number = r"^([+-]?(?:\d+(?:\.\d+)?|\.\d+))";
    let scale =
        r#"(?:[\s*_)\]"'`,(]*(?:points?|pts)?[\s(]*(?:/|out of|of)[\s*_]*(\d+(?:\.\d+)?))?"#;
    Regex::new(&format!(r"(?i){number}{scale}(.*)$")).unwrap()
});

/// The word and a colon, with markup wherever it likes; underscores are markup, and no part of the word.
pub(super) fn marker(word: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!(r#"(?i)\b_*(?<word>{word}[\s*_"'`)\]]*:)[\s*_"'`(\[]*"#))
}

/// What stands after a marker, on its line.
pub(super) struct Marked<'t> {
    pub(super) line: &'t str,
    /// Whether that line is the marker's own.
    on_its_line: bool,
    pub(super) at: Range<usize>,
}

pub(super) fn after<'t>(marker: &Regex, text: &'t str, which: Which) -> Option<Marked<'t>> {
    let mut from = 0;
    let places = std::iter::from_fn(|| {
        let found = marker.captures_at(text, from)?;
        let (whole, word) = (found.get(0)?, found.name("word")?);
        // The markup after a marker may be that before the next one.
        from = word.end();
        Some(word.start()..whole.end())
    });
    let Range { start, end } = which.of(places)?;
    let line = text[end..].lines().next().unwrap_or_default();
    let on_its_line = !text[start..end].contains('\n');
    Some(Marked { line, on_its_line, at: start..end + line.len() })
}

/// Reads the `Score: n` of a judgement; n may have decimals.
///
/// A marker that names no number, or more than one (a range, a change
/// of mind), is ambiguous, whatever stood before; a sum counts where its total ends the line.
/// A number out of anything but the scale's end is off the scale.
pub(super) fn score(text: &str, which: Which, [min, max]: [f64; 2]) -> Found {
    let Some(Marked { line, on_its_line, at }) = after(&SCORE, text, which) else {
        return Found::MISSING;
    };
    let total = line.rsplit_once('=').map_or(line, |(_, total)| total.trim_start_matches(MARKUP));
    let Some(found) = NUMBER.captures(total) else {
        return Found::of(ReadVerdict::without(Status::Ambiguous), at);
    };
    let rest = found[3].trim_matches(MARKUP).trim_matches(['.', '!', ';']);
    let other = |c: char| c.is_numeric() || "%+=→".contains(c);
    // A number on a line below the marker may be the first of a list.
    let alone = rest.is_empty() || (on_its_line && total.len() == line.len());
    if rest.contains(other) || rest.contains("->") || !alone {
        return Found::of(ReadVerdict::without(Status::Ambiguous), at);
    }
    let out_of = found.get(2).map_or(Some(max), |scale| scale.as_str().parse().ok());
    let of_max = out_of.is_some_and(|out_of: f64| (out_of - max).abs() < f64::EPSILON);
    let verdict = match found[1].parse::<f64>() {
        Ok(value) if (min..=max).contains(&value) && of_max => ReadVerdict::ok(value),
        Ok(_) => ReadVerdict::without(Status::OffScale),
        Err(_) => ReadVerdict::without(Status::Ambiguous),
    };
    Found::of(verdict, at)
}

/// A score with decimals is off a scale of whole numbers.
pub(super) fn whole(found: Found) -> Found {
    match found.verdict.value {
        Some(value) if value.fract() != 0.0 => {
            Found { verdict: ReadVerdict::without(Status::OffScale), ..found }
        }
        _ => found,
    }
}

/// Takes every score and rating out of a text, with its marker.
pub(super) fn without_score(text: &str) -> Cow<'_, str> {
    match SCORED.replace_all(text, "") {
        Cow::Borrowed(same) => Cow::Borrowed(same.trim_end()),
        Cow::Owned(stripped) => Cow::Owned(stripped.trim_end().to_owned()),
    }
}

/// A marker and the rest of its line (of the next one, where it ends its own), or a bracketed rating.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static SCORED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)[*_"'`(\[]*\b_*score[\s*_"'`)\]]*:[^\n]*(?:\n[\s*_"'`(\[]*\d[^\n]*)?|\[?\[\s*[+-]?\d+(?:\.\d*)?\s*\]\]?"#)
        .unwrap()
});

/// A rating in two brackets, and in one.
#[expect(clippy::unwrap_used, reason = "the patterns are constants")]
static RATINGS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [r"\[\[\s*([+-]?\d+(?:\.\d*)?)\s*\]\]", r"\[\s*([+-]?\d+(?:\.\d*)?)\s*\]"]
        .map(|p| Regex::new(p).unwrap())
});

/// Reads the `[[n]]` of a grading, or the `[n]` where there is none (Zheng et al. 2023; FastChat's
/// `get_model_answer` takes the first); n may have decimals.
pub(super) fn rating(text: &str, which: Which) -> Found {
    let found = RATINGS.iter().find_map(|pattern| which.of(pattern.captures_iter(text)));
    found.map_or(Found::MISSING, |found| number(&found, 1, |n| n.trim_end_matches('.')))
}

/// Reads the number that a group caught.
fn number(found: &regex::Captures<'_>, group: usize, clean: fn(&str) -> &str) -> Found {
    let at = found.get(0).map_or(0..0, |whole| whole.range());
    let value = found.get(group).and_then(|caught| clean(caught.as_str()).parse::<f64>().ok());
    let verdict = value.map_or(ReadVerdict::without(Status::Ambiguous), ReadVerdict::ok);
    Found::of(verdict, at)
}

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static RESULT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?i)\[RESULT\][\s:*_"'`(\[]*([+-]?\d+(?:\.\d+)?)?"#).unwrap());

/// Reads the `[RESULT] n` of a grading (Kim et al. 2024, Prometheus).
pub(super) fn result(text: &str, which: Which) -> Found {
    let Some(caught) = which.of(RESULT.captures_iter(text)) else { return Found::MISSING };
    let found = number(&caught, 1, |n| n);
    let end = found.at.as_ref().map_or(0, |at| at.end);
    let rest = text[end..].lines().next().unwrap_or_default();
    if rest.contains(char::is_numeric) {
        return Found { verdict: ReadVerdict::without(Status::Ambiguous), ..found };
    }
    found
}

/// Reads the number in a `\boxed{n}`, as mathematicians' models end with.
pub(super) fn boxed(text: &str, which: Which) -> Found {
    const BEGINS: &str = "\\boxed{";
    let Some((start, _)) = which.of(text.match_indices(BEGINS)) else { return Found::MISSING };
    let inside = &text[start + BEGINS.len()..];
    let mut depth = 1;
    let end = inside.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        depth == 0
    });
    let Some((end, _)) = end else {
        return Found::of(ReadVerdict::without(Status::Ambiguous), start..text.len());
    };
    let at = start..start + BEGINS.len() + end + 1;
    let content = inside[..end].trim_matches(['$', ' ']);
    let plain = content.strip_prefix("\\text{").and_then(|text| text.strip_suffix('}'));
    let value = plain.unwrap_or(content).trim().parse::<f64>().ok().filter(|n| n.is_finite());
    Found::of(value.map_or(ReadVerdict::without(Status::Ambiguous), ReadVerdict::ok), at)
}

/// Finds the JSON objects of a text that have a field, and the field of each: outer ones before inner ones.
pub(super) fn objects<'t>(
    text: &'t str,
    field: &'t str,
) -> impl Iterator<Item = (Range<usize>, Value)> + 't {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(start) = text[from..].find('{').map(|at| from + at) {
            let mut values =
                serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
            from = start + 1;
            if let Some(Ok(Value::Object(mut object))) = values.next()
                && let Some(value) = object.remove(field)
            {
                from = start + values.byte_offset();
                return Some((start..from, value));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::records::FinishReason;
    use crate::stages::Rule;

    #[test]
    fn the_last_score_counts_decimals_and_all() {
        let read = |text: &str| Rule::from(BuiltIn::Score).read(text, FinishReason::Stop);
        assert_eq!(read("Score: 2. No: Score: 4"), ReadVerdict::ok(4.0));
        assert_eq!(read("**Score:** **3.5**/5"), ReadVerdict::ok(3.5));
        assert_eq!(read("score:[5]"), ReadVerdict::ok(5.0));
        assert_eq!(read("Score: 0"), ReadVerdict::ok(0.0));
        assert_eq!(read("Score: 7"), ReadVerdict::without(Status::OffScale));
        assert_eq!(read("Score: -1"), ReadVerdict::without(Status::OffScale));
        assert_eq!(read("I would give it four"), ReadVerdict::without(Status::Missing));
        assert_eq!(read("underscore: 4"), ReadVerdict::without(Status::Missing));
        for four in [
            "**Score**: 4",
            "_Score:_ 4",
            "__Score: 4__",
            "Score: +4",
            "\"Score\": 4.",
            "Score: `4`/5",
            "Score: 4 out of 5",
            "Score: 4/5.00",
            "**Score:**\n4",
            "Score:\nScore: 4",
            "## Score:\n\n**Score: 4/5**",
            "_Score:_ _Score:_ 4",
            "Score: 1 + 1 + 1 + 1 + 0 = 4",
        ] {
            assert_eq!(read(four), ReadVerdict::ok(4.0), "{four}");
        }
        assert_eq!(read("Score: .5"), ReadVerdict::ok(0.5));
        assert_eq!(read("Score: 4 out of 10"), ReadVerdict::without(Status::OffScale));
        for vague in [
            "Score: 1e9",
            "Score: 3-4",
            "Score: 4,5",
            "Score: 2\nScore: N/A",
            "Score: 90%",
            "Score: 3 or 4",
            "Score: 3½",
            "Score: 3 → 4",
            "Score:\n1. relevant",
            "Score: 4 points out of ten, or 5",
        ] {
            assert_eq!(read(vague), ReadVerdict::without(Status::Ambiguous), "{vague}");
        }
        assert_eq!(read(""), ReadVerdict::without(Status::Missing));
        let cut = Rule::from(BuiltIn::Score).read("Score: 4 because", FinishReason::Length);
        assert_eq!(cut, ReadVerdict::without(Status::Truncated), "not the judge's last word");
    }

    #[test]
    fn decimals_may_be_refused_and_scores_hidden() {
        let read = |text: &str| Rule::from(BuiltIn::WholeScore).read(text, FinishReason::Stop);
        assert_eq!(read("Score: 4"), ReadVerdict::ok(4.0));
        assert_eq!(read("Score: 4.0"), ReadVerdict::ok(4.0));
        assert_eq!(read("Score: 3.5"), ReadVerdict::without(Status::OffScale));
        assert_eq!(without_score("Good.\n**Score: 4/5**"), "Good.");
        assert_eq!(without_score("Score: 2. No, better.\nScore:\n4"), "");
        assert_eq!(without_score("a [[7]] b"), "a  b");
        assert_eq!(without_score("nothing to hide"), "nothing to hide");
        for text in [
            "Score: 3",
            "**Score**: 4",
            "x score : 2\nScore: 5",
            "[[3]]",
            "[7]",
            "[[ 8 ]]",
            "[[-1]]",
        ] {
            let left = without_score(text);
            for rule in [BuiltIn::Score, BuiltIn::Rating] {
                let read = Rule::from(rule).read(&left, FinishReason::Stop);
                assert_eq!(read, ReadVerdict::without(Status::Missing), "{text}");
            }
        }
    }

    #[test]
    fn the_last_rating_counts_two_brackets_before_one() {
        let read = |text: &str| Rule::from(BuiltIn::Rating).read(text, FinishReason::Stop);
        assert_eq!(read("See [3]. Rating: [[2]], no: [[8.5]] [4]"), ReadVerdict::ok(8.5));
        assert_eq!(read("Rating: [7]"), ReadVerdict::ok(7.0));
        assert_eq!(read("A draft: [[3]]. Rating: [[ 8 ]]"), ReadVerdict::ok(8.0));
        assert_eq!(read("Rating: [[11]]"), ReadVerdict::without(Status::OffScale));
        assert_eq!(read("Rating: 7"), ReadVerdict::without(Status::Missing));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_never_leaves_the_scale(text in "\\PC{0,80}", tail in "[ -~]{0,20}") {
            let text = format!("{text}Score: {tail}\nWinner: {tail}");
            for rule in [BuiltIn::Score, BuiltIn::Winner, BuiltIn::Response, BuiltIn::Choice] {
                let verdict = Rule::from(rule).read(&text, FinishReason::Stop);
                prop_assert_eq!(verdict.value.is_some(), verdict.status == Status::Ok);
                prop_assert!(verdict.value.is_none_or(|value| (-1.0..=5.0).contains(&value)));
            }
        }
    }
}
