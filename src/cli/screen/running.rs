//! The node in hand: its line, and what there is to watch of it.

use std::borrow::Cow;
use std::time::Instant;

use console::measure_text_width;

use super::eta::InHand;
use super::lines::{INDENT, NAME, bar, clock, fitting, rate};
use super::series::{MOST, Series};
use crate::cli::ui::{Label, Paint, thousands};
use crate::runner::{Figure, Measure, NodeName};

/// A node, how far it is, and what was said of it.
pub(super) struct Running {
    node: NodeName,
    since: Instant,
    /// When it was left behind: the next one takes its place soon.
    pub(super) ended: Option<Instant>,
    done: u64,
    total: u64,
    found: u64,
    figures: Vec<(Figure, Series)>,
    rows: Series,
}

impl Running {
    /// Takes up a node.
    pub(super) fn new(node: &NodeName, now: Instant) -> Self {
        Self {
            node: node.clone(),
            since: now,
            ended: None,
            done: 0,
            total: 0,
            found: 0,
            figures: Vec::new(),
            rows: Series::default(),
        }
    }

    /// Takes note of how far it is: units done, units in all, and those that an earlier attempt had done.
    pub(super) fn progress(
        &mut self,
        now: Instant,
        [done, total, found]: [u64; 3],
        figures: &[Figure],
    ) {
        let now = now.duration_since(self.since).as_secs_f64();
        (self.done, self.total, self.found) = (done, total, found);
        self.rows.take_total(now, as_number(done));
        for (at, figure) in figures.iter().enumerate() {
            let known = self.figures.iter().position(|(known, _)| known.name == figure.name);
            let at = known.unwrap_or_else(|| {
                let at = at.min(self.figures.len());
                self.figures.insert(at, (figure.clone(), Series::default()));
                at
            });
            let (known, series) = &mut self.figures[at];
            known.value = figure.value;
            match (figure.measure, figure.of_late) {
                (Measure::Total, _) => series.take_total(now, figure.value),
                (_, Some(of_late)) => series.take(now, of_late),
                (_, None) => {}
            }
        }
    }

    /// What can be told of its end.
    pub(super) fn in_hand(&self, now: Instant) -> InHand<'_> {
        let share = |part: u64| as_number(part) / as_number(self.total.max(1));
        let spent = now.duration_since(self.since).as_secs_f64();
        InHand { node: &self.node, spent, found: share(self.found), done: share(self.done) }
    }

    /// The node, a bar, how much is done, and how fast.
    pub(super) fn line(&self, columns: usize, now: Instant, paint: Paint) -> String {
        const LEAST: usize = 6;
        const LONGEST: usize = 40;
        let spent = now.duration_since(self.since).as_secs_f64();
        let name = format!("{:<NAME$} ", self.node);
        if self.total == 0 {
            let spent = if spent < 1.0 { String::new() } else { clock(spent) };
            return fitting(INDENT, &[name + &spent], columns);
        }
        let done = format!("{}/{}", thousands(self.done), thousands(self.total));
        let fresh = self.done.saturating_sub(self.found);
        let left = self.total.saturating_sub(self.done);
        let pace = pace(as_number(fresh), as_number(left), spent);
        let taken = INDENT.len()
            + [&name, &done, &pace].map(|part| measure_text_width(part)).iter().sum::<usize>()
            + 4;
        let room = columns.saturating_sub(taken).min(LONGEST);
        let bar = if room < LEAST {
            String::new()
        } else {
            let [done, left] = bar(as_number(self.done) / as_number(self.total), room);
            paint.label(Label::Bar, &done) + &paint.label(Label::Dim, &left)
        };
        let first = if bar.is_empty() { name + &done } else { name + &bar };
        let done = if bar.is_empty() { String::new() } else { done };
        fitting(INDENT, &[first, done, pace], columns)
    }

    /// What there is to watch: figures with their courses, as long as there is room for.
    pub(super) fn watched(&self, columns: usize, paint: Paint) -> String {
        const SHORTEST: usize = 5;
        let head = format!("{INDENT}{:<NAME$} ", "");
        let room = columns.saturating_sub(head.len());
        let mut figures: Vec<(String, &Series)> =
            self.figures.iter().map(|(figure, series)| (said(figure, series), series)).collect();
        if figures.is_empty()
            && let Some(pace) = self.rows.of_late().filter(|_| self.total > 0)
        {
            figures.push((format!("rows/s {}", rate(pace)), &self.rows));
        }
        // Of what has no room, the last is left out first.
        let plain = |figures: &[(String, &Series)]| {
            figures.iter().map(|(said, _)| measure_text_width(said) + 2).sum::<usize>()
        };
        while figures.len() > 1 && plain(&figures) > room + 2 {
            figures.pop();
        }
        let courses = figures.iter().filter(|(_, series)| series.len() > 1).count();
        let spare = (room + 2).saturating_sub(plain(&figures));
        let each = spare.checked_div(courses).unwrap_or(0).saturating_sub(1).min(MOST);
        let part = |(said, series): &(String, &Series)| {
            if series.len() < 2 || each < SHORTEST {
                return said.clone();
            }
            format!("{said} {}", paint.label(Label::Bar, &series.drawn(each)))
        };
        let parts: Vec<String> = figures.iter().map(part).collect();
        if parts.is_empty() { String::new() } else { fitting(&head, &parts, columns) }
    }
}

/// A figure in words; of a total, how fast it grows.
fn said(figure: &Figure, series: &Series) -> String {
    match figure.measure {
        Measure::Total => match series.of_late() {
            Some(of_late) => format!("{}/s {}", figure.name, rate(of_late)),
            None => String::new(),
        },
        _ => format!("{} {}", shown(&figure.name), figure.said()),
    }
}

/// A name without what would move the cursor: a trainer of the user's own may name figures.
fn shown(name: &str) -> Cow<'_, str> {
    if name.contains(char::is_control) {
        name.replace(char::is_control, "\u{fffd}").into()
    } else {
        name.into()
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
fn as_number(count: u64) -> f64 {
    count as f64
}

/// Writes `412/s, 3m 05s left`.
fn pace(done: f64, left: f64, spent: f64) -> String {
    let pace = done / spent.max(1e-3);
    if done <= 0.0 || pace <= 0.0 {
        return String::new();
    }
    let left = if left > 0.0 { format!(", {} left", clock(left / pace)) } else { String::new() };
    format!("{}/s{left}", rate(pace))
}
