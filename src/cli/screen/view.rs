//! What stands in the region: three lines, composed for the width that there is.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use console::measure_text_width;

use super::eta::{Eta, InHand, about};
use super::lines::{bar, fitting, rate};
use super::series::{MOST, Series};
use crate::cli::ui::{Label, Paint, seconds, thousands};
use crate::runner::{Figure, Measure, NodeName};

/// Where names begin, as in the lines of nodes that are made; and where what is said of one does.
const INDENT: &str = "       ";
const NAME: usize = 16;

/// What is shown.
pub(in crate::cli) struct View {
    paint: Paint,
    since: Instant,
    eta: Eta,
    nodes: usize,
    done: usize,
    in_hand: Option<Running>,
}

/// The node in hand.
struct Running {
    node: NodeName,
    since: Instant,
    /// When it was left behind: the next one takes its place soon.
    ended: Option<Instant>,
    done: u64,
    total: u64,
    found: u64,
    figures: Vec<(Figure, Series)>,
    rows: Series,
}

impl View {
    pub(in crate::cli) fn new(paint: Paint, eta: Eta) -> Self {
        let nodes = eta.nodes();
        Self { paint, since: Instant::now(), eta, nodes, done: 0, in_hand: None }
    }

    /// Takes note of a plan of so many nodes, where all of them were not known before.
    pub(in crate::cli) fn plan(&mut self, nodes: usize) {
        if self.eta.nodes() == 0 {
            self.nodes += nodes;
        }
    }

    /// Takes up a node.
    pub(in crate::cli) fn start(&mut self, node: &NodeName, now: Instant) {
        self.in_hand = Some(Running {
            node: node.clone(),
            since: now,
            ended: None,
            done: 0,
            total: 0,
            found: 0,
            figures: Vec::new(),
            rows: Series::default(),
        });
    }

    /// Takes note of how far the node in hand is.
    pub(in crate::cli) fn progress(
        &mut self,
        now: Instant,
        [done, total, found]: [u64; 3],
        figures: &[Figure],
    ) {
        let Some(running) = &mut self.in_hand else { return };
        let now = now.duration_since(running.since).as_secs_f64();
        (running.done, running.total, running.found) = (done, total, found);
        running.rows.take_total(now, as_number(done));
        for (at, figure) in figures.iter().enumerate() {
            let known = running.figures.iter().position(|(known, _)| known.name == figure.name);
            let at = known.unwrap_or_else(|| {
                let at = at.min(running.figures.len());
                running.figures.insert(at, (figure.clone(), Series::default()));
                at
            });
            let (known, series) = &mut running.figures[at];
            known.value = figure.value;
            match (figure.measure, figure.of_late) {
                (Measure::Total, _) => series.take_total(now, figure.value),
                (_, Some(of_late)) => series.take(now, of_late),
                (_, None) => {}
            }
        }
    }

    /// Leaves a node behind, which took so long where it was made.
    pub(in crate::cli) fn end(&mut self, node: &NodeName, seconds: Option<f64>, now: Instant) {
        self.done += 1;
        if let Some(running) = &mut self.in_hand {
            running.ended.get_or_insert(now);
        }
        self.eta.pass(node, seconds);
    }

    /// The lines, each of so many columns at most: how far the whole is, the node in hand, and what there is to
    /// watch of it.
    pub(super) fn lines(&mut self, columns: usize, now: Instant) -> Vec<String> {
        /// How long the node before stays where the next one will stand: a gap would flicker.
        const STAYS: Duration = Duration::from_millis(300);
        let since = now.duration_since(self.since).as_secs_f64();
        self.in_hand.take_if(|node| node.ended.is_some_and(|ended| now - ended > STAYS));
        let in_hand = self.in_hand.as_ref().filter(|running| running.ended.is_none());
        let in_hand = in_hand.map(|running| running.in_hand(now));
        let left = self.eta.left(since, in_hand).map(about);
        let whole = format!("{} of {} nodes", thousands(self.done as u64), self.nodes);
        let strong = self.paint.label(Label::Strong, &format!("{whole:<NAME$}"));
        let parts = [format!("{strong} {}", clock(since)), left.unwrap_or_default()];
        let mut lines = vec![fitting(INDENT, &parts, columns)];
        lines.extend(self.in_hand.iter().flat_map(|running| {
            [running.line(columns, now, &self.paint), running.watched(columns, &self.paint)]
        }));
        lines.resize(3, String::new());
        lines
    }
}

