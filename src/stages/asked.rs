//! What a model was really asked: a row's conversation, as its chat template wrote it, and as ids.
//!
//! Nothing of it is stored: it follows from what the run's key names, and is made again from that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::draw::conversation;
use super::models::checkpoint_files;
use super::{BuiltIn, Rule, Template};
use crate::model::{self, Arguments, Message, Rendered};
use crate::records::{
    self, Id, JudgementId, MetaJudgementId, PromptId, ResponseId, Shown, VerdictId,
};
use crate::runner::StageError;
use crate::store::{Key, KeyInput, Manifest, Store, StoredTable, TableReader};

/// What was asked for one row.
#[derive(Debug)]
pub struct Asked {
    /// The row's id.
    pub row: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// What the model read, where its files are at hand.
    pub rendered: Option<Rendered>,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    /// Its rows were not drawn from a model.
    #[error("`{0}` asks no model anything")]
    NoModel(String),
    /// The row is not among those of the run.
    #[error("the run has no row `{0}`")]
    NoRow(String),
    /// The run's key does not name a table that has to be there.
    #[error("the run's key names no `{0}`")]
    NoTable(&'static str),
}

/// A row of any table that is drawn, as far as it says what it is about.
#[derive(Deserialize)]
struct Row {
    response_id: Option<ResponseId>,
    judgement_id: Option<JudgementId>,
    meta_judgement_id: Option<MetaJudgementId>,
    verdict_id: Option<VerdictId>,
    prompt_id: PromptId,
    first_judgement_id: Option<JudgementId>,
    second_judgement_id: Option<JudgementId>,
    baseline_response_id: Option<ResponseId>,
    first_shown: Option<Shown>,
}

impl Row {
    fn id(&self) -> &str {
        let verdict = self.verdict_id.as_ref().map(Id::as_str);
        let meta_judgement = self.meta_judgement_id.as_ref().map(Id::as_str);
        let judgement = self.judgement_id.as_ref().map(Id::as_str);
        let response = self.response_id.as_ref().map(Id::as_str);
        verdict.or(meta_judgement).or(judgement).or(response).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct PromptRow {
    prompt_id: PromptId,
    prompt: String,
    messages: Vec<records::Message>,
}

#[derive(Deserialize)]
struct ResponseRow {
    response_id: ResponseId,
    text: String,
}

#[derive(Deserialize)]
struct JudgementRow {
    judgement_id: JudgementId,
    text: String,
}

/// What of a stage's configuration says how it asks.
#[derive(Deserialize)]
struct Config {
    template: Option<String>,
    #[serde(default)]
    strip_scores: bool,
    scores: Option<Rule>,
    #[serde(default)]
    template_arguments: Arguments,
}

/// Makes again what was asked for a row of a run, or for its first one. `outside` are the files of its
/// model, where they are not in the store.
///
/// # Errors
/// [`NotAsked`], and where the store is damaged.
pub fn asked(
    store: &Store,
    run: &Manifest,
    row: Option<&str>,
    outside: Option<&BTreeMap<String, PathBuf>>,
) -> Result<Asked, StageError> {
    let origin = Origin { store, key: &run.key };
    let table = match run.key.stage.as_str() {
        "respond" => "responses",
        "judge" => "judgements",
        "meta_judge" => "meta_judgements",
        "evaluate" if origin.is_declared("model") => "verdicts",
        "evaluate" if origin.table("model").is_some() || outside.is_some() => "verdicts",
        _ => return Err(NotAsked::NoModel(run.node.clone()).into()),
    };
    let made = run.tables.get(table).copied().ok_or(NotAsked::NoTable(table))?;
    let wanted = |found: &Row| row.is_none_or(|row| found.id() == row);
    let row = origin
        .find(made, wanted)?
        .ok_or_else(|| NotAsked::NoRow(row.unwrap_or("(the table is empty)").to_owned()))?;
    let config: Config = serde_json::from_value(run.key.config.clone())?;
    let messages = origin.messages(&config, &row)?;
    let files = match origin.table("model") {
        Some(checkpoint) => Some(checkpoint_files(store, checkpoint)?),
        None => outside.cloned(),
    };
    let render = |files| model::rendered(files, &config.template_arguments, &messages);
    let rendered = files.as_ref().map(render).transpose()?;
    Ok(Asked { row: row.id().to_owned(), messages, rendered })
}

/// Where the texts are that a run was made from.
struct Origin<'a> {
    store: &'a Store,
    key: &'a Key,
}

impl Origin<'_> {
    fn table(&self, input: &str) -> Option<StoredTable> {
        match self.key.inputs.get(input)? {
            KeyInput::Table(object) => Some(StoredTable { object: *object, rows: 0, bytes: 0 }),
            KeyInput::Files(_) | KeyInput::Declared(_) => None,
        }
    }

