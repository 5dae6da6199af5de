//! Rubrics: the prompts of judge and meta-judge, and reading their verdicts back. Pure text.

use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior, Value, context};
use regex::Regex;
use serde::{Serialize, Serializer};

use crate::records::{FinishReason, Status};
use crate::runner::StageError;
use crate::store::Digest;

/// The judge's prompt where the experiment brings none: an additive five-point rubric.
pub const JUDGE: &str = include_str!("judge.jinja");

/// The meta-judge's prompt where the experiment brings none.
pub const META_JUDGE: &str = include_str!("meta_judge.jinja");

/// A prompt with places for variables. Its text is part of the key of the stage that uses it.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    environment: Environment<'static>,
}

/// Why a text cannot serve as a template.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TemplateError {
    /// It does not parse.
    #[error("{0}")]
    Syntax(String),
    /// A variable that has to be shown is not in it.
    #[error("it never shows `{{{{ {missing} }}}}`; it has to show {needed}")]
    Missing {
        /// The variable.
        missing: &'static str,
        /// All that it has to show.
        needed: String,
    },
    /// It shows something that nothing gives.
    #[error("it shows `{{{{ {0} }}}}`, which nothing gives it")]
    Unknown(String),
}

impl Template {
    const NAME: &'static str = "template";

    /// Reads a judge's template: it has to show `prompt` and `response`.
    ///
    /// # Errors
    /// Where the text cannot serve.
    pub fn for_judge(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text, &["prompt", "response"])
    }

    /// Reads a meta-judge's template: it has to show `prompt`, `response` and both judgements.
    ///
    /// # Errors
    /// Where the text cannot serve.
    pub fn for_meta_judge(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text, &["prompt", "response", "judgement_a", "judgement_b"])
    }

    fn parse(text: &str, variables: &[&'static str]) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .add_template_owned(Self::NAME, text.to_owned())
            .map_err(|e| TemplateError::Syntax(e.to_string()))?;
        let template = environment.get_template(Self::NAME);
        let shown = template
            .map(|template| template.undeclared_variables(false))
            .map_err(|e| TemplateError::Syntax(e.to_string()))?;
        if let Some(missing) = variables.iter().find(|name| !shown.contains(**name)) {
            return Err(TemplateError::Missing { missing, needed: variables.join(", ") });
        }
        let mut unknown: Vec<_> =
            shown.into_iter().filter(|name| !variables.contains(&name.as_str())).collect();
        unknown.sort_unstable();
        match unknown.into_iter().next() {
            Some(unknown) => Err(TemplateError::Unknown(unknown)),
            None => Ok(Self { text: text.to_owned(), environment }),
        }
    }

    /// Returns what stands for the text in ids.
    pub(super) fn digest(&self) -> String {
        Digest::of(self.text.as_bytes()).to_hex()
    }

    /// Renders the judge's prompt.
    pub(super) fn judge(&self, prompt: &str, response: &str) -> Result<String, StageError> {
        self.render(context! { prompt, response })
    }

    /// Renders the meta-judge's prompt.
    pub(super) fn meta_judge(
        &self,
        prompt: &str,
        response: &str,
        [judgement_a, judgement_b]: [&str; 2],
    ) -> Result<String, StageError> {
        self.render(context! { prompt, response, judgement_a, judgement_b })
    }

    fn render(&self, variables: Value) -> Result<String, StageError> {
        Ok(self.environment.get_template(Self::NAME)?.render(variables)?)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The score or the winner; `None` unless the status is ok.
    pub value: Option<f64>,
    /// Whether there is one.
    pub status: Status,
}

impl Verdict {
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
    /// The first `[[n]]`, or else `[n]`, 1 to 10, as MT-Bench asks for.
    Rating,
    /// The last `Winner: Judgement A` or `B`.
    Winner,
}

impl Rule {
    /// Returns its name, with its version. All are at 1: the first.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "score-1",
            Self::Rating => "rating-1",
            Self::Winner => "winner-1",
        }
    }

    /// Reads a text that ended so.
    #[must_use]
    pub fn read(self, text: &str, finish: FinishReason) -> Verdict {
        match self {
            // What the token limit cut is not the judge's last word, even where a number stands in it.
            _ if finish == FinishReason::Length => Verdict::without(Status::Truncated),
            Self::Score => score(text),
            Self::Rating => rating(text),
            Self::Winner => winner(text),
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
fn score(text: &str) -> Verdict {
    let Some((line, on_its_line)) = after_last(&SCORE, text) else {
        return Verdict::without(Status::Missing);
    };
    let total = line.rsplit_once('=').map_or(line, |(_, total)| total.trim_start_matches(MARKUP));
    let Some(found) = NUMBER.captures(total) else {
        return Verdict::without(Status::Ambiguous);
    };
    let rest = found[3].trim_matches(MARKUP).trim_matches(['.', '!', ';']);
    let other = |c: char| c.is_numeric() || "%+=→".contains(c);
    // A number on a line below the marker may be the first of a list.
    let alone = rest.is_empty() || (on_its_line && total.len() == line.len());
    if rest.contains(other) || rest.contains("->") || !alone {
        return Verdict::without(Status::Ambiguous);
    }
    let scale = found.get(2).map_or(Some(5.0), |scale| scale.as_str().parse().ok());
    let of_five = scale.is_some_and(|scale: f64| (scale - 5.0).abs() < f64::EPSILON);
    match found[1].parse::<f64>() {
        Ok(value) if (0.0..=5.0).contains(&value) && of_five => Verdict::ok(value),
        Ok(_) => Verdict::without(Status::OffScale),
        Err(_) => Verdict::without(Status::Ambiguous),
    }
}

/// A rating in two brackets, and in one.
#[expect(clippy::unwrap_used, reason = "the patterns are constants")]
static RATINGS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [r"\[\[(\d+(?:\.\d*)?)\]\]", r"\[(\d+(?:\.\d*)?)\]"].map(|p| Regex::new(p).unwrap())
});

