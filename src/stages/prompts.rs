//! `prompts`: rows of any query over the experiment's files, one disjoint share per iteration.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::columns::{BadColumns, check, select};
use super::conversation::{self, BadConversation, GivenMessage};
use crate::query::{Column, Inputs};
use crate::records::{Prompt, PromptId};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::store::Digest;

/// Takes one share of the prompts that a query gives.
///
/// The order is a seeded shuffle of the prompts' ids: the order in which the query gives them, and
/// how it was parallelised, do not matter.
#[derive(Debug, Clone, Serialize)]
pub struct Prompts {
    /// The query; see [`Inputs`] for what it may do.
    pub sql: String,
    /// Which share, from 0.
    pub share: usize,
    /// How many shares there are.
    pub shares: usize,
    /// Prompts in a share; `None` divides all there are.
    pub per_share: Option<usize>,
    /// The experiment's seed.
    pub seed: u64,
    /// Which part of the share, where it is parted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<HeldOut>,
}

/// A part of the held-out prompts, where a share of them is kept apart.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOut {
    /// This share of them, by which epochs are chosen.
    Validation(f64),
    /// All but this share: what models are tested on.
    Test(f64),
}

impl Prompts {
    /// 1: the first. 2: time zones are UTC's, not the machine's; `read_text` says no place and no time.
    /// 3: `reference`, `category` and `source` are text in the query's result, never cast to it.
    const VERSION: u32 = 3;
}

/// Why a query's rows are no prompts. Rows are counted from 1, as the query gives them.
#[derive(Debug, thiserror::Error)]
enum BadPrompts {
    #[error(transparent)]
    Columns(#[from] BadColumns),
    #[error(transparent)]
    Conversation(#[from] BadConversation),
    #[error("rows {first} and {second} are the same prompt: `{text}`")]
    Duplicate { first: usize, second: usize, text: String },
    #[error("the query gives {found} prompts; {shares} iterations of {per_share} need {needed}")]
    TooFew { found: usize, shares: usize, per_share: usize, needed: usize },
    #[error(
        "the query gives {found} prompts, of which a share of {share} is {validation}; expected at least \
         one prompt for validation, and one for evaluation"
    )]
    NoPart { found: usize, share: f64, validation: usize },
}

/// Columns besides `prompt`, all of text.
const OPTIONAL: [&str; 3] = ["reference", "category", "source"];

#[derive(Deserialize)]
struct Elsewhere {
    prompt_id: PromptId,
}

/// A row as the query gives it: a text or a conversation, not both.
#[derive(Deserialize)]
struct Given {
    text: Option<String>,
    messages: Option<Vec<Option<GivenMessage>>>,
    reference: Option<String>,
    category: Option<String>,
    source: Option<String>,
}

