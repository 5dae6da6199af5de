//! `panel`: what every iteration's judge is shown: M0's answers to the held-out prompts, and probes that
//! no judge should score higher.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Template;
use super::align::{InStep, groups};
use super::answers::ready_made;
use crate::records::{FinishReason, PromptId, Response, RowId};
use crate::runner::{Io, Signature, Stage, StageError};

/// Lays out the panel: of each prompt M0's first answer, as sample 0, then each probe in the order of
/// their names.
#[derive(Debug, Clone, Serialize)]
pub struct Panel {
    /// What probes say, by name, over `prompt` and `response`: M0's answer.
    pub probes: BTreeMap<String, Template>,
}

impl Panel {
    /// 1: the first. 2: a prompt that M0 refuses is not on the panel.
    const VERSION: u32 = 2;
}

#[derive(Deserialize)]
struct Question {
    prompt_id: PromptId,
    prompt: String,
}

impl Stage for Panel {
    fn signature(&self) -> Signature {
        Signature::of("panel", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let answers = groups(io.rows::<Response>("responses")?, |row| row.prompt_id.clone());
        let mut answers = InStep::new("responses", answers);
        let mut of_prompt = |question: Question| -> Result<Vec<Response>, StageError> {
            let Question { prompt_id, prompt } = question;
            let answer = answers.take(&prompt_id)?.remove(0);
            if answer.finish_reason == FinishReason::Refused {
                return Ok(Vec::new());
            }
            let mut rows = Vec::with_capacity(1 + self.probes.len());
            for (sample, (name, probe)) in (1..).zip(&self.probes) {
                let text = probe.probe(&prompt, &answer.text)?;
                let id = RowId::of(answer.response_id.clone()).and(name.clone()).and(text.clone());
                rows.push(ready_made(prompt_id.clone(), id, sample, text));
            }
            // It is shown here as well as there: a row of its own.
            let response_id = RowId::of(answer.response_id.clone()).and("panel").finish();
            rows.insert(0, Response { response_id, sample: 0, ..answer });
            Ok(rows)
        };
        let questions = io.rows::<Question>("prompts")?;
        io.write(questions.flat_map(|question| {
            match question.map_err(StageError::from).and_then(&mut of_prompt) {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        }))
    }
}