    fn is_declared(&self, input: &str) -> bool {
        matches!(self.key.inputs.get(input), Some(KeyInput::Declared(_)))
    }

    fn find<Q: DeserializeOwned>(
        &self,
        table: StoredTable,
        wanted: impl Fn(&Q) -> bool,
    ) -> Result<Option<Q>, StageError> {
        let mut rows = TableReader::<Q>::open(self.store, table.object)?;
        Ok(rows.find(|row| row.as_ref().map_or(true, &wanted)).transpose()?)
    }

    fn needed<Q: DeserializeOwned>(
        &self,
        input: &'static str,
        wanted: impl Fn(&Q) -> bool,
    ) -> Result<Q, StageError> {
        let table = self.table(input).ok_or(NotAsked::NoTable(input))?;
        Ok(self.find(table, wanted)?.ok_or(NotAsked::NoTable(input))?)
    }

    fn response(&self, input: &'static str, id: Option<&ResponseId>) -> Result<String, StageError> {
        let found: ResponseRow =
            self.needed(input, |row: &ResponseRow| Some(&row.response_id) == id)?;
        Ok(found.text)
    }

    fn judgement(&self, id: Option<&JudgementId>) -> Result<String, StageError> {
        let wanted = |row: &JudgementRow| Some(&row.judgement_id) == id;
        Ok(self.needed("judgements", wanted)?.text)
    }

    fn messages(&self, config: &Config, row: &Row) -> Result<Vec<Message>, StageError> {
        let prompt: PromptRow =
            self.needed("prompts", |prompt: &PromptRow| prompt.prompt_id == row.prompt_id)?;
        let template = config.template.as_deref().unwrap_or_default();
        match self.key.stage.as_str() {
            "judge" => {
                let response = self.response("responses", row.response_id.as_ref())?;
                Template::for_judge(template)?.judge(&prompt.prompt, &response)
            }
            "meta_judge" => {
                let response = self.response("responses", row.response_id.as_ref())?;
                let both = [&row.first_judgement_id, &row.second_judgement_id];
                let mut texts = Vec::new();
                for id in both {
                    let text = self.judgement(id.as_ref())?;
                    let rule = config.scores.clone().unwrap_or(BuiltIn::Score.into());
                    texts.push(if config.strip_scores {
                        rule.strip(&text).into_owned()
                    } else {
                        text
                    });
                }
                let shown = [texts[0].as_str(), texts[1].as_str()];
                Template::for_meta_judge(template)?.meta_judge(&prompt.prompt, &response, shown)
            }
            "evaluate" => {
                let response = self.response("responses", row.response_id.as_ref())?;
                let baseline = self.response("baseline", row.baseline_response_id.as_ref())?;
                let shown = match row.first_shown {
                    Some(Shown::Baseline) => [baseline.as_str(), response.as_str()],
                    _ => [response.as_str(), baseline.as_str()],
                };
                Template::for_comparison(template)?.compare(&prompt.prompt, shown)
            }
            _ => Ok(conversation(prompt.messages)),
        }
    }
}