impl Running {
    fn in_hand(&self, now: Instant) -> InHand<'_> {
        let share = |part: u64| as_number(part) / as_number(self.total.max(1));
        let spent = now.duration_since(self.since).as_secs_f64();
        InHand { node: &self.node, spent, found: share(self.found), done: share(self.done) }
    }

    /// The node, a bar, how much is done, and how fast.
    fn line(&self, columns: usize, now: Instant, paint: &Paint) -> String {
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
    fn watched(&self, columns: usize, paint: &Paint) -> String {
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

/// Seconds by a clock that shows no part of one.
fn clock(spent: f64) -> String {
    if spent < 10.0 { format!("{:.0}s", spent.floor()) } else { seconds(spent) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::eta::Upcoming;
    use super::*;

    fn name(node: &str) -> NodeName {
        node.parse().unwrap()
    }

    /// A judging that is half done after ten seconds, of a run that has judged before.
    fn judging(node: &str) -> (View, Instant) {
        let nodes = ["respond.m0", node].map(|node| Upcoming { node: name(node), is_made: false });
        let before = BTreeMap::from([(node.to_owned(), 20.0)]);
        let mut view = View::new(Paint { color: false }, Eta::new(nodes.to_vec(), before));
        let since = view.since;
        view.end(&name("respond.m0"), Some(2.0), since);
        view.start(&name(node), since);
        for tenth in 1..=100_u32 {
            let drawn = f64::from(tenth);
            let score = Figure::level("score", 3.41).lately(Some((drawn / 10.0).sin()));
            let figures = [
                score,
                Figure::of("unreadable", Measure::Share, 0.004),
                Figure::of("tokens", Measure::Total, 4123.0 * drawn),
            ];
            let now = since + Duration::from_millis(100) * tenth;
            view.progress(now, [u64::from(tenth) * 57, 11_445, 0], &figures);
        }
        (view, since + Duration::from_secs(10))
    }

    #[test]
    fn at_eighty_columns_all_that_matters_has_room() {
        let (mut view, now) = judging("judge.m0");
        let lines = [
            "       1 of 2 nodes     10s  about 11s left",
            "       judge.m0         ━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌  5,700/11,445  570/s, 10s left",
            "                        score 3.41 ██▆▃▁  unreadable 0.4 %  tokens/s 41k █████",
        ];
        assert_eq!(view.lines(79, now), lines);
    }

    #[test]
    fn at_two_hundred_columns_courses_are_longer() {
        let (mut view, now) = judging("judge.m0");
        let lines = [
            "       1 of 2 nodes     10s  about 11s left",
            "       judge.m0         ━━━━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  5,700/11,445  570/s, 10s left",
            "                        score 3.41 ▆▇██▇▆▄▂▁▁▁▃▅▆███▇▅▃  unreadable 0.4 %  \
             tokens/s 41k ███████████████████",
        ];
        assert_eq!(view.lines(199, now), lines);
    }

    #[test]
    fn the_node_before_stays_until_the_next_one_takes_its_place() {
        let (mut view, now) = judging("judge.m0");
        view.end(&name("judge.m0"), Some(10.0), now);
        let lines = view.lines(79, now);
        assert_eq!(lines[0], "       2 of 2 nodes     10s", "nothing is left");
        assert!(lines[1].contains("judge.m0"));
        let lines = view.lines(79, now + Duration::from_secs(1));
        assert_eq!(lines[1..], ["", ""]);
    }

    #[test]
    fn no_line_is_ever_longer_than_the_terminal_is_wide() {
        for node in ["judge.m0", "estimate.m0.a-name-that-somebody-chose-to-be-very-long-indeed"] {
            let (mut view, now) = judging(node);
            view.paint = Paint { color: true };
            for columns in 0..230 {
                let lines = view.lines(columns, now);
                assert_eq!(lines.len(), 3, "the region is always as high");
                for line in lines {
                    assert!(measure_text_width(&line) <= columns, "{columns}: {line}");
                    assert!(!line.contains('\n'));
                }
            }
        }
    }

    #[test]
    fn before_anything_is_known_little_is_said() {
        let mut view = View::new(Paint { color: false }, Eta::default());
        view.plan(3);
        let now = view.since;
        assert_eq!(view.lines(79, now), ["       0 of 3 nodes     0s", "", ""]);
        view.start(&name("sft.m0"), now);
        let lines = view.lines(79, now + Duration::from_secs(3));
        assert_eq!(lines, ["       0 of 3 nodes     3s", "       sft.m0           3s", ""]);
        view.progress(now + Duration::from_secs(3), [0, 62, 0], &[]);
        let lines = view.lines(79, now + Duration::from_secs(3));
        assert!(lines[1].ends_with("╌  0/62"), "{lines:?}");
    }
}
