//! Drawing texts from a model, for the stages that do: `respond`, `judge`, `meta_judge` and `evaluate`.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::engines::open_by;
use super::live::{Asked, Live};
use super::{Choices, Thinking};
use crate::model::{
    self, Arguments, Ask, Asker, Decoding, Engine, Finish, LanguageModel, Message, Prompt, Reply,
};
use crate::records::{self, Drawn, DrawnRow, FinishReason, Id, RowId, seed_of};
use crate::runner::{Figure, Handed, Io, Measure, StageError, Window};
use crate::store::{Digest, Record, Spent};

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
    /// The share of rows, 0 to 1, that the model may refuse before the node fails; where it is not 0, one
    /// row always may. It decides whether a table is made and not what is in it: it is in no key.
    #[serde(skip, default = "default_max_refused")]
    pub max_refused: f64,
}

/// One row in a hundred.
pub const MAX_REFUSED: f64 = 0.01;

const fn default_max_refused() -> f64 {
    MAX_REFUSED
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

/// What a stage asks about one unit of its work.
pub(super) enum Draft<I> {
    /// A conversation, and the ids of the rows that answer it.
    Asked(Vec<Message>, Vec<I>),
    /// Nothing, for this reason; the ids of the rows that say so.
    Unasked(String, Vec<I>),
}

/// The id of what a stage draws.
pub(super) type IdOf<D> = <<D as Drawing>::Row as DrawnRow>::Id;

/// A stage that draws: every unit of its work is one conversation and so many rows.
pub(super) trait Drawing {
    /// A unit of its work.
    type Unit;
    /// What is drawn.
    type Row: Record + DrawnRow;

    /// What may be replied, where the verdict is weighed and not written.
    fn choices(&self) -> Option<&Choices> {
        None
    }

    /// What is asked about a unit.
    fn draft(&self, drawer: &Drawer, unit: &Self::Unit) -> Result<Draft<IdOf<Self>>, StageError>;

    /// The row that the `nth` text drawn for a unit makes.
    fn row(
        &self,
        unit: &Self::Unit,
        nth: usize,
        id: IdOf<Self>,
        drawn: Drawn,
    ) -> Result<Self::Row, StageError>;

    /// Takes a text, and returns what there is to watch of those so far.
    fn watch(&self, live: &mut Live, drawn: &Drawn) -> Vec<Figure>;
}

/// A model that is open, and what stands for it in ids.
pub(super) struct Drawer {
    model: Rc<Box<dyn LanguageModel>>,
    digest: Digest,
    /// What its chat template is given, where it is given anything.
    arguments: Option<Value>,
    sampling: Sampling,
    thinking: Thinking,
}

impl Drawer {
    pub(super) fn open(
        io: &Io<'_>,
        engine: &Engine,
        sampling: Sampling,
        (arguments, thinking): (&Arguments, &Thinking),
    ) -> Result<Self, StageError> {
        let model = open_by(io, engine, arguments)?;
        let digest = io.digest("model")?;
        let arguments = (!arguments.is_empty()).then(|| arguments.to_json());
        Ok(Self { model, digest, arguments, sampling, thinking: thinking.clone() })
    }

    /// Starts the id of a row: what it is about, the model, the decoding, and what the model's chat
    /// template is given. The stage adds the rest.
    pub(super) fn id_of(&self, subject: &impl Id) -> RowId {
        let id = RowId::of(subject.clone()).and(self.digest.to_hex()).and(self.sampling.json());
        match &self.arguments {
            Some(arguments) => id.and(arguments.clone()),
            None => id,
        }
    }

    /// Draws `per_unit` texts for each of `count` units, and writes the table of them.
    pub(super) fn draw<D: Drawing>(
        &self,
        io: &mut Io<'_>,
        stage: &D,
        (count, per_unit): (u64, usize),
        units: impl Iterator<Item = Result<D::Unit, StageError>>,
    ) -> Result<(), StageError> {
        io.each_draw(count, per_unit, units, |window| {
            let refused = Refused::of(window, self.sampling.max_refused)?;
            let mut desk = Desk {
                stage,
                drawer: self,
                window,
                refused,
                under_way: HashMap::new(),
                asked: 0,
                texts: 0,
                live: Live::default(),
                failed: None,
            };
            let drawn = match stage.choices() {
                None => self.model.generate(&mut desk),
                Some(choices) => self.model.choose(&mut desk, &choices.texts()),
            };
            let Desk { failed, under_way, .. } = desk;
            match (failed, drawn) {
                (Some(error), _) => Err(error),
                (None, Ok(())) => Ok(()),
                (None, Err(error)) => Err(at_fault(error, &under_way)),
            }
        })
    }
}

/// A unit whose rows are being drawn.
struct UnderWay<D: Drawing> {
    handed: Handed<D::Unit>,
    ids: Vec<IdOf<D>>,
    left: usize,
}

/// Asks the model what the window hands out, and lands what it replies.
struct Desk<'d, 'w, D: Drawing> {
    stage: &'d D,
    drawer: &'d Drawer,
    window: &'d mut Window<'w, D::Unit, D::Row>,
    refused: Refused,
    under_way: HashMap<usize, UnderWay<D>>,
    asked: usize,
    /// The texts of all that was asked.
    texts: usize,
    live: Live,
    failed: Option<StageError>,
}

impl<D: Drawing> Asker for Desk<'_, '_, D> {
    fn next(&mut self) -> Option<Ask> {
        if self.failed.is_some() {
            return None;
        }
        self.hand_out().unwrap_or_else(|error| {
            self.failed = Some(error);
            None
        })
    }

    fn take(&mut self, ask: usize, draw: usize, reply: Reply) -> ControlFlow<()> {
        let landed = self.land(ask, draw, reply);
        self.go_on_after(landed.map(|()| true))
    }

    fn hear(&mut self, text: String) {
        self.window.warn(text);
    }

    fn go_on(&mut self) -> ControlFlow<()> {
        let go_on = self.window.go_on();
        self.go_on_after(go_on)
    }
}

impl<D: Drawing> Desk<'_, '_, D> {
    fn go_on_after(&mut self, step: Result<bool, StageError>) -> ControlFlow<()> {
        match step {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(error) => {
                self.failed.get_or_insert(error);
                ControlFlow::Break(())
            }
        }
    }

    /// The next unit that a model has to be asked about.
    fn hand_out(&mut self) -> Result<Option<Ask>, StageError> {
        while let Some(handed) = self.window.hand_out()? {
            let (messages, ids) = match self.stage.draft(self.drawer, &handed.unit)? {
                Draft::Asked(messages, ids) => (messages, ids),
                Draft::Unasked(reason, ids) => {
                    self.land_unasked(&handed, &ids, &reason)?;
                    continue;
                }
            };
            let seed = |nth: &usize| seed_of(self.drawer.sampling.seed, &ids[*nth]);
            let ask = Ask {
                prompt: Prompt::Messages(messages),
                decoding: self.drawer.sampling.decoding(),
                stop: Vec::new(),
                seeds: handed.missing.iter().map(seed).collect(),
                names: handed.missing.iter().map(|nth| ids[*nth].to_string()).collect(),
            };
            let left = handed.missing.len();
            self.under_way.insert(self.asked, UnderWay { handed, ids, left });
            self.asked += 1;
            self.texts += left;
            return Ok(Some(ask));
        }
        Ok(None)
    }

    fn land_unasked(
        &mut self,
        handed: &Handed<D::Unit>,
        ids: &[IdOf<D>],
        reason: &str,
    ) -> Result<(), StageError> {
        for nth in &handed.missing {
            let drawn = Drawn {
                seed: seed_of(self.drawer.sampling.seed, &ids[*nth]),
                text: String::new(),
                thinking: None,
                text_digest: Digest::of(b"").to_hex(),
                completion_ids: None,
                prompt_tokens: 0,
                completion_tokens: 0,
                finish_reason: FinishReason::Refused,
                logprob: None,
                refusal: Some(reason.to_owned()),
                weighed: None,
            };
            let row = self.stage.row(&handed.unit, *nth, ids[*nth].clone(), drawn)?;
            self.window.land(handed.first_row + *nth as u64, &row)?;
        }
        Ok(())
    }

    fn land(&mut self, ask: usize, draw: usize, reply: Reply) -> Result<(), StageError> {
        let Some(unit) = self.under_way.get_mut(&ask) else { return Err(NotAsked(ask).into()) };
        let nth = *unit.handed.missing.get(draw).ok_or(NotAsked(ask))?;
        let id = unit.ids[nth].clone();
        let seed = seed_of(self.drawer.sampling.seed, &id);
        let spent = Spent {
            prompt_tokens: reply.prompt_tokens.into(),
            completion_tokens: reply.completion_tokens.into(),
            money: reply.money,
        };
        let drawn = drawn(seed, reply, &self.drawer.thinking, self.stage.choices())?;
        let mut figures = self.stage.watch(&mut self.live, &drawn);
        self.window.spend(spent);
        figures.extend(cost(self.window.spent()));
        self.window.watch(figures);
        let asked = Asked { units: self.asked, texts: self.texts };
        if let Some((fault, text)) = self.live.fault(D::Row::TABLE, asked) {
            self.window.warn_of(fault, text);
        }
        let row = self.stage.row(&unit.handed.unit, nth, id, drawn)?;
        self.window.land(unit.handed.first_row + nth as u64, &row)?;
        self.refused.count(&row)?;
        unit.left -= 1;
        if unit.left == 0 {
            self.under_way.remove(&ask);
        }
        Ok(())
    }
}

/// Counts what the model refuses.
struct Refused {
    allowed: u64,
    rows: u64,
    share: f64,
    refused: u64,
    first: Vec<(String, String)>,
}

/// Too much was refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "the model refused {refused} of {rows} rows, more than `max_refused` ({share}) lets pass: {}",
    .first.iter().map(|(id, why)| format!("{id}: {why}")).collect::<Vec<_>>().join("; ")
)]
pub struct TooManyRefused {
    refused: u64,
    rows: u64,
    share: f64,
    first: Vec<(String, String)>,
}

