//! Where rows stand among those of their prompt: pairs and comparisons point at them.

use std::collections::{BTreeMap, BTreeSet};

/// An id in an experiment: others may have the same row.
pub(super) type In = (String, String);

/// Where answers and judgements stand among those of their prompt, by their ids.
#[derive(Default)]
pub(super) struct Places {
    pub(super) answers: BTreeMap<In, usize>,
    pub(super) judgements: BTreeMap<String, usize>,
    /// The judgements that make a pair.
    pub(super) paired: BTreeSet<String>,
}

impl Places {
    pub(super) fn answer(&self, experiment: &str, id: Option<&String>) -> Option<usize> {
        id.and_then(|id| self.answers.get(&(experiment.to_owned(), id.clone()))).copied()
    }

    pub(super) fn judgement(&self, id: Option<&String>) -> Option<usize> {
        id.and_then(|id| self.judgements.get(id)).copied()
    }
}
