//! `examples`: what fine-tuning learns from, as any query over the experiment's files gives it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::columns::{BadColumns, check, select};
use super::conversation::{self, BadConversation, GivenMessage};
use crate::query::{Column, Inputs};
use crate::records::{Example, ExampleId, RowId};
use crate::runner::{Io, Signature, Stage, StageError};

/// Takes the examples that a query gives, in its order. Equal examples are as many rows: how often an
/// example is shown is for the query to say.
#[derive(Debug, Clone, Serialize)]
pub struct Examples {
    /// The query; see [`Inputs`] for what it may do.
    pub sql: String,
}

impl Examples {
    /// 1: the first. 2: time zones are UTC's, not the machine's; `read_text` says no place and no time.
    /// 3: `target` and `category` are text in the query's result, never cast to it.
    const VERSION: u32 = 3;
}

/// Why a query's rows are no examples. Rows are counted from 1, as the query gives them.
#[derive(Debug, thiserror::Error)]
enum BadExamples {
    #[error(transparent)]
    Columns(#[from] BadColumns),
    #[error(transparent)]
    Conversation(#[from] BadConversation),
    #[error("row {row} has no target: it is {what}")]
    NoTarget { row: usize, what: &'static str },
    #[error("the query gives no rows; fine-tuning needs at least one example")]
    None,
}

#[derive(Deserialize)]
struct Given {
    text: Option<String>,
    messages: Option<Vec<Option<GivenMessage>>>,
    target: Option<String>,
    category: Option<String>,
}

impl Stage for Examples {
    fn signature(&self) -> Signature {
        Signature::of("examples", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let files = io.files("files")?.unwrap_or_default();
        let inputs = Inputs::open(&self.sql, &files, &[], &[])?;
        let columns = inputs.columns()?;
        let selection = selection(&columns)?;
        inputs.check_texts(&columns, &["target", "category"])?;
        let given: Vec<Given> = inputs.rows(&selection)?;
        io.check_unchanged("files")?;
        if given.is_empty() {
            return Err(BadExamples::None.into());
        }
        let mut twins = HashMap::new();
        io.write((1..).zip(given).map(move |(row, given)| example(row, given, &mut twins)))
    }
}

fn selection(columns: &[Column]) -> Result<String, BadExamples> {
    check(columns, &["prompt", "target"], &["category"], "examples")?;
    let [target, category] =
        ["target", "category"].map(|name| select(columns, name, "VARCHAR", name));
    Ok(format!("{}, {target}, {category}", conversation::select(columns)?))
}

/// Makes a row; `twins` counts the examples of equal messages and target that stand before it.
fn example(
    row: usize,
    given: Given,
    twins: &mut HashMap<ExampleId, u32>,
) -> Result<Example, StageError> {
    let Given { text, messages, target, category } = given;
    let messages = conversation::read(row, text, messages).map_err(BadExamples::Conversation)?;
    let no_target = |what| BadExamples::NoTarget { row, what };
    let target = target.ok_or_else(|| no_target("NULL"))?;
    if target.is_empty() {
        return Err(no_target("empty").into());
    }
    let id = || RowId::of(conversation::parts(&messages)).and(target.clone());
    let twin = twins.entry(id().finish::<ExampleId>()).or_default();
    let example_id = id().and(*twin).finish();
    *twin += 1;
    let position = i32::try_from(row - 1)?;
    Ok(Example { example_id, position, messages, target, category })
}
