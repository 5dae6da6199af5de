//! What training takes of memory, told before it begins.

use super::batches;
use super::objective::Objective;
use super::settings::Settings;
use super::trainer::SMALL;
use crate::model::adapter::Adapter;
use crate::model::weights::{Parameter, parameters};
use crate::model::{Config, Keep, LOGITS};

/// Bytes, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All weights, and those of the adapter.
    pub weights: u64,
    /// A sum for each weight that is trained.
    pub gradients: u64,
    /// Two running means for each of them.
    pub optimizer: u64,
    /// What is kept of the way forwards, and the work on one layer.
    pub activations: u64,
    /// Logits and their gradients.
    pub logits: u64,
    /// The largest tensor, as it is read and turned before it is in its place.
    pub reading: u64,
}

/// What one pass runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Tokens.
    pub tokens: usize,
    /// Tokens that are predicted, of these.
    pub targets: usize,
}

/// How a network is trained.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'p> {
    /// The network.
    pub config: &'p Config,
    /// The adapter that is trained in place of its weights.
    pub adapter: Option<&'p Adapter>,
    /// What is kept of the way forwards.
    pub keep: Keep,
    /// Chunks that run side by side, where the network is small.
    pub threads: usize,
}

/// Bytes of a number.
const NUMBER: u64 = 4;

impl Chunk {
    /// The largest of a training's chunks.
    pub fn largest<O: Objective>(
        objective: &O,
        examples: &[O::Example],
        settings: &Settings,
    ) -> Self {
        let of = |example: &O::Example| {
            let (prompt, targets) = objective.parts(example);
            let count = |ids: &[u32]| ids.len();
            let targets: usize = targets.into_iter().map(count).sum();
            Self { tokens: prompt.len() + targets, targets }
        };
        let sizes: Vec<Self> = examples.iter().map(of).collect();
        let lengths: Vec<usize> = sizes.iter().map(|size| size.tokens).collect();
        let batches = batches::epoch(settings, &lengths, 0);
        let chunks = batches.iter().flat_map(|batch| batches::chunks(batch, &lengths));
        let sum = |chunk: Vec<usize>| {
            chunk.into_iter().map(|example| sizes[example]).fold(Self::default(), |sum, size| {
                Self { tokens: sum.tokens + size.tokens, targets: sum.targets + size.targets }
            })
        };
        chunks.map(sum).max_by_key(|chunk| chunk.tokens).unwrap_or_default()
    }

    /// The chunk that an example of so many tokens makes, or the usual one where that is larger.
    #[must_use]
    pub fn around(tokens: usize, targets: usize) -> Self {
        let usual = batches::TOKENS_PER_CHUNK;
        if tokens >= usual {
            return Self { tokens, targets };
        }
        Self { tokens: usual, targets: usual * targets / tokens.max(1) }
    }
}

impl Memory {
    /// What a training takes whose largest chunk this is.
    #[must_use]
    pub fn of(plan: &Plan<'_>, chunk: Chunk) -> Self {
        let numbers = |parameter: &Parameter| parameter.shape.iter().product::<usize>() as u64;
        let count = |list: Vec<Parameter>| -> u64 { list.iter().map(numbers).sum() };
        let largest = parameters(plan.config).iter().map(numbers).max().unwrap_or(0);
        let all = count(parameters(plan.config));
        let own = plan.adapter.map(|adapter| count(adapter.parameters(plan.config)));
        let trained = own.unwrap_or(all);
        let side_by_side = if all > SMALL as u64 { 1 } else { plan.threads.max(1) as u64 };
        let sums = if side_by_side > 1 { 1 + side_by_side } else { 1 };
        let rows = (LOGITS / plan.config.vocab_size.max(1)).max(1).min(chunk.targets) as u64;
        Self {
            weights: NUMBER * (all + own.unwrap_or(0)),
            gradients: NUMBER * trained * sums,
            optimizer: NUMBER * trained * 2,
            activations: side_by_side * activations(plan, chunk.tokens as u64),
            logits: side_by_side * NUMBER * 2 * rows * plan.config.vocab_size as u64,
            reading: NUMBER * 2 * largest,
        }
    }

    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.weights
            + self.gradients
            + self.optimizer
            + self.activations
            + self.logits
            + self.reading
    }
}

fn activations(plan: &Plan<'_>, tokens: u64) -> u64 {
    let config = plan.config;
    let [hidden, inner, queries, keys] = [
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads * config.head_dim,
        config.num_key_value_heads * config.head_dim,
    ]
    .map(|width| width as u64);
    let raw = if config.qk_norm { queries + keys } else { 0 };
    // Its input, what is between attention and MLP; queries and what they found; keys and values.
    let inside = hidden + 2 * queries + 2 * keys + 2 * inner + raw;
    let layers = config.num_hidden_layers as u64;
    let kept = match plan.keep {
        Keep::All => layers * (hidden + inside),
        Keep::Inputs => layers * hidden + inside,
    };
    // What a layer's way back holds besides: of the MLP its product and three gradients, of the rest some rows.
    let work = 4 * inner + 6 * hidden;
    NUMBER * tokens * (kept + work)
}
