//! The one list of stages: what each is called, what it reads and what it makes.

/// What a node does: the first word of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Asks a query for examples to fine-tune on.
    Examples,
    /// Makes M0.
    Sft,
    /// Asks a query for prompts.
    Prompts,
    /// Draws answers.
    Respond,
    /// Draws judgements of answers.
    Judge,
    /// Reads what judgements and meta-judgements say.
    Read,
    /// Draws comparisons of judgements.
    MetaJudge,
    /// Rates judgements by their comparisons.
    Rate,
    /// Makes preference pairs of answers and of judgements.
    Pair,
    /// Asks the reference model about pairs.
    Reference,
    /// Makes the next model.
    Train,
    /// Takes answers that were not drawn here: ready-made ones, and the panel.
    Answers,
    /// Lets a model play a baseline.
    Evaluate,
    /// Finds numbers with intervals.
    Estimate,
}

/// A stage's name, the tables it may read and those it makes; where a model is read, it is the folder that
/// the experiment names, or `checkpoints`.
type Row = (Verb, &'static str, &'static [&'static str], &'static [&'static str]);

/// All stages, in the order in which data flows.
const ALL: [Row; 14] = [
    (Verb::Examples, "examples", &[], &["examples"]),
    (Verb::Sft, "sft", &["examples", "checkpoints"], &["checkpoints", "metrics", "lessons"]),
    (Verb::Prompts, "prompts", &["prompts"], &["prompts"]),
    (Verb::Respond, "respond", &["prompts", "checkpoints"], &["responses"]),
    (Verb::Judge, "judge", &["prompts", "responses", "checkpoints"], &["judgements"]),
    (Verb::Read, "read", &["judgements", "meta_judgements"], &["readings"]),
    (
        Verb::MetaJudge,
        "meta_judge",
        &["prompts", "responses", "judgements", "readings", "checkpoints"],
        &["meta_judgements"],
    ),
    (Verb::Rate, "rate", &["meta_judgements", "readings"], &["ratings"]),
    (
        Verb::Pair,
        "pair",
        &["prompts", "responses", "judgements", "readings", "ratings"],
        &["pairs"],
    ),
    (Verb::Reference, "reference", &["pairs", "checkpoints"], &["reference_logps"]),
    (
        Verb::Train,
        "train",
        &["pairs", "reference_logps", "checkpoints", "estimates"],
        &["checkpoints", "metrics", "lessons", "choices"],
    ),
    (Verb::Answers, "answers", &["prompts", "responses"], &["responses"]),
    (Verb::Evaluate, "evaluate", &["prompts", "responses", "checkpoints"], &["verdicts"]),
    (
        Verb::Estimate,
        "estimate",
        &[
            "prompts",
            "responses",
            "judgements",
            "readings",
            "meta_judgements",
            "ratings",
            "pairs",
            "verdicts",
        ],
        &["estimates"],
    ),
];

impl Verb {
    /// Lists all stages, in the order in which data flows.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(verb, ..)| *verb)
    }

    const fn row(self) -> &'static Row {
        &ALL[self as usize]
    }

    /// Returns its name, as `judge`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// Returns the tables that it may read.
    #[must_use]
    pub const fn reads(self) -> &'static [&'static str] {
        self.row().2
    }

    /// Returns the tables that it makes, first the one that it is there for.
    #[must_use]
    pub const fn makes(self) -> &'static [&'static str] {
        self.row().3
    }

    /// Returns the first stage that is there to make a table.
    #[must_use]
    pub fn making(table: &str) -> Option<Self> {
        Self::all().find(|verb| verb.makes()[0] == table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_stands_in_its_place() {
        for (place, (verb, name, ..)) in ALL.iter().enumerate() {
            assert_eq!((*verb as usize, verb.name()), (place, *name));
        }
        assert_eq!(Verb::making("responses"), Some(Verb::Respond));
        assert_eq!(Verb::making("tables"), None);
    }
}
