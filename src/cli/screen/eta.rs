//! How long a run still takes, as far as that can be known: from what nodes of the same kind took, in this run and in
//! earlier ones. Where a stage is still to come that was never made, nothing is said.

use std::collections::BTreeMap;

use crate::cli::ui;
use crate::runner::NodeName;

/// A node that a run will come to.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Upcoming {
    pub(in crate::cli) node: NodeName,
    /// Whether it is there already, or will be by then.
    pub(in crate::cli) is_made: bool,
}

/// The node in hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct InHand<'n> {
    pub(super) node: &'n NodeName,
    /// Seconds since this attempt began.
    pub(super) spent: f64,
    /// The share of its work that an earlier attempt has done, and the share that is done now.
    pub(super) found: f64,
    pub(super) done: f64,
}

/// What is known of the time that nodes take.
#[derive(Debug, Default)]
pub(in crate::cli) struct Eta {
    upcoming: Vec<Upcoming>,
    next: usize,
    /// Seconds that a node took in an earlier run.
    before: BTreeMap<String, f64>,
    /// Seconds that nodes took in this one, in the order in which they were made.
    made: Vec<(NodeName, f64)>,
    shown: Option<Shown>,
}

/// What was said last.
#[derive(Debug, Clone, Copy)]
struct Shown {
    at: f64,
    end: f64,
}

impl Eta {
    /// Begins with the nodes to come, in their order, and with what nodes took in earlier runs.
    pub(in crate::cli) fn new(upcoming: Vec<Upcoming>, before: BTreeMap<String, f64>) -> Self {
        Self { upcoming, before, ..Self::default() }
    }

    /// Nodes in all, where that is known.
    pub(super) fn nodes(&self) -> usize {
        self.upcoming.len()
    }

    /// Takes note that the next node is behind, and of how long it took where it was made.
    pub(super) fn pass(&mut self, node: &NodeName, seconds: Option<f64>) {
        self.next += 1;
        self.made.extend(seconds.map(|seconds| (node.clone(), seconds)));
    }

    /// How long all that is left takes, smoothed: what is said moves slowly from one guess to a better one.
    pub(super) fn left(&mut self, now: f64, in_hand: Option<InHand<'_>>) -> Option<f64> {
        /// Seconds in which a change of mind is mostly told.
        const SLOWNESS: f64 = 4.0;
        let Some(left) = self.estimate(in_hand) else {
            self.shown = None;
            return None;
        };
        let end = now + left;
        let end = match self.shown {
            Some(Shown { at, end: said }) => {
                said + (end - said) * (1.0 - (-(now - at).max(0.0) / SLOWNESS).exp())
            }
            None => end,
        };
        self.shown = Some(Shown { at: now, end });
        Some((end - now).max(0.0))
    }

    fn estimate(&self, in_hand: Option<InHand<'_>>) -> Option<f64> {
        // Where it is not known what is ahead, or nothing is, there is nothing to say.
        if self.next >= self.upcoming.len() {
            return None;
        }
        let mut left = in_hand.map_or(Some(0.0), |in_hand| self.left_of(in_hand))?;
        let next = self.next + usize::from(in_hand.is_some());
        for upcoming in self.upcoming.iter().skip(next).filter(|node| !node.is_made) {
            left += self.expected(&upcoming.node)?;
        }
        Some(left)
    }

    /// What is left of the node in hand: by its own pace, the more the further it is.
    fn left_of(&self, in_hand: InHand<'_>) -> Option<f64> {
        /// The share of a node that tells its pace where nothing else does.
        const ENOUGH: f64 = 0.05;
        let InHand { node, spent, found, done } = in_hand;
        let to_do = 1.0 - found;
        let share = if to_do > 0.0 { (done - found) / to_do } else { 1.0 };
        let by_pace = (share > 0.0).then(|| spent * (1.0 - share) / share);
        match (self.expected(node), by_pace) {
            (Some(expected), Some(by_pace)) => {
                let by_others = (expected * to_do - spent).max(0.0);
                Some(share * by_pace + (1.0 - share) * by_others)
            }
            (Some(expected), None) => Some((expected * to_do - spent).max(0.0)),
            (None, by_pace) => by_pace.filter(|_| share >= ENOUGH),
        }
    }

    /// What a node takes: what the very node took, in another experiment of this run or in an earlier run; else what
    /// the last of its kind did, else of its stage.
    fn expected(&self, node: &NodeName) -> Option<f64> {
        let last = |of: &dyn Fn(&NodeName) -> bool| {
            self.made.iter().rev().find(|(made, _)| of(made)).map(|(_, seconds)| *seconds)
        };
        let before = || Some(self.before.get(node.as_str())? * self.pace(node.stage()));
        let of_kind = || last(&|made| made.stage() == node.stage() && part(made) == part(node));
        let of_stage = || last(&|made| made.stage() == node.stage());
        last(&|made| made == node).or_else(before).or_else(of_kind).or_else(of_stage).or_else(
            || {
                let of_stage = |name: &str| name.split('.').next() == Some(node.stage());
                let known = self.before.iter().filter(|(name, _)| of_stage(name));
                let known: Vec<f64> = known.map(|(_, seconds)| *seconds).collect();
                known.iter().copied().reduce(f64::max).map(|most| most * self.pace(node.stage()))
            },
        )
    }

