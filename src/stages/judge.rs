//! `judge`: N judgements of each distinct response (Meta-Rewarding, section 2.1). Nothing is parsed.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::align::{InStep, groups};
use super::draw::{Draft, Drawer, Drawing};
use super::live::Live;
use super::{Choices, Rule, Sampling, Template, Thinking};
use crate::model::{Arguments, Engine};
use crate::records::{Drawn, FinishReason, Judgement, JudgementId, PromptId, ResponseId};
use crate::runner::{Figure, Io, Signature, Stage, StageError};

/// Draws judgements.
#[derive(Debug, Clone, Serialize)]
pub struct Judge {
    /// The judge's prompt, over `prompt` and `response`.
    pub template: Template,
    /// N, draws for each distinct response.
    pub samples: usize,
    /// The verdicts that are weighed; `None` where one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// How a score will be read: what is shown while it is drawn. It decides nothing.
    #[serde(skip)]
    pub rule: Rule,
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

impl Judge {
    /// 1: the first. 2: the key says which engine drew; a prompt that the model refuses is a row, and a
    /// response that was refused is not judged. 3: rows say what
    /// was thought, and which ids were drawn.
    const VERSION: u32 = 3;
}

#[derive(Deserialize)]
struct Asked {
    prompt_id: PromptId,
    prompt: String,
}

/// A response.
#[derive(Deserialize)]
pub(super) struct JudgedResponse {
    response_id: ResponseId,
    prompt_id: PromptId,
    text: String,
    text_digest: String,
    finish_reason: FinishReason,
}

#[derive(Deserialize)]
struct Text {
    prompt_id: PromptId,
    text_digest: String,
    finish_reason: FinishReason,
}

/// Remembers the texts of one prompt, so that equal responses to it are judged once.
#[derive(Default)]
struct Seen {
    prompt_id: PromptId,
    texts: HashSet<String>,
}

impl Seen {
    /// Whether a response is to be judged: it is an answer, and the first of this text.
    fn is_new(&mut self, prompt_id: &PromptId, text_digest: &str, finish: FinishReason) -> bool {
        if finish == FinishReason::Refused {
            return false;
        }
        if self.prompt_id != *prompt_id {
            self.prompt_id.clone_from(prompt_id);
            self.texts.clear();
        }
        self.texts.insert(text_digest.to_owned())
    }
}

impl Stage for Judge {
    fn signature(&self) -> Signature {
        Signature::of("judge", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let drawer = Drawer::open(
            io,
            &self.engine,
            self.sampling,
            (&self.template_arguments, &self.thinking),
        )?;
        let mut seen = Seen::default();
        let mut distinct = 0;
        for text in io.rows::<Text>("responses")? {
            let Text { prompt_id, text_digest, finish_reason } = text?;
            distinct += u64::from(seen.is_new(&prompt_id, &text_digest, finish_reason));
        }
        let prompts = groups(io.rows::<Asked>("prompts")?, |row| row.prompt_id.clone());
        let mut prompts = InStep::new("prompts", prompts);
        let mut seen = Seen::default();
        let mut current = Asked { prompt_id: PromptId::default(), prompt: String::new() };
        let answers = io.rows::<JudgedResponse>("responses")?.filter_map(|answer| {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => return Some(Err(error.into())),
            };
            if !seen.is_new(&answer.prompt_id, &answer.text_digest, answer.finish_reason) {
                return None;
            }
            if current.prompt_id != answer.prompt_id {
                match prompts.take(&answer.prompt_id) {
                    Ok(mut found) => current = found.remove(0),
                    Err(error) => return Some(Err(error)),
                }
            }
            Some(Ok((current.prompt.clone(), answer)))
        });
        drawer.draw(io, self, (distinct, self.samples), answers)
    }
}

impl Drawing for Judge {
    /// The prompt, and the answer to it.
    type Unit = (String, JudgedResponse);
    type Row = Judgement;

    fn choices(&self) -> Option<&Choices> {
        self.choices.as_ref()
    }

    fn draft(
        &self,
        drawer: &Drawer,
        (prompt, answer): &Self::Unit,
    ) -> Result<Draft<JudgementId>, StageError> {
        let messages = self.template.judge(prompt, &answer.text)?;
        let subject = || {
            let id = drawer.id_of(&answer.response_id).and(self.template.digest());
            Choices::name(self.choices.as_ref(), id)
        };
        let ids = (0..self.samples).map(|sample| subject().and(sample).finish()).collect();
        Ok(Draft::Asked(messages, ids))
    }

    fn row(
        &self,
        (_, answer): &Self::Unit,
        nth: usize,
        judgement_id: JudgementId,
        drawn: Drawn,
    ) -> Result<Judgement, StageError> {
        let JudgedResponse { prompt_id, response_id, .. } = answer;
        let (prompt_id, response_id) = (prompt_id.clone(), response_id.clone());
        let (sample, weighed) = (i32::try_from(nth)?, drawn.weighed.clone());
        Ok(Judgement { judgement_id, prompt_id, response_id, sample, weighed, ..drawn.into() })
    }

    fn watch(&self, live: &mut Live, drawn: &Drawn) -> Vec<Figure> {
        let verdict = self.rule.explain(&drawn.text, drawn.finish_reason, &self.thinking).verdict;
        live.read(drawn, verdict);
        live.scores()
    }
}
