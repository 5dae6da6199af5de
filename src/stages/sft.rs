//! `sft`: M0, by supervised fine-tuning on the experiment's examples (Meta-Rewarding, section 3.1).

use serde::{Deserialize, Serialize};

use super::draw::conversation;
use super::learn::{How, Lesson, learn};
use super::sides::{Apart, Unwritten};
use super::start::Start;
use super::trainer::Trainer;
use crate::model::adapter::Adapter;
use crate::model::{Arguments, Engine, Keep, Tokenised};
use crate::records::{ExampleId, Message};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::train::{self, Settings, Sft as Objective};

/// Makes M0.
#[derive(Debug, Clone, Serialize)]
pub struct Sft {
    /// How.
    pub settings: Settings,
    /// Who trains.
    #[serde(skip_serializing_if = "Trainer::is_local")]
    pub trainer: Trainer,
    /// What this program trains in place of the weights; TRL's is its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Adapter>,
    /// Whether this program computes the inside of layers again on the way back. No number depends on it.
    #[serde(skip)]
    pub gradient_checkpointing: bool,
    /// Bytes of memory that it may take, where the machine says.
    #[serde(skip)]
    pub memory: Option<u64>,
    /// What trains; `None` where that is not this program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// What the model's chat template is given.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub template_arguments: Arguments,
    /// The seed of the random weights to start from; `None` where the model's folder has weights.
    pub random_weights: Option<u64>,
}

impl Sft {
    /// 1: the first. 2: the key says which engine trained. 3: prompt and target are tokenised together;
    /// the target stands as it was given, whatever the template makes of answers. 4: gradients are summed in
    /// another order.
    const VERSION: u32 = 4;
}

#[derive(Deserialize)]
struct Example {
    example_id: ExampleId,
    messages: Vec<Message>,
    target: String,
}

impl Stage for Sft {
    fn signature(&self) -> Signature {
        Signature::of("sft", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        if let Trainer::Import(import) = &self.trainer {
            return import.take(io);
        }
        let start = Start::open(io, self.random_weights, &self.template_arguments)?;
        let (mut ids, mut examples, mut apart) = (Vec::new(), Vec::new(), Apart::default());
        for row in io.rows::<Example>("examples")? {
            let Example { example_id, messages, target } = row?;
            let tokenised = start.language.tokenised(&conversation(messages), &target);
            let Tokenised { prompt, target, apart: alone } =
                tokenised.map_err(|source| Unwritten::of(&example_id, source))?;
            apart.count(alone, &example_id);
            ids.push(example_id);
            examples.push(train::Example { prompt, target });
        }
        apart.warn(io);
        let lesson = Lesson { objective: Objective, ids, examples };
        match &self.trainer {
            Trainer::Trl(trl) => trl.learn(io, &start, &lesson, (&self.settings, false)),
            _ => learn(
                io,
                &start,
                &lesson,
                How {
                    settings: &self.settings,
                    adapter: self.adapter.as_ref(),
                    keep_epochs: false,
                    keep: Keep::checkpointing(self.gradient_checkpointing),
                    memory: self.memory,
                },
            ),
        }
    }
}