    /// How much longer nodes of a stage take in this run than they took before.
    fn pace(&self, stage: &str) -> f64 {
        let both = self.made.iter().filter(|(made, _)| made.stage() == stage);
        let both = both.filter_map(|(made, now)| Some((*now, *self.before.get(made.as_str())?)));
        let (now, before) = both.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        if before > 0.0 { now / before } else { 1.0 }
    }
}

/// What tells nodes of a stage and a model apart: `meta` of `read.m0.meta`.
fn part(node: &NodeName) -> Option<&str> {
    node.as_str().split('.').nth(2)
}

/// What is left as a person is told: the longer it is, the rounder.
pub(super) fn about(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    let round = |to: f64| (seconds / to).ceil() * to;
    let rounded = match seconds {
        ..10.0 => return "a few seconds left".to_owned(),
        10.0..MINUTE => round(1.0),
        MINUTE..600.0 => round(5.0),
        _ => round(MINUTE),
    };
    format!("about {} left", ui::seconds(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(node: &str) -> NodeName {
        node.parse().unwrap()
    }

    fn upcoming(nodes: &[&str]) -> Vec<Upcoming> {
        nodes.iter().map(|node| Upcoming { node: name(node), is_made: false }).collect()
    }

    const LOOP: [&str; 6] = ["judge.m0", "read.m0", "train.m1", "judge.m1", "read.m1", "train.m2"];

    fn before(nodes: &[(&str, f64)]) -> BTreeMap<String, f64> {
        nodes.iter().map(|(node, seconds)| ((*node).to_owned(), *seconds)).collect()
    }

    #[test]
    fn nothing_is_said_while_a_stage_is_still_to_come_that_was_never_made() {
        let mut eta = Eta::new(upcoming(&LOOP), BTreeMap::new());
        assert_eq!(eta.left(0.0, None), None);
        eta.pass(&name("judge.m0"), Some(10.0));
        eta.pass(&name("read.m0"), Some(1.0));
        assert_eq!(eta.left(11.0, None), None, "how long a training takes is not known yet");
        eta.pass(&name("train.m1"), Some(20.0));
        assert_eq!(eta.left(31.0, None), Some(31.0));
    }

    #[test]
    fn earlier_runs_tell_at_once_and_this_run_how_much_slower_it_is() {
        let known = [("judge.m0", 5.0), ("read.m0", 1.0), ("train.m1", 10.0), ("judge.m1", 7.0)];
        let mut eta = Eta::new(upcoming(&LOOP), before(&known));
        assert_eq!(eta.left(0.0, None), Some(34.0), "5 + 1 + 10 + 7 + 1 + 10");
        eta.shown = None;
        eta.pass(&name("judge.m0"), Some(10.0));
        assert_eq!(
            eta.left(10.0, None),
            Some(36.0),
            "judging takes twice as long: 1 + 10 + 14 + 1 + 10"
        );
    }

    #[test]
    fn what_is_there_already_takes_no_time() {
        let mut nodes = upcoming(&LOOP);
        nodes[3].is_made = true;
        let known = [("judge.m0", 5.0), ("read.m0", 1.0), ("train.m1", 10.0)];
        assert_eq!(Eta::new(nodes, before(&known)).left(0.0, None), Some(27.0));
    }

    #[test]
    fn the_node_in_hand_goes_by_its_own_pace_the_more_the_further_it_is() {
        let eta = Eta::new(upcoming(&["judge.m0"]), before(&[("judge.m0", 100.0)]));
        let node = &name("judge.m0");
        let left = |spent, found, done| eta.left_of(InHand { node, spent, found, done }).unwrap();
        assert!((left(10.0, 0.0, 0.0) - 90.0).abs() < 1e-9);
        assert!((left(10.0, 0.5, 0.5) - 40.0).abs() < 1e-9, "half was done before");
        assert!((left(100.0, 0.0, 0.5) - 50.0).abs() < 1e-9, "0.5 · 100 + 0.5 · 0");
        assert!(left(300.0, 0.0, 0.99) < 4.0);
        let unknown = Eta::default();
        assert_eq!(unknown.left_of(InHand { node, spent: 1.0, found: 0.0, done: 0.01 }), None);
        let told = unknown.left_of(InHand { node, spent: 1.0, found: 0.0, done: 0.5 });
        assert_eq!(told, Some(1.0));
    }

    #[test]
    fn what_is_said_moves_slowly_and_counts_down_in_between() {
        let known = [("judge.m0", 100.0)];
        let mut eta = Eta::new(upcoming(&["judge.m0", "judge.m1"]), before(&known));
        let node = &name("judge.m0");
        let mut last = eta.left(0.0, Some(InHand { node, spent: 0.0, found: 0.0, done: 0.0 }));
        for tick in 1..400 {
            let now = f64::from(tick) * 0.25;
            // The node's pace is wild: what is guessed of it doubles and halves.
            let done = now / 100.0 * if tick % 2 == 0 { 1.3 } else { 0.7 };
            let left = eta.left(now, Some(InHand { node, spent: now, found: 0.0, done }));
            let step = left.unwrap() - last.unwrap();
            assert!((-5.0..4.5).contains(&step), "{step} at {now}");
            last = left;
        }
    }

    #[test]
    fn the_longer_it_takes_the_rounder_it_is_said() {
        let said = [42.2, 61.0, 599.0, 601.0, 7260.0].map(about);
        let expected = ["43s", "1m 05s", "10m 00s", "11m 00s", "2h 01m"];
        assert_eq!(said, expected.map(|time| format!("about {time} left")));
        assert_eq!(about(0.4), "a few seconds left");
    }
}
