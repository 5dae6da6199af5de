//! What the trainings of an experiment take of memory, as far as the file says.

use super::Error;
use super::loop_::Loop;
use super::settings::{self, M0};
use crate::stages::Verb;
use crate::stages::memory::{DoesNotFit, Foreseen, Memory};

/// Tokens of a prompt where its texts are not known yet.
const PROMPT_TOKENS: usize = 256;

/// What a node that trains here takes.
#[derive(Debug)]
pub struct Need {
    /// The node.
    pub node: String,
    /// What for what; of the examples what the file says.
    pub memory: Memory,
    /// Why it cannot run, whatever the examples are.
    pub refused: Option<DoesNotFit>,
}

/// What each node that trains here takes; none where the model's folder does not say what it computes.
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
            needs.push(Need { node, memory, refused });
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
    Ok(needs)
}