/// Reads the first `[[n]]` of a grading, or the first `[n]` where there is none (Zheng et al. 2023,
/// FastChat's `get_model_answer`); n may have decimals and lies in 1 to 10.
fn rating(text: &str) -> Verdict {
    let found = RATINGS.iter().find_map(|pattern| pattern.captures(text));
    match found.map(|found| found[1].trim_end_matches('.').parse::<f64>()) {
        Some(Ok(value)) if (1.0..=10.0).contains(&value) => Verdict::ok(value),
        Some(_) => Verdict::without(Status::OffScale),
        None => Verdict::without(Status::Missing),
    }
}

/// Reads the last `Winner: Judgement A` or `B` (either spelling, brackets or not): 1 where the one
/// shown first wins, −1 where the second does, 0 for a tie.
///
/// A bare letter counts only where it stands alone: the A of "a close call" names no one.
fn winner(text: &str) -> Verdict {
    let Some((line, _)) = after_last(&WINNER, text) else {
        return Verdict::without(Status::Missing);
    };
    let line = line.to_lowercase();
    let words =
        line.split(|c: char| c.is_whitespace() || MARKUP.contains(&c) || ".,;:!/|=-".contains(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let side = |letter: &str| if letter == "a" { Verdict::ok(1.0) } else { Verdict::ok(-1.0) };
    match words.as_slice() {
        [letter @ ("a" | "b")] => side(letter),
        ["judgement" | "judgment", letter @ ("a" | "b"), rest @ ..] if names_no_other(rest) => {
            side(letter)
        }
        ["a", "tie" | "draw"] | ["tie" | "draw" | "neither" | "both" | "equal"] => Verdict::ok(0.0),
        _ => Verdict::without(Status::Ambiguous),
    }
}

/// Words after a named side that name the other one too, or take the name back. The letter A is
/// also an article, so of a second side it is the words around it that tell, for A and B alike.
const TAKEN_BACK: [&str; 22] = [
    "and",
    "b",
    "both",
    "draw",
    "equal",
    "equally",
    "judgement",
    "judgment",
    "less",
    "loses",
    "neither",
    "no",
    "not",
    "or",
    "over",
    "than",
    "tie",
    "tied",
    "other",
    "versus",
    "vs",
    "worse",
];

/// Whether what follows a named side takes nothing of it back.
fn names_no_other(rest: &[&str]) -> bool {
    !rest.iter().any(|word| TAKEN_BACK.contains(word)) && rest.last() != Some(&"a")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_score_counts_decimals_and_all() {
        let read = |text: &str| Rule::Score.read(text, FinishReason::Stop);
        assert_eq!(read("Score: 2. No: Score: 4"), Verdict::ok(4.0));
        assert_eq!(read("**Score:** **3.5**/5"), Verdict::ok(3.5));
        assert_eq!(read("score:[5]"), Verdict::ok(5.0));
        assert_eq!(read("Score: 0"), Verdict::ok(0.0));
        assert_eq!(read("Score: 7"), Verdict::without(Status::OffScale));
        assert_eq!(read("Score: -1"), Verdict::without(Status::OffScale));
        assert_eq!(read("I would give it four"), Verdict::without(Status::Missing));
        assert_eq!(read("underscore: 4"), Verdict::without(Status::Missing));
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
            assert_eq!(read(four), Verdict::ok(4.0), "{four}");
        }
        assert_eq!(read("Score: .5"), Verdict::ok(0.5));
        assert_eq!(read("Score: 4 out of 10"), Verdict::without(Status::OffScale));
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
            assert_eq!(read(vague), Verdict::without(Status::Ambiguous), "{vague}");
        }
        assert_eq!(read(""), Verdict::without(Status::Missing));
        let cut = Rule::Score.read("Score: 4 because", FinishReason::Length);
        assert_eq!(cut, Verdict::without(Status::Truncated), "not the judge's last word");
    }

    #[test]
    fn the_first_rating_counts_two_brackets_before_one() {
        let read = |text: &str| Rule::Rating.read(text, FinishReason::Stop);
        assert_eq!(read("See [3]. Rating: [[8.5]], not [[2]]"), Verdict::ok(8.5));
        assert_eq!(read("Rating: [7]"), Verdict::ok(7.0));
        assert_eq!(read("Rating: [[11]]"), Verdict::without(Status::OffScale));
        assert_eq!(read("Rating: 7"), Verdict::without(Status::Missing));
    }

    #[test]
    fn the_winner_is_read_in_either_spelling() {
        let read = |text: &str| Rule::Winner.read(text, FinishReason::Stop);
        assert_eq!(read("Winner: Judgement A"), Verdict::ok(1.0));
        assert_eq!(read("winner: [[Judgment B]]."), Verdict::ok(-1.0));
        assert_eq!(read("**Winner:** A"), Verdict::ok(1.0));
        assert_eq!(read("Winner: Judgement A\nWinner: Judgement B"), Verdict::ok(-1.0));
        for second in [
            "**Winner**: Judgement **B**",
            "Winner: (B)",
            "Winner: \"B\"",
            "Winner: Judgement B, by far",
        ] {
            assert_eq!(read(second), Verdict::ok(-1.0), "{second}");
        }
        for tie in ["Winner: tie", "Winner: A tie", "Winner: a draw", "Winner: Neither."] {
            assert_eq!(read(tie), Verdict::ok(0.0), "{tie}");
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
            assert_eq!(read(vague), Verdict::without(Status::Ambiguous), "{vague}");
        }
        assert_eq!(read("Winner: Judgement C"), Verdict::without(Status::Ambiguous));
        assert_eq!(read("Winner:"), Verdict::without(Status::Ambiguous));
        assert_eq!(read("A is better"), Verdict::without(Status::Missing));
    }

    #[test]
    fn a_template_shows_what_it_has_to_and_nothing_else() {
        assert!(Template::for_judge(JUDGE).is_ok());
        assert!(Template::for_meta_judge(META_JUDGE).is_ok());
        let missing = Template::for_judge("{{ prompt }}").unwrap_err();
        assert!(missing.to_string().contains("{{ response }}"), "{missing}");
        let unknown = Template::for_judge("{{ prompt }}{{ response }}{{ reply }}").unwrap_err();
        assert!(unknown.to_string().contains("{{ reply }}"), "{unknown}");
        assert!(matches!(Template::for_judge("{{ prompt"), Err(TemplateError::Syntax(_))));
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
            let as_is = winner(&text.replace('X', "A").replace('Y', "B"));
            let swapped = winner(&text.replace('X', "B").replace('Y', "A"));
            prop_assert_eq!(as_is.status, swapped.status, "{}", text);
            prop_assert_eq!(as_is.value, swapped.value.map(|value| -value), "{}", text);
        }

        #[test]
        fn reading_never_panics_and_never_leaves_the_scale(text in "\\PC{0,80}", tail in "[ -~]{0,20}") {
            let text = format!("{text}Score: {tail}\nWinner: {tail}");
            for verdict in [score(&text), winner(&text)] {
                prop_assert_eq!(verdict.value.is_some(), verdict.status == Status::Ok);
                prop_assert!(verdict.value.is_none_or(|value| (-1.0..=5.0).contains(&value)));
            }
        }
    }
}
