//! Reading verdicts back out of texts.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Serialize, Serializer};

use crate::records::{FinishReason, Status};

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadVerdict {
    /// The score or the winner; `None` unless the status is ok.
    pub value: Option<f64>,
    /// Whether there is one.
    pub status: Status,
}

impl ReadVerdict {
    const fn ok(value: f64) -> Self {
        Self { value: Some(value), status: Status::Ok }
    }

    const fn without(status: Status) -> Self {
        Self { value: None, status }
    }
}

/// How a verdict is read out of a text. The rule's name and version stand in the key, and beside
/// every reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The last `Score: n`, 0 to 5.
    Score,
    /// The same, where n has no decimals.
    WholeScore,
    /// The first `[[n]]`, or else `[n]`, 1 to 10, as MT-Bench asks for.
    Rating,
    /// The last `Winner: Judgement A` or `B`.
    Winner,
    /// The last `Winner: Response A` or `B`, or a tie.
    Response,
    /// The last `[[A]]`, `[[B]]` or, for a tie, `[[C]]`, as MT-Bench asks for.
    Choice,
}

impl Rule {
    /// Returns its name, with its version. All are at 1: the first.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "score-1",
            Self::WholeScore => "whole-score-1",
            Self::Rating => "rating-1",
            Self::Winner => "winner-1",
            Self::Response => "response-1",
            Self::Choice => "choice-1",
        }
    }

    /// Reads a text that ended so.
    #[must_use]
    pub fn read(self, text: &str, finish: FinishReason) -> ReadVerdict {
        match self {
            // What the token limit cut is not the judge's last word, even where a number stands in it.
            _ if finish == FinishReason::Length => ReadVerdict::without(Status::Truncated),
            _ if finish == FinishReason::Refused => ReadVerdict::without(Status::Refused),
            Self::Score => score(text),
            Self::WholeScore => whole(score(text)),
            Self::Rating => rating(text),
            Self::Winner => winner(text, &["judgement", "judgment"]),
            Self::Response => winner(text, &["response", "answer", "assistant"]),
            Self::Choice => choice(text),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Marks that models put around a marker and what it marks: emphasis, quotes, brackets.
const MARKUP: &[char] = &['*', '_', '"', '\'', '`', '(', ')', '[', ']', ' ', '\t'];

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static SCORE: LazyLock<Regex> = LazyLock::new(|| marker("score").unwrap());

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static WINNER: LazyLock<Regex> = LazyLock::new(|| marker("winner").unwrap());

/// A number, what it is out of, and what follows.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let number = r"^([+-]?(?:\d+(?:\.\d+)?|\.\d+))";
    let scale = r#"(?:[\s*_)\]"'`,(]*(?:points?|pts)?[\s(]*(?:/|out of|of)\s*(\d+(?:\.\d+)?))?"#;
    Regex::new(&format!(r"(?i){number}{scale}(.*)$")).unwrap()
});

/// The word and a colon, with markup wherever it likes.
fn marker(word: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!(r#"(?i)\b{word}[\s*_"'`)\]]*:[\s*_"'`(\[]*"#))
}

/// What stands after the last marker, on its line, and whether that line is the marker's own.
fn after_last<'t>(marker: &Regex, text: &'t str) -> Option<(&'t str, bool)> {
    let last = marker.find_iter(text).last()?;
    let line = text[last.end()..].lines().next().unwrap_or_default();
    Some((line, !last.as_str().contains('\n')))
}