impl Stage for Prompts {
    fn signature(&self) -> Signature {
        Signature::of("prompts", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let files = io.files("files")?.unwrap_or_default();
        let inputs = Inputs::open(&self.sql, &files, &[], &[])?;
        let columns = inputs.columns()?;
        let selection = selection(&columns)?;
        inputs.check_texts(&columns, &OPTIONAL)?;
        let given: Vec<Given> = inputs.rows(&selection)?;
        io.check_unchanged("files")?;
        let prompts = number(given)?;
        let per_share = self.per_share.unwrap_or(prompts.len() / self.shares);
        let needed = per_share * self.shares;
        if prompts.len() < needed || per_share == 0 {
            let (found, shares, per_share) = (prompts.len(), self.shares, per_share.max(1));
            let needed = needed.max(shares);
            return Err(BadPrompts::TooFew { found, shares, per_share, needed }.into());
        }
        if self.share == 0 && prompts.len() > needed {
            let (unused, found) = (prompts.len() - needed, prompts.len());
            io.warn(format!(
                "{unused} of {found} prompts are in no share: {} iterations take {per_share} each",
                self.shares
            ));
        }
        let share = self.share_of(prompts, per_share)?;
        warn_of_overlap(io, &share)?;
        io.write(share.into_iter().map(Ok))
    }
}

impl Prompts {
    fn share_of(
        &self,
        mut prompts: Vec<Prompt>,
        per_share: usize,
    ) -> Result<Vec<Prompt>, BadPrompts> {
        prompts.sort_by_cached_key(|prompt| {
            Digest::of(format!("{}\n{}", self.seed, prompt.prompt_id).as_bytes())
        });
        let share = prompts.into_iter().skip(self.share * per_share).take(per_share);
        let within = self.part.map_or(Ok(0..per_share), |part| part.within(per_share))?;
        let placed = (0..).zip(share.skip(within.start).take(within.len()));
        Ok(placed.map(|(position, prompt)| Prompt { position, ..prompt }).collect())
    }
}

impl HeldOut {
    /// Where its prompts stand among so many.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    fn within(self, found: usize) -> Result<Range<usize>, BadPrompts> {
        let (Self::Validation(share) | Self::Test(share)) = self;
        let validation = (share * found as f64).round() as usize;
        if validation == 0 || validation >= found {
            return Err(BadPrompts::NoPart { found, share, validation });
        }
        Ok(match self {
            Self::Validation(_) => 0..validation,
            Self::Test(_) => validation..found,
        })
    }
}

/// Says so where prompts that are held out, which have no say in the rows, are among them.
fn warn_of_overlap(io: &Io<'_>, share: &[Prompt]) -> Result<(), StageError> {
    for (input, what) in [("held_out", "evaluation"), ("validation", "validation")] {
        if !io.has(input) {
            continue;
        }
        let mut held_out = HashSet::new();
        for row in io.rows::<Elsewhere>(input)? {
            held_out.insert(row?.prompt_id);
        }
        let both = share.iter().filter(|prompt| held_out.contains(&prompt.prompt_id)).count();
        if both > 0 {
            io.warn(format!(
                "{both} of {} prompts are {what} prompts, too: what is measured on those is not new to \
                 the models",
                share.len()
            ));
        }
    }
    Ok(())
}

/// Says how the query's columns become those of [`Given`].
fn selection(columns: &[Column]) -> Result<String, BadPrompts> {
    check(columns, &["prompt"], &OPTIONAL, "prompts")?;
    let prompt = conversation::select(columns)?;
    let optional = OPTIONAL.iter().map(|name| select(columns, name, "VARCHAR", name));
    Ok(format!("{prompt}, {}", optional.collect::<Vec<_>>().join(", ")))
}

/// Turns rows into prompts, in the query's order.
fn number(given: Vec<Given>) -> Result<Vec<Prompt>, BadPrompts> {
    let mut first_rows: HashMap<PromptId, usize> = HashMap::with_capacity(given.len());
    let mut prompts = Vec::with_capacity(given.len());
    for (row, given) in (1..).zip(given) {
        let prompt = prompt_of(row, given)?;
        if let Some(first) = first_rows.insert(prompt.prompt_id.clone(), row) {
            let text = prompt.prompt.chars().take(60).collect();
            return Err(BadPrompts::Duplicate { first, second: row, text });
        }
        prompts.push(prompt);
    }
    Ok(prompts)
}

fn prompt_of(row: usize, given: Given) -> Result<Prompt, BadPrompts> {
    let messages = conversation::read(row, given.text, given.messages)?;
    conversation::check_asks(row, &messages)?;
    let prompt_id = conversation::id(&messages);
    let prompt = match messages.as_slice() {
        [only] if only.role == "user" => only.content.clone(),
        several => {
            let lines = several.iter().map(|m| format!("{}: {}", m.role, m.content));
            lines.collect::<Vec<_>>().join("\n\n")
        }
    };
    let Given { reference, category, source, .. } = given;
    Ok(Prompt { prompt_id, position: 0, prompt, messages, reference, category, source })
}
