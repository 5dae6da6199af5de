//! The built-in ways of reading which of two is better: 1 is the one shown first, −1 the second.

use std::sync::LazyLock;

use regex::Regex;

use super::rules::{Found, MARKUP, Marked, ReadVerdict, Which, after, marker};
use crate::records::Status;

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static WINNER: LazyLock<Regex> = LazyLock::new(|| marker("winner").unwrap());

/// Reads the last `Winner: Judgement A` or `B`, with any of the `nouns` or none, brackets or not: 1 where
/// the one shown first wins, −1 where the second does, 0 for a tie.
///
/// A bare letter counts only where it stands alone: the A of "a close call" names no one.
pub(super) fn winner(text: &str, nouns: &[&str], which: Which) -> Found {
    let Some(Marked { line, at, .. }) = after(&WINNER, text, which) else { return Found::MISSING };
    let line = line.to_lowercase();
    let words =
        line.split(|c: char| c.is_whitespace() || MARKUP.contains(&c) || ".,;:!/|=-".contains(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let side = |letter: &str| ReadVerdict::ok(if letter == "a" { 1.0 } else { -1.0 });
    let verdict = match words.as_slice() {
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
    };
    Found::of(verdict, at)
}

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static CHOICE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[\[\s*([ABC])\s*\]\]").unwrap());

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static ARENA: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[\[\s*(A\s*>>?\s*B|A\s*=\s*B|B\s*>>?\s*A)\s*\]\]").unwrap());

/// Reads the last `[[A]]`, `[[B]]` or `[[C]]` (Zheng et al. 2023): 1 where the one shown first wins, −1
/// where the second does, 0 for a tie.
pub(super) fn choice(text: &str, which: Which) -> Found {
    labelled(&CHOICE, text, which, |label| match label {
        "A" => 1.0,
        "B" => -1.0,
        _ => 0.0,
    })
}

/// Reads the last of Arena-Hard's five levels (Li et al. 2024): 1 where the one shown first is much better,
/// 0.5 where it is better, 0 for a tie, and the negative of these where the second is.
pub(super) fn arena(text: &str, which: Which) -> Found {
    labelled(&ARENA, text, which, |label| {
        let label: String = label.split_whitespace().collect();
        match label.as_str() {
            "A>>B" => 1.0,
            "A>B" => 0.5,
            "B>A" => -0.5,
            "B>>A" => -1.0,
            _ => 0.0,
        }
    })
}

fn labelled(labels: &Regex, text: &str, which: Which, value: impl Fn(&str) -> f64) -> Found {
    let found = which.of(labels.captures_iter(text));
    found.map_or(Found::MISSING, |found| {
        let at = found.get(0).map_or(0..0, |whole| whole.range());
        Found::of(ReadVerdict::ok(value(&found[1])), at)
    })
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
    use crate::records::FinishReason;
    use crate::stages::{BuiltIn, Rule};

    #[test]
    fn the_winner_is_read_in_either_spelling() {
        let read = |text: &str| Rule::from(BuiltIn::Winner).read(text, FinishReason::Stop);
        assert_eq!(read("Winner: Judgement A"), ReadVerdict::ok(1.0));
        assert_eq!(read("winner: [[Judgment B]]."), ReadVerdict::ok(-1.0));
        assert_eq!(read("**Winner:** A"), ReadVerdict::ok(1.0));
        assert_eq!(read("Winner: Judgement A\nWinner: Judgement B"), ReadVerdict::ok(-1.0));
        for second in [
            "**Winner**: Judgement **B**",
            "**Winner:**\nWinner: Judgement B",
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
        let read = |rule: BuiltIn, text: &str| Rule::from(rule).read(text, FinishReason::Stop);
        for first in ["Winner: Response A", "**Winner:** A", "Winner: Assistant A is better"] {
            assert_eq!(read(BuiltIn::Response, first), ReadVerdict::ok(1.0), "{first}");
        }
        assert_eq!(read(BuiltIn::Response, "Winner: Response B."), ReadVerdict::ok(-1.0));
        assert_eq!(read(BuiltIn::Response, "Winner: tie"), ReadVerdict::ok(0.0));
        let other = read(BuiltIn::Response, "Winner: Judgement A");
        assert_eq!(other, ReadVerdict::without(Status::Ambiguous), "nobody asked about judgements");
        assert_eq!(read(BuiltIn::Choice, "not [[B]]; on reflection [[A]]"), ReadVerdict::ok(1.0));
        assert_eq!(read(BuiltIn::Choice, "a draft: [[A]]; then [[ B ]]"), ReadVerdict::ok(-1.0));
        assert_eq!(read(BuiltIn::Choice, "[[C]]"), ReadVerdict::ok(0.0));
        assert_eq!(read(BuiltIn::Choice, "[A]"), ReadVerdict::without(Status::Missing));
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
            let as_is = Rule::from(BuiltIn::Winner).read(&text.replace('X', "A").replace('Y', "B"), FinishReason::Stop);
            let swapped = Rule::from(BuiltIn::Winner).read(&text.replace('X', "B").replace('Y', "A"), FinishReason::Stop);
            prop_assert_eq!(as_is.status, swapped.status, "{}", text);
            prop_assert_eq!(as_is.value, swapped.value.map(|value| -value), "{}", text);
        }
    }
}
