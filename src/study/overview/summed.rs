//! What several seeds took and made, as one: counts and seconds are sums, curves stand beside each other.

use std::collections::BTreeSet;

use super::course::{Became, Curve, NodeCost};

/// The nodes of all seeds by their names: what two seeds share counts once.
pub(super) fn nodes(of: Vec<Vec<NodeCost>>) -> Vec<NodeCost> {
    let mut found: Vec<NodeCost> = Vec::new();
    let mut counted: BTreeSet<(String, String)> = BTreeSet::new();
    for mut node in of.into_iter().flatten() {
        let is_new = match &node.run {
            Some(run) => counted.insert((node.node.clone(), run.clone())),
            None => true,
        };
        node.seeds = Some(usize::from(node.finished));
        match found.iter_mut().find(|known| known.node == node.node) {
            None => found.push(node),
            Some(known) => {
                known.seeds = known.seeds.zip(node.seeds).map(|(sum, one)| sum + one);
                known.finished |= node.finished;
                known.day = known.day.take().max(node.day);
                if is_new {
                    known.rows += node.rows;
                    known.seconds += node.seconds;
                }
            }
        }
    }
    found
}

/// What became of the candidates of all seeds together.
pub(super) fn pairs(of: Vec<Vec<Became>>) -> Vec<Became> {
    let mut found: Vec<Became> = Vec::new();
    for one in of.into_iter().flatten() {
        let is_same = |known: &&mut Became| {
            (&known.model, &known.role, &known.became) == (&one.model, &one.role, &one.became)
        };
        match found.iter_mut().find(is_same) {
            Some(known) => known.n += one.n,
            None => found.push(one),
        }
    }
    let place = |one: &Became| one.model.strip_prefix('m').and_then(|n| n.parse::<usize>().ok());
    found.sort_by_key(|one| (place(one), one.role.clone(), one.became.clone()));
    found
}

/// The curves of every seed, each with its seed.
pub(super) fn curves(of: Vec<(u64, Vec<Curve>)>) -> Vec<Curve> {
    let seeded = |(seed, curves): (u64, Vec<Curve>)| {
        curves.into_iter().map(move |curve| Curve { seed: Some(seed), ..curve })
    };
    of.into_iter().flat_map(seeded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, run: &str, finished: bool) -> NodeCost {
        let [experiment, node, model] = ["loop", name, "m0"].map(str::to_owned);
        let stage = name.split('.').next().unwrap().to_owned();
        let run = Some(run.to_owned());
        let (rows, seconds, day) = (10, 1.5, None);
        NodeCost { experiment, node, stage, model, finished, rows, seconds, day, run, seeds: None }
    }

    #[test]
    fn what_seeds_share_counts_once() {
        let first = vec![node("prompts.eval", "aa", true), node("judge.m0", "bb", true)];
        let second = vec![node("prompts.eval", "aa", true), node("judge.m0", "cc", true)];
        let nodes = nodes(vec![first, second]);
        let told: Vec<_> = nodes.iter().map(|n| (n.rows, n.seconds, n.seeds)).collect();
        assert_eq!(told, [(10, 1.5, Some(2)), (20, 3.0, Some(2))]);
    }
}