impl Refused {
    /// Begins with what was refused in earlier attempts.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    fn of<U, R: Record + DrawnRow>(
        window: &Window<'_, U, R>,
        share: f64,
    ) -> Result<Self, StageError> {
        let rows = window.rows();
        let allowed = if share > 0.0 { ((rows as f64 * share) as u64).max(1) } else { 0 };
        let mut refused = Self { allowed, rows, share, refused: 0, first: Vec::new() };
        for row in window.landed() {
            refused.count(&row?)?;
        }
        Ok(refused)
    }

    fn count(&mut self, row: &impl DrawnRow) -> Result<(), TooManyRefused> {
        const SHOWN: usize = 3;
        let Some(why) = row.refusal().filter(|why| *why != NO_ANSWER) else { return Ok(()) };
        self.refused += 1;
        if self.first.len() < SHOWN {
            self.first.push((row.id().to_string(), why.to_owned()));
        }
        if self.refused <= self.allowed {
            return Ok(());
        }
        let Self { refused, rows, share, .. } = *self;
        Err(TooManyRefused { refused, rows, share, first: std::mem::take(&mut self.first) })
    }
}

/// Why a judge is not asked about an answer that was refused. That it was counts where it was drawn.
pub(super) const NO_ANSWER: &str = "an answer was refused: there is nothing to compare";

