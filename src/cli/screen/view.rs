//! What stands in the region: three lines, composed for the width that there is.

use std::time::{Duration, Instant};

use super::eta::{Eta, about};
use super::lines::{INDENT, NAME, clock, fitting};
use super::running::Running;
use crate::cli::ui::{Label, Paint, thousands};
use crate::runner::{Figure, NodeName};

/// What is shown.
pub(in crate::cli) struct View {
    paint: Paint,
    since: Instant,
    eta: Eta,
    nodes: usize,
    done: usize,
    in_hand: Option<Running>,
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
        self.in_hand = Some(Running::new(node, now));
    }

    /// Takes note of how far the node in hand is.
    pub(in crate::cli) fn progress(&mut self, now: Instant, of_work: [u64; 3], figures: &[Figure]) {
        if let Some(running) = &mut self.in_hand {
            running.progress(now, of_work, figures);
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
            [running.line(columns, now, self.paint), running.watched(columns, self.paint)]
        }));
        lines.resize(3, String::new());
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use console::measure_text_width;

    use super::super::eta::Upcoming;
    use super::*;
    use crate::runner::Measure;

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
