//! What an experiment's drawing and training here take of memory, as far as the file says.

use super::Error;
use super::loop_::Loop;
use super::settings::{self, Iteration, M0};
use crate::stages::Verb;
use crate::stages::memory::{CannotDraw, DoesNotFit, Footprint, Foreseen, Memory, of_drawing};

/// Tokens of a prompt where its texts are not known yet.
const PROMPT_TOKENS: usize = 256;

/// What a node that draws or trains here takes.
#[derive(Debug)]
pub struct Need {
    /// The node.
    pub node: String,
    /// What for what.
    pub takes: Takes,
    /// Why it cannot run, whatever its rows are.
    pub refused: Option<CannotFit>,
}

/// What memory is taken for.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// A training; of its examples what the file says.
    Training(Memory),
    /// Drawing.
    Drawing(Footprint),
}

/// Why a node cannot run on this machine.
#[derive(Debug, Clone)]
pub enum CannotFit {
    /// It trains.
    Training(DoesNotFit),
    /// It draws.
    Drawing(CannotDraw),
}

/// What each node that trains here takes, and each that answers; none where the model's folder does not say what it computes.
pub(super) fn of(all: &Loop<'_>) -> Result<Vec<Need>, Error> {
    let engines = all.values.engines;
    let foreseen = Foreseen {
        files: &all.model_files,
        adapter: None,
        gradient_checkpointing: false,
        longest: (PROMPT_TOKENS, 0),
        threads: engines.threads,
    };
    let mut needs = Vec::new();
    let mut add = |node: String, foreseen: Foreseen<'_>| {
        if let Some((memory, refused)) = foreseen.memory(engines.memory) {
            let refused = refused.map(CannotFit::Training);
            needs.push(Need { node, takes: Takes::Training(memory), refused });
        }
    };
    if let Some(table) = &all.file().root.sft {
        let stage = settings::sft(&all.values, table)?;
        if stage.trainer.is_local() {
            let adapter = stage.adapter.as_ref();
            let gradient_checkpointing = stage.gradient_checkpointing;
            let longest = (PROMPT_TOKENS, PROMPT_TOKENS);
            let node = format!("{}.{M0}", Verb::Sft.name());
            add(node, Foreseen { adapter, gradient_checkpointing, longest, ..foreseen });
        }
    }
    for (t, iteration) in all.iterations.iter().enumerate() {
        let stage = &iteration.train;
        if stage.trainer.is_local() {
            let adapter = stage.adapter.as_ref();
            let gradient_checkpointing = stage.gradient_checkpointing;
            let answer = iteration.respond.sampling.max_tokens as usize;
            let longest = (PROMPT_TOKENS, 2 * answer);
            let node = format!("{}.m{}", Verb::Train.name(), t + 1);
            add(node, Foreseen { adapter, gradient_checkpointing, longest, ..foreseen });
        }
    }
    needs.extend(of_answers(all));
    Ok(needs)
}

/// What answering takes in each iteration where that is done here; judging takes about the same.
fn of_answers(all: &Loop<'_>) -> Vec<Need> {
    let answering = |(t, iteration): (usize, &Iteration)| {
        let stage = &iteration.respond;
        let files = stage.engine.is_local().then_some(&all.model_files)?;
        let tokens = PROMPT_TOKENS + stage.sampling.max_tokens as usize;
        let (footprint, refused) = of_drawing(files, tokens, all.values.engines.memory)?;
        let node = format!("{}.m{t}", Verb::Respond.name());
        let refused = refused.map(CannotFit::Drawing);
        Some(Need { node, takes: Takes::Drawing(footprint), refused })
    };
    all.iterations.iter().enumerate().filter_map(answering).collect()
}