/// Reads the last `Score: n` of a judgement; n may have decimals and lies in 0 to 5.
///
/// A last marker that names no number, or more than one (a range, a change
/// of mind), is ambiguous, whatever stood before it; a sum counts where its total ends the line.
/// A number out of anything but 5 is off the scale.
fn score(text: &str) -> ReadVerdict {
    let Some((line, on_its_line)) = after_last(&SCORE, text) else {
        return ReadVerdict::without(Status::Missing);
    };
    let total = line.rsplit_once('=').map_or(line, |(_, total)| total.trim_start_matches(MARKUP));
    let Some(found) = NUMBER.captures(total) else {
        return ReadVerdict::without(Status::Ambiguous);
    };
    let rest = found[3].trim_matches(MARKUP).trim_matches(['.', '!', ';']);
    let other = |c: char| c.is_numeric() || "%+=→".contains(c);
    // A number on a line below the marker may be the first of a list.
    let alone = rest.is_empty() || (on_its_line && total.len() == line.len());
    if rest.contains(other) || rest.contains("->") || !alone {
        return ReadVerdict::without(Status::Ambiguous);
    }
    let scale = found.get(2).map_or(Some(5.0), |scale| scale.as_str().parse().ok());
    let of_five = scale.is_some_and(|scale: f64| (scale - 5.0).abs() < f64::EPSILON);
    match found[1].parse::<f64>() {
        Ok(value) if (0.0..=5.0).contains(&value) && of_five => ReadVerdict::ok(value),
        Ok(_) => ReadVerdict::without(Status::OffScale),
        Err(_) => ReadVerdict::without(Status::Ambiguous),
    }
}

/// A score with decimals is off a scale of whole numbers.
fn whole(read: ReadVerdict) -> ReadVerdict {
    match read.value {
        Some(value) if value.fract() != 0.0 => ReadVerdict::without(Status::OffScale),
        _ => read,
    }
}

/// Takes every score and rating out of a text, with its marker.
pub(in crate::stages) fn without_score(text: &str) -> Cow<'_, str> {
    match SCORED.replace_all(text, "") {
        Cow::Borrowed(same) => Cow::Borrowed(same.trim_end()),
        Cow::Owned(stripped) => Cow::Owned(stripped.trim_end().to_owned()),
    }
}

/// A marker and the rest of its line (of the next one, where it ends its own), or a bracketed rating.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static SCORED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)[*_"'`(\[]*\bscore[\s*_"'`)\]]*:[^\n]*(?:\n[\s*_"'`(\[]*\d[^\n]*)?|\[?\[\d+(?:\.\d*)?\]\]?"#)
        .unwrap()
});

/// A rating in two brackets, and in one.
#[expect(clippy::unwrap_used, reason = "the patterns are constants")]
static RATINGS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [r"\[\[(\d+(?:\.\d*)?)\]\]", r"\[(\d+(?:\.\d*)?)\]"].map(|p| Regex::new(p).unwrap())
});

/// Reads the first `[[n]]` of a grading, or the first `[n]` where there is none (Zheng et al. 2023,
/// FastChat's `get_model_answer`); n may have decimals and lies in 1 to 10.
fn rating(text: &str) -> ReadVerdict {
    let found = RATINGS.iter().find_map(|pattern| pattern.captures(text));
    match found.map(|found| found[1].trim_end_matches('.').parse::<f64>()) {
        Some(Ok(value)) if (1.0..=10.0).contains(&value) => ReadVerdict::ok(value),
        Some(_) => ReadVerdict::without(Status::OffScale),
        None => ReadVerdict::without(Status::Missing),
    }
}

