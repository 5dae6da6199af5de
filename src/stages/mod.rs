//! The verbs of the loop, one file each, in the order in which data flows:
//! [`Examples`] → [`Sft`], then [`Prompts`] → [`Respond`] → [`Judge`] → [`Read`] → [`MetaJudge`] → [`Rate`] →
//! [`Pair`] → [`Reference`] → [`Train`], [`Epoch`] and [`Choose`] after it where epochs are kept. Beside the loop: [`Answers`], [`Panel`], [`Oracle`] and [`Compare`],
//! and [`Estimate`] and [`Standard`] over any of their tables. [`Verb`] lists what each reads and makes.
//!
//! The only room where the engine and the craft meet. A stage's fields are its configuration and
//! its key: what is not a field cannot matter.

mod adapted;
mod align;
mod answers;
mod asked;
mod caps;
mod checkpoint;
mod choose;
mod columns;
mod conversation;
mod course;
mod draw;
mod engines;
mod epoch;
mod estimate;
mod evaluate;
mod examples;
mod form;
mod judge;
mod kept_epochs;
mod learn;
mod live;
mod logged;
pub mod memory;
mod meta_judge;
mod models;
mod numbers;
mod pair;
mod panel;
mod prompts;
mod rate;
mod read;
mod reference;
mod respond;
mod rubric;
mod sft;
mod sides;
mod start;
mod tiers;
mod train;
mod trainer;
mod trl;
mod unmoved;
mod verb;

pub use crate::model::Error as ModelError;
pub use crate::model::adapter::Adapter;
pub use crate::model::remote;
pub use crate::model::{
    Api, Arguments, Engine, Message, Protocol, Rendered, Version as EngineVersion, files_read,
    gguf_of, listed,
};
pub use crate::train::Error as TrainError;
pub use crate::train::adamw::AdamW;
pub use crate::train::trl::{Dtype, Installed, Program, SCRIPT, installed};
pub use crate::train::{Dpo, DpoLoss, Schedule, Settings};
pub use answers::Answers;
pub use asked::{Asked, NotAsked, asked};
pub use choose::{Choose, EpochRule};
pub use draw::{MAX_REFUSED, Sampling, TooManyRefused};
pub use engines::SERVED;
pub use epoch::Epoch;
pub use estimate::{Estimate, Evaluated, Measure, Options, Standard};
pub use evaluate::{Compare, Oracle, Order, played_again};
pub use examples::Examples;
pub use judge::Judge;
pub use meta_judge::MetaJudge;
pub use pair::{JudgePairs, Pair};
pub use panel::Panel;
pub use prompts::{HeldOut, Prompts};
pub use rate::{OmegaScope, Rate, Swap};
pub use read::Read;
pub use reference::Reference;
pub use respond::Respond;
pub use rubric::{
    BadRule, BadSystem, BuiltIn, COMPARE, Choice, Choices, Explained, Form, JUDGE, META_JUDGE,
    ReadVerdict, Rule, RuleOptions, Template, TemplateError, Thinking, Which,
};
pub use sft::Sft;
pub use start::FromGguf;
pub use tiers::{ActorPairs, Cut, EqualScores, Ties};
pub use train::{NoPairs, OnNoPairs, Train};
pub use trainer::{Awaited, Brought, Import, Trainer};
pub use trl::{AskedBy, Trl};
pub use verb::Verb;
