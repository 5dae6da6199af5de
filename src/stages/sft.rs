//! `sft`: M0, by supervised fine-tuning on the experiment's examples (Meta-Rewarding, section 3.1).

use serde::{Deserialize, Serialize};

use super::draw::conversation;
use super::learn::{Lesson, Start, learn};
use crate::model::{Arguments, Engine};
use crate::records::Message;
use crate::runner::{Io, Signature, Stage, StageError};
use crate::train::{self, Settings, Sft as Objective};

/// Makes M0.
#[derive(Debug, Clone, Serialize)]
pub struct Sft {
    /// How.
    pub settings: Settings,
    /// What trains.
    pub engine: Engine,
    /// What the model's chat template is given.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub template_arguments: Arguments,
    /// The seed of the random weights to start from; `None` where the model's folder has weights.
    pub random_weights: Option<u64>,
}

impl Sft {
    /// 1: the first. 2: the key says which engine trained.
    const VERSION: u32 = 2;
}

#[derive(Deserialize)]
struct Example {
    example_id: String,
    messages: Vec<Message>,
    target: String,
}

impl Stage for Sft {
    fn signature(&self) -> Signature {
        Signature::of("sft", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let start = Start::open(io, self.random_weights, &self.template_arguments)?;
        let (mut ids, mut examples) = (Vec::new(), Vec::new());
        for row in io.rows::<Example>("examples")? {
            let Example { example_id, messages, target } = row?;
            let (prompt, target) = start.model.example(&conversation(messages), &target)?;
            ids.push(example_id);
            examples.push(train::Example { prompt, target });
        }
        let lesson = Lesson { objective: Objective, ids, examples };
        learn(io, start, &lesson, &self.settings)
    }
}
