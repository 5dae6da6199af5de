//! Both sides of a kept pair as a model reads them: the ids that were drawn, wherever they are known.

use serde::Deserialize;

use super::draw::conversation;
use crate::model::{self, Language, Message, Prompt, Tokenised};
use crate::records::{self, PairId};
use crate::runner::{Io, StageError};

/// A kept pair as ids.
pub(super) struct Sides {
    pub(super) pair_id: PairId,
    pub(super) prompt: Vec<u32>,
    pub(super) chosen: Vec<u32>,
    pub(super) rejected: Vec<u32>,
}

/// What is read of a pair.
#[derive(Deserialize)]
pub(super) struct Candidate {
    pair_id: PairId,
    kept: bool,
    messages: Vec<records::Message>,
    chosen: Option<String>,
    rejected: Option<String>,
    chosen_ids: Option<Vec<u32>>,
    rejected_ids: Option<Vec<u32>>,
}

/// What a key leaves out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
pub(super) const fn is_on(thinking: &bool) -> bool {
    *thinking
}

/// Turns pairs into ids, and remembers what has to be said of them.
pub(super) struct Tokeniser<'m> {
    model: &'m Language,
    /// Whether what was thought before an answer is part of it.
    thinking: bool,
    apart: Apart,
    /// Pairs that have nothing to tell.
    untold: u64,
}

impl<'m> Tokeniser<'m> {
    pub(super) fn new(model: &'m Language, thinking: bool) -> Self {
        Self { model, thinking, apart: Apart::default(), untold: 0 }
    }

    /// The sides of a pair that is kept; none where both come to the same ids, or one to none.
    pub(super) fn sides(&mut self, pair: Candidate) -> Result<Option<Sides>, StageError> {
        let Candidate { pair_id, kept: true, messages, chosen, rejected, .. } = pair else {
            return Ok(None);
        };
        let (Some(chosen), Some(rejected)) = (chosen, rejected) else { return Ok(None) };
        let messages = conversation(messages);
        let prompt = self.model.tokens(&Prompt::Messages(messages.clone()));
        let prompt = prompt.map_err(|source| Unwritten::of(&pair_id, source))?;
        let mut side =
            |drawn: Option<Vec<u32>>, text: String| self.side(&pair_id, &messages, drawn, &text);
        let chosen = side(pair.chosen_ids, chosen)?;
        let rejected = side(pair.rejected_ids, rejected)?;
        if chosen == rejected || chosen.is_empty() || rejected.is_empty() {
            self.untold += 1;
            return Ok(None);
        }
        Ok(Some(Sides { pair_id, prompt, chosen, rejected }))
    }

    fn side(
        &mut self,
        pair_id: &PairId,
        messages: &[Message],
        drawn: Option<Vec<u32>>,
        text: &str,
    ) -> Result<Vec<u32>, StageError> {
        match drawn {
            Some(drawn) if self.thinking => return Ok(drawn),
            Some(drawn) => {
                if let Some(answer) = self.model.ids_of_answer(&drawn, text)? {
                    return Ok(answer.to_vec());
                }
            }
            None => {}
        }
        let tokenised = self.model.tokenised(messages, text);
        let Tokenised { target, apart, .. } =
            tokenised.map_err(|source| Unwritten::of(pair_id, source))?;
        self.apart.count(apart, pair_id);
        Ok(target)
    }

    /// Says what became of pairs that are not trained on as they stand.
    pub(super) fn warn(self, io: &Io<'_>) {
        self.apart.warn(io);
        if self.untold > 0 {
            io.warn(format!(
                "{} kept pairs are not trained on: both of their sides are the same tokens, or one has none",
                self.untold
            ));
        }
    }
}

/// A row whose conversation the model's template or tokenizer does not take.
#[derive(Debug, thiserror::Error)]
#[error("row {row}")]
pub(super) struct Unwritten {
    row: String,
    source: model::Error,
}

impl Unwritten {
    pub(super) fn of(row: &impl ToString, source: model::Error) -> Self {
        Self { row: row.to_string(), source }
    }
}

/// Texts that had to be tokenised by themselves.
#[derive(Default)]
pub(super) struct Apart {
    texts: u64,
    apart: u64,
    first: Option<String>,
}

impl Apart {
    pub(super) fn count(&mut self, apart: bool, id: &impl ToString) {
        self.texts += 1;
        if apart {
            self.apart += 1;
            self.first.get_or_insert_with(|| id.to_string());
        }
    }

    pub(super) fn warn(&self, io: &Io<'_>) {
        let Self { texts, apart, first } = self;
        if let Some(first) = first {
            io.warn(format!(
                "{apart} of {texts} targets are tokenised apart from their prompts, whose own tokens they \
                 would change; the first is {first}'s"
            ));
        }
    }
}