/// Reads the last `Winner: Judgement A` or `B`, with any of the `nouns` or none, brackets or not: 1 where
/// the one shown first wins, −1 where the second does, 0 for a tie.
///
/// A bare letter counts only where it stands alone: the A of "a close call" names no one.
fn winner(text: &str, nouns: &[&str]) -> ReadVerdict {
    let Some((line, _)) = after_last(&WINNER, text) else {
        return ReadVerdict::without(Status::Missing);
    };
    let line = line.to_lowercase();
    let words =
        line.split(|c: char| c.is_whitespace() || MARKUP.contains(&c) || ".,;:!/|=-".contains(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let side =
        |letter: &str| if letter == "a" { ReadVerdict::ok(1.0) } else { ReadVerdict::ok(-1.0) };
    match words.as_slice() {
        [letter @ ("a" | "b")] => side(letter),
        [noun, letter @ ("a" | "b"), rest @ ..]
            if nouns.contains(noun) && names_no_other(rest, nouns) =>
        {
            side(letter)
        }
        ["a", "tie" | "draw"] | ["tie" | "draw" | "neither" | "both" | "equal"] => {
            ReadVerdict::ok(0.0)
        }
        _ => ReadVerdict::without(Status::Ambiguous),
    }
}

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static CHOICE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[\[([ABC])\]\]").unwrap());

/// Reads the last `[[A]]`, `[[B]]` or `[[C]]` (Zheng et al. 2023): 1 where the one shown first wins, −1
/// where the second does, 0 for a tie.
fn choice(text: &str) -> ReadVerdict {
    match CHOICE.captures_iter(text).last().map(|found| found[1].to_owned()).as_deref() {
        Some("A") => ReadVerdict::ok(1.0),
        Some("B") => ReadVerdict::ok(-1.0),
        Some(_) => ReadVerdict::ok(0.0),
        None => ReadVerdict::without(Status::Missing),
    }
}

/// Words after a named side that name the other one too, or take the name back. The letter A is
/// also an article, so of a second side it is the words around it that tell, for A and B alike.
const TAKEN_BACK: [&str; 20] = [
    "and", "b", "both", "draw", "equal", "equally", "less", "loses", "neither", "no", "not", "or",
    "over", "than", "tie", "tied", "other", "versus", "vs", "worse",
];

/// Whether what follows a named side takes nothing of it back.
fn names_no_other(rest: &[&str], nouns: &[&str]) -> bool {
    !rest.iter().any(|word| TAKEN_BACK.contains(word) || nouns.contains(word))
        && rest.last() != Some(&"a")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_score_counts_decimals_and_all() {
        let read = |text: &str| Rule::Score.read(text, FinishReason::Stop);
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
            "Score: +4",
            "\"Score\": 4.",
            "Score: `4`/5",
            "Score: 4 out of 5",
            "Score: 4/5.00",
            "**Score:**\n4",
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
        let cut = Rule::Score.read("Score: 4 because", FinishReason::Length);
        assert_eq!(cut, ReadVerdict::without(Status::Truncated), "not the judge's last word");
    }

    #[test]
    fn decimals_may_be_refused_and_scores_hidden() {
        let read = |text: &str| Rule::WholeScore.read(text, FinishReason::Stop);
        assert_eq!(read("Score: 4"), ReadVerdict::ok(4.0));
        assert_eq!(read("Score: 4.0"), ReadVerdict::ok(4.0));
        assert_eq!(read("Score: 3.5"), ReadVerdict::without(Status::OffScale));
        assert_eq!(without_score("Good.\n**Score: 4/5**"), "Good.");
        assert_eq!(without_score("Score: 2. No, better.\nScore:\n4"), "");
        assert_eq!(without_score("a [[7]] b"), "a  b");
        assert_eq!(without_score("nothing to hide"), "nothing to hide");
        for text in ["Score: 3", "**Score**: 4", "x score : 2\nScore: 5", "[[3]]", "[7]"] {
            let left = without_score(text);
            for rule in [Rule::Score, Rule::Rating] {
                assert_eq!(rule.read(&left, FinishReason::Stop).value, None, "{text}");
            }
        }
    }

    #[test]
    fn the_first_rating_counts_two_brackets_before_one() {
        let read = |text: &str| Rule::Rating.read(text, FinishReason::Stop);
        assert_eq!(read("See [3]. Rating: [[8.5]], not [[2]]"), ReadVerdict::ok(8.5));
        assert_eq!(read("Rating: [7]"), ReadVerdict::ok(7.0));
        assert_eq!(read("Rating: [[11]]"), ReadVerdict::without(Status::OffScale));
        assert_eq!(read("Rating: 7"), ReadVerdict::without(Status::Missing));
    }

    #[test]
    fn the_winner_is_read_in_either_spelling() {
        let read = |text: &str| Rule::Winner.read(text, FinishReason::Stop);
        assert_eq!(read("Winner: Judgement A"), ReadVerdict::ok(1.0));
        assert_eq!(read("winner: [[Judgment B]]."), ReadVerdict::ok(-1.0));
        assert_eq!(read("**Winner:** A"), ReadVerdict::ok(1.0));
        assert_eq!(read("Winner: Judgement A\nWinner: Judgement B"), ReadVerdict::ok(-1.0));
        for second in [
            "**Winner**: Judgement **B**",
            "Winner: (B)",
            "Winner: \"B\"",
            "Winner: Judgement B, by far",
        ] {
            assert_eq!(read(second), ReadVerdict::ok(-1.0), "{second}");
        }
        for tie in ["Winner: tie", "Winner: A tie", "Winner: a draw", "Winner: Neither."] {
            assert_eq!(read(tie), ReadVerdict::ok(0.0), "{tie}");
        }
        for vague in [
            "Winner: a draw between both",
            "Winner: Judgement A and B are equal",
            "Winner: A/B",
            "Winner: a close call, Judgement B",
            "Winner: Judgement B vs Judgement A",
            "Winner: Judgement B over Judgement A",
            "Winner: Judgement A tied with the other",
            "Winner: Judgement A is not the winner",
        ] {
            assert_eq!(read(vague), ReadVerdict::without(Status::Ambiguous), "{vague}");
        }
        assert_eq!(read("Winner: Judgement C"), ReadVerdict::without(Status::Ambiguous));
        assert_eq!(read("Winner:"), ReadVerdict::without(Status::Ambiguous));
        assert_eq!(read("A is better"), ReadVerdict::without(Status::Missing));
    }

    #[test]
    fn a_better_response_is_named_in_words_or_in_brackets() {
        let read = |rule: Rule, text: &str| rule.read(text, FinishReason::Stop);
        for first in ["Winner: Response A", "**Winner:** A", "Winner: Assistant A is better"] {
            assert_eq!(read(Rule::Response, first), ReadVerdict::ok(1.0), "{first}");
        }
        assert_eq!(read(Rule::Response, "Winner: Response B."), ReadVerdict::ok(-1.0));
        assert_eq!(read(Rule::Response, "Winner: tie"), ReadVerdict::ok(0.0));
        let other = read(Rule::Response, "Winner: Judgement A");
        assert_eq!(other, ReadVerdict::without(Status::Ambiguous), "nobody asked about judgements");
        assert_eq!(read(Rule::Choice, "not [[B]]; on reflection [[A]]"), ReadVerdict::ok(1.0));
        assert_eq!(read(Rule::Choice, "[[C]]"), ReadVerdict::ok(0.0));
        assert_eq!(read(Rule::Choice, "[A]"), ReadVerdict::without(Status::Missing));
    }

    proptest! {
        /// A rule that reads A and B differently would make a position bias where there is none.
        #[test]
        fn swapping_the_sides_swaps_the_winner(
            first in "(Judgement [XY]|[XY])",
            link in "( |, | over | vs | and |/| because | by far, not )",
            second in "(Judgement [XY]|[XY]|it|)",
        ) {
            let text = format!("Winner: {first}{link}{second}");
            let as_is = Rule::Winner.read(&text.replace('X', "A").replace('Y', "B"), FinishReason::Stop);
            let swapped = Rule::Winner.read(&text.replace('X', "B").replace('Y', "A"), FinishReason::Stop);
            prop_assert_eq!(as_is.status, swapped.status, "{}", text);
            prop_assert_eq!(as_is.value, swapped.value.map(|value| -value), "{}", text);
        }

        #[test]
        fn reading_never_panics_and_never_leaves_the_scale(text in "\\PC{0,80}", tail in "[ -~]{0,20}") {
            let text = format!("{text}Score: {tail}\nWinner: {tail}");
            for rule in [Rule::Score, Rule::Winner, Rule::Response, Rule::Choice] {
                let verdict = rule.read(&text, FinishReason::Stop);
                prop_assert_eq!(verdict.value.is_some(), verdict.status == Status::Ok);
                prop_assert!(verdict.value.is_none_or(|value| (-1.0..=5.0).contains(&value)));
            }
        }
    }
}
