//! Drawing texts from a model, for the three stages that do: `respond`, `judge`, `meta_judge`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{self, Decoding, Finish, LanguageModel, Message, Prompt, Request};
use crate::records::{self, CheckpointPart, FinishReason, RowId, seed_of};
use crate::runner::{Io, Meter, StageError};
use crate::store::Digest;

/// How a stage draws: part of its key, and of the id of every row it draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// At least 0.
    pub temperature: f64,
    /// Above 0, at most 1.
    pub top_p: f64,
    /// At least 1.
    pub max_tokens: u32,
    /// The experiment's seed.
    pub seed: u64,
}

impl Sampling {
    fn decoding(&self) -> Decoding {
        let Self { temperature, top_p, max_tokens, .. } = *self;
        Decoding { temperature, top_p, max_tokens, ..Decoding::default() }
    }

    fn json(&self) -> Value {
        json!([self.temperature, self.top_p, self.max_tokens, self.seed])
    }
}

/// A model that is open, and what stands for it in ids.
pub(super) struct Drawer {
    model: Box<dyn LanguageModel>,
    digest: Digest,
    sampling: Sampling,
}

/// A text to draw, and the id of the row that it will be.
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) messages: Vec<Message>,
}

/// A text that was drawn.
pub(super) struct Drawn {
    pub(super) id: String,
    pub(super) seed: u64,
    pub(super) text: String,
    pub(super) text_digest: String,
    pub(super) prompt_tokens: i32,
    pub(super) completion_tokens: i32,
    pub(super) finish_reason: FinishReason,
    pub(super) logprob: Option<f64>,
}

impl Drawer {
    /// Opens the input `model`: a folder, or a checkpoint that an earlier node made.
    pub(super) fn open(io: &Io<'_>, sampling: Sampling) -> Result<Self, StageError> {
        let model = model::open(&model_files(io)?, &model::open_device(io.device())?)?;
        io.check_unchanged("model")?;
        Ok(Self { model, digest: io.digest("model")?, sampling })
    }

    /// Starts the id of a row: what it is about, the model, the decoding. The stage adds the rest.
    pub(super) fn id_of(&self, subject: &str) -> RowId {
        RowId::of(subject).and(self.digest.to_hex()).and(self.sampling.json())
    }

    /// Draws the drafts of a shard; every `per_unit` texts are one unit of work.
    pub(super) fn draw(
        &self,
        drafts: Vec<Draft>,
        per_unit: usize,
        meter: &mut Meter<'_>,
    ) -> Result<Vec<Drawn>, StageError> {
        let (ids, requests): (Vec<String>, Vec<Request>) = drafts
            .into_iter()
            .map(|Draft { id, messages }| {
                let seed = seed_of(self.sampling.seed, &id);
                let prompt = Prompt::Messages(messages);
                let decoding = self.sampling.decoding();
                (id, Request { prompt, decoding, stop: Vec::new(), seed })
            })
            .unzip();
        let mut replies: Vec<Option<model::Reply>> = vec![None; requests.len()];
        let mut finished = 0;
        let drawn_all = self.model.generate(&requests, &mut |at, reply| {
            replies[at] = Some(reply);
            finished += 1;
            if finished % per_unit == 0 {
                meter.add(1);
            }
        });
        drawn_all.map_err(|error| refused(error, &requests))?;
        ids.into_iter()
            .zip(requests)
            .zip(replies)
            .map(|((id, request), reply)| drawn(id, request.seed, reply))
            .collect()
    }
}

/// A prompt that the model does not take.
#[derive(Debug, thiserror::Error)]
#[error("the model refuses the prompt that begins with {begins:?}")]
struct Refused {
    begins: String,
    source: model::Error,
}

/// Names the prompt, where one is at fault.
fn refused(error: model::Error, requests: &[Request]) -> StageError {
    const SHOWN: usize = 60;
    let prompt = error.request().and_then(|at| requests.get(at)).map(|request| &request.prompt);
    match prompt {
        Some(Prompt::Messages(messages)) => {
            let text = messages.last().map_or("", |message| message.content.as_str());
            let begins = text.chars().take(SHOWN).collect();
            Refused { begins, source: error }.into()
        }
        _ => error.into(),
    }
}

/// A model ended without answering a request.
#[derive(Debug, thiserror::Error)]
#[error("the model gave no reply for row {0}")]
struct NoReply(String);

fn drawn(id: String, seed: u64, reply: Option<model::Reply>) -> Result<Drawn, StageError> {
    let reply = reply.ok_or_else(|| NoReply(id.clone()))?;
    Ok(Drawn {
        id,
        seed,
        text_digest: Digest::of(reply.text.as_bytes()).to_hex(),
        text: reply.text,
        prompt_tokens: i32::try_from(reply.prompt_tokens)?,
        completion_tokens: i32::try_from(reply.completion_tokens)?,
        finish_reason: match reply.finish {
            Finish::Stop => FinishReason::Stop,
            Finish::Length => FinishReason::Length,
        },
        logprob: reply.logprob,
    })
}

/// Returns where the files of the input `model` are, whichever kind of input it is.
pub(super) fn model_files(io: &Io<'_>) -> Result<BTreeMap<String, PathBuf>, StageError> {
    if let Some(files) = io.files("model")? {
        return Ok(files);
    }
    let mut files = BTreeMap::new();
    for part in io.rows::<CheckpointPart>("model")? {
        let part = part?;
        if let Entry::Vacant(entry) = files.entry(part.file) {
            entry.insert(io.object(part.object.parse()?)?);
        }
    }
    Ok(files)
}

/// The conversation as a model reads it.
pub(super) fn conversation(messages: Vec<records::Message>) -> Vec<Message> {
    let message = |records::Message { role, content }| Message { role, content };
    messages.into_iter().map(message).collect()
}
