//! What a reader has to know before believing a number, in words.

use super::course::NodeCost;
use super::number::Number;

/// Something that numbers may warn of, and how it is said once of all models of which it is true.
struct Rule {
    /// What is said of the number where it is one to warn of.
    found: fn(&Number) -> Option<String>,
    /// The sentence: of whom, how much, and what it is of.
    said: fn(&str, &str, &str) -> String,
    /// What it is about, where there are several seeds.
    about: About,
}

/// Whether means over seeds warn of something, or single seeds do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// The mean, whose interval says more than those of single seeds.
    Means,
    /// Counts: their sums.
    Sums,
    /// The mean; where it is calm, single seeds.
    Both,
}

const RULES: [Rule; 6] = [
    // A judge that scores a probe higher than real answers can be gamed.
    Rule {
        found: |number| {
            let (value, low, high) = (number.value?, number.low?, number.high?);
            let is_gamed = number.name == "probe_gain" && low > 0.0;
            is_gamed.then(|| format!("{value:.2} [{low:.2}, {high:.2}]"))
        },
        said: |models, points, probe| {
            format!(
                "The judge of {models} scores the probe “{probe}” above real answers, by {points} points: it can \
                 be gamed."
            )
        },
        about: About::Means,
    },
    // Texts that could not be read have no say.
    Rule {
        found: |number| share_above(number, "judge_status", 0.005).filter(|_| number.group != "ok"),
        said: |models, shares, status| {
            format!("{shares} of the judgements of {models} could not be read: {status}.")
        },
        about: About::Both,
    },
    Rule {
        found: |number| {
            share_above(number, "meta_judge_status", 0.005).filter(|_| number.group != "ok")
        },
        said: |models, shares, status| {
            format!("{shares} of the meta-judgements of {models} could not be read: {status}.")
        },
        about: About::Both,
    },
    // A judge that nearly always says the same tells answers apart no longer.
    Rule {
        found: |number| share_above(number, "judge_saturation", 0.9),
        said: |models, shares, _| {
            format!(
                "{shares} of the scores of {models} are the highest there is: few answers are told apart."
            )
        },
        about: About::Both,
    },
    // An answer that was cut was not finished.
    Rule {
        found: |number| share_above(number, "responses_cut", 0.05),
        said: |models, shares, _| {
            format!("{shares} of the held-out answers of {models} were cut by the token limit.")
        },
        about: About::Both,
    },
    // Games that nobody decided.
    Rule {
        found: |number| {
            let value = number.value.filter(|value| *value > 0.0)?;
            (number.name == "win_rate/unreadable").then(|| format!("{value:.0}"))
        },
        said: |models, counts, _| {
            format!(
                "{counts} verdicts on answers of {models} could not be read, and count for nobody."
            )
        },
        about: About::Sums,
    },
];

/// Says what the numbers warn of, the judge first.
pub(super) fn warnings(numbers: &[Number]) -> Vec<String> {
    RULES.iter().flat_map(|rule| rule.sentences(rule.groups(numbers.iter().map(named)))).collect()
}

/// Says what means over seeds warn of, and what single seeds do.
pub(super) fn warnings_over_seeds(means: &[Number], of: &[(u64, Vec<Number>)]) -> Vec<String> {
    let seeded = |seed: u64| move |number| (format!("{} (seed {seed})", named(number).0), number);
    let sums: Vec<Number> = means.iter().map(summed).collect();
    let of_rule = |rule: &Rule| {
        let averaged = match rule.about {
            About::Sums => rule.groups(sums.iter().map(named)),
            About::Means | About::Both => rule.groups(means.iter().map(named)),
        };
        let single = of.iter().flat_map(|(seed, all)| all.iter().map(seeded(*seed)));
        let single = match rule.about {
            About::Means | About::Sums => Vec::new(),
            About::Both => rule.groups(single),
        };
        let is_new = |group: &Group<'_>| !averaged.iter().any(|known| known.name == group.name);
        let single: Vec<Group<'_>> = single.into_iter().filter(is_new).collect();
        [rule.sentences(averaged), rule.sentences(single)].concat()
    };
    RULES.iter().flat_map(of_rule).collect()
}

/// The sum over seeds in place of their mean.
fn summed(mean: &Number) -> Number {
    let sum = mean.points.iter().map(|point| point.value).sum();
    Number { value: mean.value.map(|_| sum), ..mean.clone() }
}

/// A number by the name of its model.
fn named(number: &Number) -> (String, &Number) {
    (number.model.clone(), number)
}

/// Models of which the same is to warn of, and how much.
struct Group<'a> {
    name: &'a str,
    models: Vec<String>,
    values: Vec<String>,
}

