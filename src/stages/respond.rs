//! `respond`: the actor draws K answers to each prompt (Meta-Rewarding, section 2.1).

use serde::{Deserialize, Serialize};

use super::Sampling;
use super::draw::{Draft, Drawer, conversation};
use super::live::Live;
use crate::records::{Message, Response};
use crate::runner::{Io, Signature, Stage, StageError};

/// Draws responses.
#[derive(Debug, Clone, Serialize)]
pub struct Respond {
    /// K, draws for each prompt.
    pub samples: usize,
    /// How to draw. Flat, so that the key says `temperature`, as the experiment does.
    #[serde(flatten)]
    pub sampling: Sampling,
}

impl Respond {
    /// 1: the first.
    const VERSION: u32 = 1;

    /// Prompts in a shard.
    const SHARD: usize = 64;
}

#[derive(Deserialize)]
struct Asked {
    prompt_id: String,
    messages: Vec<Message>,
}

impl Stage for Respond {
    fn signature(&self) -> Signature {
        Signature::of("respond", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let drawer = Drawer::open(io, self.sampling)?;
        let prompts = io.rows::<Asked>("prompts")?.map(|row| row.map_err(Into::into));
        let mut live = Live::default();
        io.each_shard(io.count("prompts")?, Self::SHARD, prompts, |prompts, meter| {
            let (mut drafts, mut places) = (Vec::new(), Vec::new());
            for Asked { prompt_id, messages } in prompts {
                let messages = conversation(messages);
                for sample in 0..self.samples {
                    let id = drawer.id_of(&prompt_id).and(sample).finish('r');
                    drafts.push(Draft { id, messages: messages.clone() });
                    places.push((prompt_id.clone(), sample));
                }
            }
            let drawn = drawer.draw(drafts, self.samples, meter)?;
            live.count(&drawn);
            meter.note(live.lengths());
            places
                .into_iter()
                .zip(drawn)
                .map(|((prompt_id, sample), drawn)| {
                    Ok(Response {
                        response_id: drawn.id,
                        prompt_id,
                        sample: i32::try_from(sample)?,
                        seed: drawn.seed,
                        text: drawn.text,
                        text_digest: drawn.text_digest,
                        prompt_tokens: drawn.prompt_tokens,
                        completion_tokens: drawn.completion_tokens,
                        finish_reason: drawn.finish_reason,
                        logprob: drawn.logprob,
                    })
                })
                .collect()
        })
    }
}
