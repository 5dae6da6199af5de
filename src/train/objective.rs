//! What is learned: from the log-probabilities of an example's targets to a loss and its slopes.

/// What an example comes to in a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its share of the batch's loss.
    pub loss: f64,
    /// d loss / d log-probability of each of its targets.
    pub slopes: Vec<f64>,
    /// Its share of the batch's other metrics, by their names.
    pub metrics: Vec<(&'static str, f64)>,
}

/// What a whole batch holds, to take means over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Examples.
    pub examples: usize,
    /// Tokens of the first targets, of the second …
    pub target_tokens: Vec<usize>,
}

/// What is learned: how an example's log-probabilities make a loss.
pub trait Objective: Sync {
    /// What it learns from.
    type Example: Sync;

    /// The prompt of an example, and the targets that may follow it.
    fn parts<'e>(&self, example: &'e Self::Example) -> (&'e [u32], Vec<&'e [u32]>);

    /// Judges the summed log-probabilities of an example's targets, in nats.
    fn outcome(&self, example: &Self::Example, logps: &[f64], totals: &Totals) -> Outcome;

    /// What the targets' log-probabilities must be before the first step, where that is known.
    fn expected(&self, _example: &Self::Example) -> Option<Vec<f64>> {
        None
    }

    /// Feeds every setting of its own into `to`.
    fn fingerprint(&self, to: &mut blake3::Hasher);

    /// Feeds all of an example but its [parts](Self::parts) into `to`.
    fn fingerprint_of(&self, example: &Self::Example, to: &mut blake3::Hasher);
}