impl Rule {
    /// The groups of which some numbers are to warn of.
    fn groups<'a>(&self, numbers: impl Iterator<Item = (String, &'a Number)>) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for (model, number) in numbers {
            let Some(value) = (self.found)(number) else { continue };
            let at = groups.iter().position(|group| group.name == number.group);
            let at = at.unwrap_or_else(|| {
                groups.push(Group { name: &number.group, models: Vec::new(), values: Vec::new() });
                groups.len() - 1
            });
            groups[at].models.push(model);
            groups[at].values.push(value);
        }
        groups
    }

    /// A sentence for each.
    fn sentences(&self, groups: Vec<Group<'_>>) -> Vec<String> {
        let say = |Group { name, models, values }: Group<'_>| {
            (self.said)(&listed(&models), &listed(&values), name)
        };
        groups.into_iter().map(say).collect()
    }
}

/// Says that there is more to come, or that something is gone.
pub(super) fn unmade(nodes: &[NodeCost]) -> Option<String> {
    let missing = nodes.iter().filter(|node| !node.finished).count();
    let all = nodes.len();
    (missing > 0)
        .then(|| format!("{missing} of {all} nodes are not made: their rows are not in here."))
}

/// The same of several seeds: which of them lack something, and how much that is together.
pub(super) fn unmade_of_seeds(of: &[(u64, Vec<NodeCost>)]) -> Option<String> {
    let lacks = |nodes: &[NodeCost]| nodes.iter().any(|node| !node.finished);
    let lacking = of.iter().filter(|(_, nodes)| lacks(nodes));
    let seeds: Vec<String> = lacking.clone().map(|(seed, _)| seed.to_string()).collect();
    let nodes = lacking.flat_map(|(_, nodes)| nodes);
    let missing = nodes.clone().filter(|node| !node.finished).count();
    let word = if seeds.len() == 1 { "seed" } else { "seeds" };
    (missing > 0).then(|| {
        let (all, seeds) = (nodes.count(), listed(&seeds));
        format!(
            "Of {word} {seeds}, {missing} of {all} nodes are not made: their rows are not in here."
        )
    })
}

/// A share of this name in per cent, where it is more than so much.
fn share_above(number: &Number, name: &str, most: f64) -> Option<String> {
    let value = number.value.filter(|value| *value > most)?;
    (number.name == name).then(|| format!("{:.1} %", 100.0 * value))
}

/// `m0, m1 and m2`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::overview::number::SeedPoint;

    fn number(name: &str, group: &str, value: f64, [low, high]: [f64; 2]) -> Number {
        Number {
            experiment: "quickstart".to_owned(),
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
            number("judge_status", "missing", 0.004, [0.0, 0.01]),
            number("judge_saturation", "all", 0.4, [0.3, 0.5]),
            number("win_rate/unreadable", "all", 0.0, [0.0, 0.0]),
        ];
        assert_eq!(warnings(&calm), Vec::<String>::new());
        let later = |mut number: Number| {
            "m2".clone_into(&mut number.model);
            number
        };
        let said = warnings(&[
            number("judge_status", "missing", 0.25, [0.2, 0.3]),
            number("probe_gain", "padded", 0.32, [0.1, 0.5]),
            later(number("probe_gain", "padded", 0.1, [0.04, 0.2])),
            number("win_rate/unreadable", "all", 3.0, [3.0, 3.0]),
        ]);
        assert_eq!(
            said,
            [
                "The judge of m1 and m2 scores the probe “padded” above real answers, by 0.32 [0.10, 0.50] and \
                 0.10 [0.04, 0.20] points: it can be gamed.",
                "25.0 % of the judgements of m1 could not be read: missing.",
                "3 verdicts on answers of m1 could not be read, and count for nobody.",
            ]
        );
    }

    #[test]
    fn of_several_seeds_the_mean_warns_and_where_it_is_calm_a_seed_does() {
        let saturation = |value| number("judge_saturation", "all", value, [0.0, 1.0]);
        let gain = |value, interval| number("probe_gain", "padded", value, interval);
        let unread = |value| number("judge_status", "missing", value, [0.0, 1.0]);
        let of = [
            (0, vec![saturation(0.95), gain(0.4, [0.1, 0.7]), unread(0.2)]),
            (1, vec![saturation(0.25), gain(-0.3, [-0.6, 0.0]), unread(0.1)]),
        ];
        let mut verdicts = number("win_rate/unreadable", "all", 1.5, [0.0, 9.0]);
        verdicts.points = [1.0, 2.0].map(|value| SeedPoint { seed: 0, value }).to_vec();
        let means = [saturation(0.6), gain(0.05, [-4.4, 4.5]), unread(0.15), verdicts];
        assert_eq!(
            warnings_over_seeds(&means, &of),
            [
                "15.0 % of the judgements of m1 could not be read: missing.",
                "95.0 % of the scores of m1 (seed 0) are the highest there is: few answers are told apart.",
                "3 verdicts on answers of m1 could not be read, and count for nobody.",
            ]
        );
    }
}
