//! What a reader has to know before believing a number, in words.

use super::number::Number;

/// Says what the numbers warn of, the judge first.
pub(super) fn warnings(numbers: &[Number]) -> Vec<String> {
    let rules: [fn(&Number) -> Option<String>; 6] =
        [of_probe, of_unread, of_top, of_first, of_cut, of_verdicts];
    rules.iter().flat_map(|rule| numbers.iter().filter_map(rule)).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A judge that scores a probe higher than real answers can be gamed.
fn of_probe(number: &Number) -> Option<String> {
    let (value, low, high) = (number.value?, number.low?, number.high?);
    (number.name == "probe_gain" && low > 0.0).then(|| {
        format!(
            "The judge of {} scores the probe “{}” {value:.2} points above real answers [{low:.2}, {high:.2}]: \
             it can be gamed.",
            number.model, number.group
        )
    })
}

/// Texts that could not be read have no say.
fn of_unread(number: &Number) -> Option<String> {
    const MOST: f64 = 0.005;
    let who = match number.name.as_str() {
        "judge_status" => "judgements",
        "meta_judge_status" => "meta-judgements",
        _ => return None,
    };
    let value = number.value.filter(|value| *value > MOST && number.group != "ok")?;
    let share = percent(value);
    Some(format!("{share} of the {who} of {} could not be read: {}.", number.model, number.group))
}

/// A judge that nearly always says the same tells answers apart no longer.
fn of_top(number: &Number) -> Option<String> {
    const MOST: f64 = 0.9;
    let value = number.value.filter(|value| *value > MOST)?;
    (number.name == "judge_saturation").then(|| {
        let share = percent(value);
        format!(
            "{share} of the scores of {} are the highest there is: few answers are told apart.",
            number.model
        )
    })
}

/// A meta-judge that goes by the order.
fn of_first(number: &Number) -> Option<String> {
    const FAR: f64 = 0.1;
    let (value, low, high) = (number.value?, number.low?, number.high?);
    let counts = number.name == "meta_judge_first_wins" && number.group == "all";
    (counts && (low > 0.5 + FAR || high < 0.5 - FAR)).then(|| {
        let share = percent(value);
        format!(
            "The meta-judge of {} prefers what it is shown first in {share} of its comparisons, whatever it says.",
            number.model
        )
    })
}

/// An answer that was cut was not finished.
fn of_cut(number: &Number) -> Option<String> {
    const MOST: f64 = 0.05;
    let value = number.value.filter(|value| *value > MOST)?;
    (number.name == "responses_cut").then(|| {
        let share = percent(value);
        format!("{share} of the held-out answers of {} were cut by the token limit.", number.model)
    })
}

/// Games that nobody decided.
fn of_verdicts(number: &Number) -> Option<String> {
    let value = number.value.filter(|value| *value > 0.0)?;
    (number.name == "win_rate/unreadable").then(|| {
        format!(
            "{value:.0} verdicts on answers of {} could not be read, and count for nobody.",
            number.model
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str, group: &str, value: f64, [low, high]: [f64; 2]) -> Number {
        Number {
            model: "m1".to_owned(),
            part: "judging".to_owned(),
            name: name.to_owned(),
            group: group.to_owned(),
            value: Some(value),
            low: Some(low),
            high: Some(high),
            n: 10,
            method: String::new(),
            points: Vec::new(),
        }
    }

    #[test]
    fn what_may_mislead_is_said_in_words() {
        let calm = [
            number("probe_gain", "padded", 0.1, [-0.1, 0.3]),
            number("judge_status", "ok", 1.0, [0.9, 1.0]),
            number("judge_saturation", "all", 0.4, [0.3, 0.5]),
            number("meta_judge_first_wins", "all", 0.5, [0.4, 0.6]),
        ];
        assert_eq!(warnings(&calm), Vec::<String>::new());
        let said = warnings(&[
            number("judge_status", "missing", 0.25, [0.2, 0.3]),
            number("probe_gain", "padded", 0.32, [0.1, 0.5]),
        ]);
        assert!(
            said[0].starts_with("The judge of m1 scores the probe “padded” 0.32 points"),
            "{said:?}"
        );
        assert_eq!(said[1], "25.0 % of the judgements of m1 could not be read: missing.");
    }
}
