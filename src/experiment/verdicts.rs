//! How the verdicts of judge, meta-judge and the judge of games are read, and which of them are weighed.

use super::Error;
use super::spanned::Spanned;
use super::toml_file::{Comparison, Decide, EvaluationJudge, File, Marker, VerdictTable};
use crate::stages::{BuiltIn, Choices, Form, Rule, RuleOptions};

/// How scores are read.
pub(super) fn of_judge(file: &File) -> Result<Rule, Error> {
    let judge = &file.root.judge;
    if let Some(verdict) = &judge.verdict {
        if let Some(decimals) = &judge.decimals {
            let message =
                "`decimals` belongs to the marker `score`; a `verdict` says it by its rule";
            return Err(file.text.error(&decimals.span(), message));
        }
        return own(file, verdict, judge.marker.is_some());
    }
    Ok(Rule::from(match (judge.marker.unwrap_or_default(), &judge.decimals) {
        (Marker::Score, Some(decimals)) if !decimals.as_ref().0 => BuiltIn::WholeScore,
        (Marker::Score, _) => BuiltIn::Score,
        (Marker::Rating, None) => BuiltIn::Rating,
        (Marker::Rating, Some(decimals)) => {
            let message = "`decimals` belongs to the marker `score`; ratings may always have them";
            return Err(file.text.error(&decimals.span(), message));
        }
    }))
}

/// How winners are read.
pub(super) fn of_meta_judge(file: &File) -> Result<Rule, Error> {
    match file.root.meta_judge.as_ref().and_then(|table| table.verdict.as_ref()) {
        Some(verdict) => between_two(file, verdict, own(file, verdict, false)?),
        None => Ok(BuiltIn::Winner.into()),
    }
}

/// How the winners of games are read.
pub(super) fn of_games(file: &File, table: &EvaluationJudge) -> Result<Rule, Error> {
    match (&table.verdict, table.marker.unwrap_or_default()) {
        (Some(verdict), _) => {
            between_two(file, verdict, own(file, verdict, table.marker.is_some())?)
        }
        (None, Comparison::Winner) => Ok(BuiltIn::Response.into()),
        (None, Comparison::Choice) => Ok(BuiltIn::Choice.into()),
    }
}

/// A rule as the file gives it.
fn own(file: &File, named: &Spanned<VerdictTable>, marked: bool) -> Result<Rule, Error> {
    let table = named.as_ref();
    let mistake = |message: &str| Err(file.text.error(&named.span(), message));
    if marked {
        return mistake("expected `marker` or `verdict`, found both");
    }
    let form = match (table.rule, &table.pattern) {
        (Some(rule), None) => Form::Rule(rule),
        (None, Some(pattern)) => Form::Pattern(pattern.clone()),
        (Some(_), Some(_)) => return mistake("expected `rule` or `pattern`, found both"),
        (None, None) => return mistake("expected `rule`, a built-in one, or `pattern`"),
    };
    let options = RuleOptions {
        field: table.field.clone(),
        min: table.min.map(|min| min.0),
        max: table.max.map(|max| max.0),
        values: table.values.iter().map(|(word, value)| (word.clone(), value.0)).collect(),
        which: table.which,
        without: table.without.map(|without| without.0),
        prefix: table.prefix.clone(),
    };
    Rule::new(form, options).map_err(|e| file.text.error(&named.span(), e.to_string()))
}

/// A verdict on two is −1 to 1.
fn between_two(file: &File, named: &Spanned<VerdictTable>, mut rule: Rule) -> Result<Rule, Error> {
    match rule.scale() {
        Some([min, max]) if min >= -1.0 && max <= 1.0 => {
            // A number that is none of its words is off the scale that these have.
            if let Form::Pattern(_) | Form::Rule(BuiltIn::Json | BuiltIn::Boxed) = rule.form {
                (rule.options.min, rule.options.max) = (Some(min), Some(max));
            }
            Ok(rule)
        }
        scale => {
            let found = scale.map_or("no scale".to_owned(), |[min, max]| format!("{min} to {max}"));
            let message = format!(
                "expected verdicts from 1, the one shown first wins, to -1, the other does; found {found}"
            );
            Err(file.text.error(&named.span(), message))
        }
    }
}

/// The rule of the scores that are stripped, where they are neither scores nor ratings.
pub(super) fn stripped(file: &File, strip_scores: bool) -> Result<Option<Rule>, Error> {
    let rule = of_judge(file)?;
    let usual =
        matches!(rule.form, Form::Rule(BuiltIn::Score | BuiltIn::WholeScore | BuiltIn::Rating));
    Ok((strip_scores && !usual).then_some(rule))
}

/// The verdicts that are weighed, where none is written.
pub(super) fn choices(
    file: &File,
    decide: Option<&Spanned<Decide>>,
    rule: &Rule,
) -> Result<Option<Choices>, Error> {
    let Some(named) = decide.filter(|decide| *decide.as_ref() == Decide::Score) else {
        return Ok(None);
    };
    let mistake = |message: String| file.text.error(&named.span(), message);
    let choices = rule.choices().ok_or_else(|| {
        let message = "expected verdicts that can be listed: give `verdict` a scale (`min` and `max`), or \
                       its `values`";
        mistake(message.to_owned())
    })?;
    match choices.one_within_another() {
        Some((one, other)) => Err(mistake(format!(
            "expected verdicts of which none begins with another, found `{one}` and `{other}`: what is said \
             of the first would be said of both"
        ))),
        None => Ok(Some(choices)),
    }
}

/// Scores from here on leave a judge no room above.
pub(super) fn top_score(rule: &Rule) -> f64 {
    rule.scale().map_or(f64::MAX, |[_, max]| 0.9 * max)
}
