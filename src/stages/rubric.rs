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
pub(super) struct Verdict {
    pub(super) value: Option<f64>,
    pub(super) status: Status,
}

impl Verdict {
    const fn ok(value: f64) -> Self {
        Self { value: Some(value), status: Status::Ok }
    }

    const fn without(status: Status) -> Self {
        Self { value: None, status }
    }
}

/// The name of the rule that [`score`] follows. 1: the first.
pub(super) const SCORE_RULE: &str = "score-1";

/// The name of the rule that [`winner`] follows. 1: the first.
pub(super) const WINNER_RULE: &str = "winner-1";

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static SCORE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\bscore\s*:[\s*\[]*(-?\d+(?:\.\d+)?)").unwrap());

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static WINNER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\bwinner\s*:[\s*\[]*((?:judge?ment\s+)?\w*)").unwrap());

/// Reads the last `Score: n` of a judgement; n may have decimals and lies in 0 to 5.
///
/// A judgement that the token limit cut is not read, even where a number stands in it: it is not
/// the judge's last word.
pub(super) fn score(text: &str, finish: FinishReason) -> Verdict {
    if finish == FinishReason::Length {
        return Verdict::without(Status::Truncated);
    }
    let last = SCORE.captures_iter(text).last();
    match last.and_then(|found| found[1].parse::<f64>().ok()) {
        None => Verdict::without(Status::Missing),
        Some(value) if (0.0..=5.0).contains(&value) => Verdict::ok(value),
        Some(_) => Verdict::without(Status::OffScale),
    }
}

/// Reads the last `Winner: Judgement A` or `B` (either spelling, brackets or not): 1 where the one
/// shown first wins, −1 where the second does, 0 for a tie.
pub(super) fn winner(text: &str, finish: FinishReason) -> Verdict {
    if finish == FinishReason::Length {
        return Verdict::without(Status::Truncated);
    }
    let Some(last) = WINNER.captures_iter(text).last() else {
        return Verdict::without(Status::Missing);
    };
    let named = last[1].to_lowercase();
    match named.split_whitespace().last() {
        Some("a") => Verdict::ok(1.0),
        Some("b") => Verdict::ok(-1.0),
        Some("tie" | "neither" | "both" | "equal") => Verdict::ok(0.0),
        _ => Verdict::without(Status::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_score_counts_decimals_and_all() {
        let read = |text: &str| score(text, FinishReason::Stop);
        assert_eq!(read("Score: 2. No: Score: 4"), Verdict::ok(4.0));
        assert_eq!(read("**Score:** **3.5**/5"), Verdict::ok(3.5));
        assert_eq!(read("score:[5]"), Verdict::ok(5.0));
        assert_eq!(read("Score: 0"), Verdict::ok(0.0));
        assert_eq!(read("Score: 7"), Verdict::without(Status::OffScale));
        assert_eq!(read("Score: -1"), Verdict::without(Status::OffScale));
        assert_eq!(read("I would give it four"), Verdict::without(Status::Missing));
        assert_eq!(read("underscore: 4"), Verdict::without(Status::Missing));
        assert_eq!(read(""), Verdict::without(Status::Missing));
        let cut = score("Score: 4 because", FinishReason::Length);
        assert_eq!(cut, Verdict::without(Status::Truncated), "not the judge's last word");
    }

    #[test]
    fn the_winner_is_read_in_either_spelling() {
        let read = |text: &str| winner(text, FinishReason::Stop);
        assert_eq!(read("Winner: Judgement A"), Verdict::ok(1.0));
        assert_eq!(read("winner: [[Judgment B]]."), Verdict::ok(-1.0));
        assert_eq!(read("**Winner:** A"), Verdict::ok(1.0));
        assert_eq!(read("Winner: Judgement A\nWinner: Judgement B"), Verdict::ok(-1.0));
        assert_eq!(read("Winner: tie"), Verdict::ok(0.0));
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
        #[test]
        fn reading_never_panics_and_never_leaves_the_scale(text in "\\PC{0,80}", tail in "[ -~]{0,20}") {
            let text = format!("{text}Score: {tail}\nWinner: {tail}");
            for verdict in [score(&text, FinishReason::Stop), winner(&text, FinishReason::Stop)] {
                prop_assert_eq!(verdict.value.is_some(), verdict.status == Status::Ok);
                prop_assert!(verdict.value.is_none_or(|value| (-1.0..=5.0).contains(&value)));
            }
        }
    }
}