/// What has been spent, where it is money.
fn cost(spent: Spent) -> Option<Figure> {
    Some(Figure::of("cost", Measure::Money, spent.money?))
}

/// A model replied to what it was not asked.
#[derive(Debug, thiserror::Error)]
#[error("the model replied to ask {0}, which is not under way")]
struct NotAsked(usize);

/// A row that the model fails at.
#[derive(Debug, thiserror::Error)]
#[error("{row}")]
struct AtFault {
    row: String,
    source: model::Error,
}

/// Names the row, where one is at fault.
fn at_fault<D: Drawing>(
    error: model::Error,
    under_way: &HashMap<usize, UnderWay<D>>,
) -> StageError {
    let unit = error.request().and_then(|ask| under_way.get(&ask));
    let row = unit.and_then(|unit| unit.ids.get(*unit.handed.missing.first()?));
    match row {
        Some(row) => AtFault { row: row.to_string(), source: error }.into(),
        None => error.into(),
    }
}

fn drawn(
    seed: u64,
    reply: Reply,
    thinking: &Thinking,
    choices: Option<&Choices>,
) -> Result<Drawn, StageError> {
    let weighed = choices.zip(reply.among).map(|(choices, among)| choices.weighed(&among));
    let (finish_reason, refusal) = match reply.finish {
        Finish::Stop => (FinishReason::Stop, None),
        Finish::Length => (FinishReason::Length, None),
        Finish::Refused(refusal) => (FinishReason::Refused, Some(refusal.to_string())),
    };
    let (thoughts, text) = thinking.set_apart(&reply.text);
    Ok(Drawn {
        seed,
        text_digest: Digest::of(text.as_bytes()).to_hex(),
        text: text.into_owned(),
        thinking: thoughts,
        completion_ids: Some(reply.tokens).filter(|tokens| !tokens.is_empty()),
        prompt_tokens: i32::try_from(reply.prompt_tokens)?,
        completion_tokens: i32::try_from(reply.completion_tokens)?,
        finish_reason,
        logprob: reply.logprob,
        refusal,
        weighed,
    })
}

/// The conversation as a model reads it.
pub(super) fn conversation(messages: Vec<records::Message>) -> Vec<Message> {
    let message = |records::Message { role, content }| Message { role, content };
    messages.into_iter().map(message).collect()
}
