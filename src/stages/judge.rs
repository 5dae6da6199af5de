//! `judge`: N judgements of each distinct response (Meta-Rewarding, section 2.1). Nothing is parsed.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::align::{InStep, groups};
use super::draw::{Draft, Drawer};
use super::live::Live;
use super::{Rule, Sampling, Template};
use crate::model::Message;
use crate::records::Judgement;
use crate::runner::{Io, Signature, Stage, StageError};

/// Draws judgements.
#[derive(Debug, Clone, Serialize)]
pub struct Judge {
    /// The judge's prompt, over `prompt` and `response`.
    pub template: Template,
    /// N, draws for each distinct response.
    pub samples: usize,
    /// How to draw. Flat, so that the key says `temperature`, as the experiment does.
    #[serde(flatten)]
    pub sampling: Sampling,
}

impl Judge {
    /// 1: the first.
    const VERSION: u32 = 1;

    /// Responses in a shard.
    const SHARD: usize = 64;
}

#[derive(Deserialize)]
struct Asked {
    prompt_id: String,
    prompt: String,
}

#[derive(Deserialize)]
struct Answer {
    response_id: String,
    prompt_id: String,
    text: String,
    text_digest: String,
}

#[derive(Deserialize)]
struct Text {
    prompt_id: String,
    text_digest: String,
}

/// Remembers the texts of one prompt, so that equal responses to it are judged once.
#[derive(Default)]
struct Seen {
    prompt_id: String,
    texts: HashSet<String>,
}

impl Seen {
    fn is_new(&mut self, prompt_id: &str, text_digest: &str) -> bool {
        if self.prompt_id != prompt_id {
            prompt_id.clone_into(&mut self.prompt_id);
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
        let drawer = Drawer::open(io, self.sampling)?;
        let mut seen = Seen::default();
        let mut distinct = 0;
        for text in io.rows::<Text>("responses")? {
            let Text { prompt_id, text_digest } = text?;
            distinct += u64::from(seen.is_new(&prompt_id, &text_digest));
        }
        let prompts = groups(io.rows::<Asked>("prompts")?, |row| row.prompt_id.clone());
        let mut prompts = InStep::new("prompts", prompts);
        let mut seen = Seen::default();
        let mut current = Asked { prompt_id: String::new(), prompt: String::new() };
        let answers = io.rows::<Answer>("responses")?.filter_map(|answer| {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => return Some(Err(error.into())),
            };
            if !seen.is_new(&answer.prompt_id, &answer.text_digest) {
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
        let mut live = Live::default();
        io.each_shard(distinct, Self::SHARD, answers, |answers, meter| {
            let (mut drafts, mut places) = (Vec::new(), Vec::new());
            for (prompt, answer) in answers {
                let text = self.template.judge(&prompt, &answer.text)?;
                for sample in 0..self.samples {
                    let id = drawer.id_of(&answer.response_id).and(self.template.digest());
                    let id = id.and(sample).finish('j');
                    drafts.push(Draft { id, messages: vec![Message::user(text.clone())] });
                    places.push((answer.prompt_id.clone(), answer.response_id.clone(), sample));
                }
            }
            let drawn = drawer.draw(drafts, self.samples, meter)?;
            live.read(&drawn, &[Rule::Score, Rule::Rating]);
            meter.note(live.scores());
            places
                .into_iter()
                .zip(drawn)
                .map(|((prompt_id, response_id, sample), drawn)| {
                    Ok(Judgement {
                        judgement_id: drawn.id,
                        prompt_id,
                        response_id,
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
