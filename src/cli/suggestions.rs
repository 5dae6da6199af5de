//! What to ask next: commands that go on from a run.

use super::ui::{Label, Ui};

/// Prints commands, each with what it answers.
pub(super) fn suggest(next: &[(String, &str)], ui: &Ui) {
    ui.say("");
    for (command, what) in next {
        ui.say(&format!("{}  {command}", ui.paint(Label::Dim, &format!("{what:>17}"))));
    }
}

/// The command that makes a page of an experiment.
pub(super) fn page_of(experiment: &str) -> (String, &'static str) {
    (format!("mrx report {experiment} -o report.html"), "all on one page?")
}

/// Commands that work as they are printed.
pub(super) fn suggestions(experiment: &str, last: Option<&str>) -> Vec<(String, &'static str)> {
    let of = format!("WHERE experiment = '{experiment}'");
    let mut next = Vec::new();
    if let Some(last) = last {
        next.push((format!("mrx diff {experiment}/m0 {experiment}/{last}"), "what changed?"));
    }
    next.push((
        format!(
            "mrx sql \"SELECT model, avg(score) AS mean, stddev(score) AS spread, share(status != \
             'ok') AS unread FROM judgements {of} AND part IS NULL GROUP BY model ORDER BY model\""
        ),
        "does it drift?",
    ));
    next.push((
        format!(
            "mrx sql \"SELECT model, role, coalesce(reason, 'kept') AS became, count(*) AS n FROM \
             pairs {of} GROUP BY ALL ORDER BY ALL\""
        ),
        "why so few pairs?",
    ));
    next.push(match last {
        Some(_) => page_of(experiment),
        None => (format!("mrx show {experiment}/train.m1"), "what was learned?"),
    });
    next
}
