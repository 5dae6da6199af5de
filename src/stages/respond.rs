//! `respond`: the actor draws K answers to each prompt (Meta-Rewarding, section 2.1).

use serde::{Deserialize, Serialize};

use super::draw::{Draft, Drawer, Drawing, conversation};
use super::live::Live;
use super::{Sampling, Thinking};
use crate::model::{Arguments, Engine};
use crate::records::{Drawn, Message, PromptId, Response, ResponseId};
use crate::runner::{Figure, Io, Signature, Stage, StageError};

/// Draws responses.
#[derive(Debug, Clone, Serialize)]
pub struct Respond {
    /// K, draws for each prompt.
    pub samples: usize,
    /// What draws.
    pub engine: Engine,
    /// What is thinking, not text.
    #[serde(skip_serializing_if = "Thinking::is_default")]
    pub thinking: Thinking,
    /// What the model's chat template is given.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub template_arguments: Arguments,
    /// How to draw. Flat, so that the key says `temperature`, as the experiment does.
    #[serde(flatten)]
    pub sampling: Sampling,
}

impl Respond {
    /// 1: the first. 2: the key says which engine drew; a prompt that the model refuses is a row. 3: rows say what
    /// was thought, and which ids were drawn.
    const VERSION: u32 = 3;
}

/// A prompt.
#[derive(Deserialize)]
pub(super) struct Asked {
    prompt_id: PromptId,
    messages: Vec<Message>,
}

impl Stage for Respond {
    fn signature(&self) -> Signature {
        Signature::of("respond", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let drawer = Drawer::open(
            io,
            &self.engine,
            self.sampling,
            (&self.template_arguments, &self.thinking),
        )?;
        let prompts = io.rows::<Asked>("prompts")?.map(|row| row.map_err(Into::into));
        drawer.draw(io, self, (io.count("prompts")?, self.samples), prompts)
    }
}

impl Drawing for Respond {
    type Unit = Asked;
    type Row = Response;

    fn draft(
        &self,
        drawer: &Drawer,
        Asked { prompt_id, messages }: &Asked,
    ) -> Result<Draft<ResponseId>, StageError> {
        let id = |sample| drawer.id_of(prompt_id).and(sample).finish();
        Ok(Draft::Asked(conversation(messages.clone()), (0..self.samples).map(id).collect()))
    }

    fn row(
        &self,
        asked: &Asked,
        nth: usize,
        response_id: ResponseId,
        drawn: Drawn,
    ) -> Result<Response, StageError> {
        let (prompt_id, sample) = (asked.prompt_id.clone(), i32::try_from(nth)?);
        Ok(Response { response_id, prompt_id, sample, ..drawn.into() })
    }

    fn watch(&self, live: &mut Live, drawn: &Drawn) -> Vec<Figure> {
        live.answer(drawn);
        live.lengths()
    }
}
