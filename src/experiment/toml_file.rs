//! The file: its tables and fields, as they are written, with their places.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned as Placed;
use toml::de::{DeTable, DeValue, Deserializer};

use super::Error;
use super::engine_table::EngineTable;
use super::locate::Text;
use super::per_iteration::{Count, Seed, Share};
use super::seeds_table::{ClaimTable, Seeds};
use super::spanned::Spanned;
use super::trainer_table::{AdapterTable, TrainerTable};

pub(super) use super::draw_tables::{Decide, Draws, Judge, Marker, MetaJudge, VerdictTable};
pub(super) use super::evaluate_tables::{
    Comparison, Estimate, Evaluate, EvaluationJudge, JudgeModel, Panel,
};
pub(super) use super::model_tables::{Given, Model, Prompts, Sft, ThinkingTable};
pub(super) use super::pair_tables::Pairs;
pub(super) use super::per_iteration::Each;
pub(super) use super::train_table::{ReferenceModel, StartModel, Train, TrainerKind};

/// An experiment's file, read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) root: Root,
    /// The names at the top, with their places.
    pub(super) names: Vec<Spanned<String>>,
    pub(super) text: Text,
}

/// An experiment of mrx: one file that describes a whole loop. Paths are relative to its folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "experiment.toml")]
pub(super) struct Root {
    /// What the experiment is called in the store: letters, digits, `-`, `_` and `.`.
    pub(super) name: Spanned<String>,
    /// How often the loop goes round: M0 to M(iterations).
    #[schemars(extend("default" = 4, "x-paper" = "3.1", "maximum" = 1000, "x-range" = "a whole number from 1 to 1000"))]
    pub(super) iterations: Option<Spanned<Count>>,
    /// What every draw starts from.
    #[schemars(extend("default" = 0))]
    pub(super) seed: Option<Seed>,
    /// Seeds that the experiment is made with: how many, from `seed` on, or a list. Each is an experiment of its own,
    /// `NAME@seed=1`, that shares with the others what no seed decides.
    pub(super) seeds: Option<Spanned<Seeds>>,
    /// `[sweep]`: settings that take several values each, as `"pairs.actor.rho" = [0.0, 0.2]`: an experiment for every
    /// combination.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<serde_json::Value>>")]
    pub(super) sweep: BTreeMap<String, Spanned<toml::Value>>,
    /// The share of a table's rows that a model may refuse, and at least one; more of them fail the node.
    #[schemars(extend("default" = 0.01))]
    pub(super) max_refused: Option<Share>,
    /// `[model]`
    pub(super) model: Option<Spanned<Model>>,
    /// `[thinking]`
    pub(super) thinking: Option<ThinkingTable>,
    /// `[engine]`: what runs the experiment's models; this program where not given.
    pub(super) engine: Option<Spanned<EngineTable>>,
    /// `[engines.NAME]`: engines by the names that roles call them by.
    #[serde(default)]
    pub(super) engines: BTreeMap<String, EngineTable>,
    /// `[trainer]`
    pub(super) trainer: Option<Spanned<TrainerTable>>,
    /// `[adapter]`
    pub(super) adapter: Option<Spanned<AdapterTable>>,
    /// `[sft]`
    pub(super) sft: Option<Sft>,
    /// `[prompts]`
    pub(super) prompts: Option<Prompts>,
    /// `[respond]`
    #[serde(default)]
    pub(super) respond: Draws,
    /// `[judge]`
    #[serde(default)]
    pub(super) judge: Judge,
    /// `[meta_judge]`
    pub(super) meta_judge: Option<MetaJudge>,
    /// `[pairs.actor]`, `[pairs.judge]`
    #[serde(default)]
    pub(super) pairs: Pairs,
    /// `[train]`
    #[serde(default)]
    pub(super) train: Train,
    /// `[evaluate]`
    pub(super) evaluate: Option<Spanned<Evaluate>>,
    /// `[estimate.NAME]`: numbers with intervals, by their names.
    #[serde(default)]
    pub(super) estimate: BTreeMap<String, Estimate>,
    /// `[claims]`: what is claimed of models over seeds, by what it says; tested when all of them are made.
    #[serde(default)]
    pub(super) claims: BTreeMap<String, ClaimTable>,
}

impl File {
    /// Reads the file, with overrides laid over it.
    pub(super) fn read(path: &Path, overrides: &[String]) -> Result<Self, Error> {
        let toml = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let overrides = overrides.to_vec();
        let text = Text { path: path.to_owned(), toml, overrides };
        let (root, names) = {
            let mut table = DeTable::parse(&text.toml).map_err(|e| text.toml_error(&e))?;
            for (index, assignment) in text.overrides.iter().enumerate() {
                lay_over(table.get_mut(), assignment, text.override_span(index))
                    .map_err(|message| text.error(&text.override_span(index), message))?;
            }
            let name =
                |key: &Placed<Cow<'_, str>>| Spanned::new(key.span(), key.as_ref().to_string());
            let names = table.get_ref().keys().map(name).collect();
            let root = Root::deserialize(Deserializer::from(table));
            (root.map_err(|e| text.toml_error(&e))?, names)
        };
        Ok(Self { root, names, text })
    }

    /// Finds a file that the experiment names: relative to the experiment's own folder.
    pub(super) fn find(&self, named: &Path) -> PathBuf {
        self.text.path.parent().unwrap_or(Path::new("")).join(named)
    }
}

/// Gives every value inside a value the same place: that of the override it came with.
fn placed<'i>(value: DeValue<'i>, span: &Range<usize>) -> DeValue<'i> {
    let inner =
        |value: Placed<DeValue<'i>>| Placed::new(span.clone(), placed(value.into_inner(), span));
    match value {
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(inner).collect()),
        DeValue::Table(fields) => {
            let field = |(key, value): (Placed<Cow<'i, str>>, Placed<DeValue<'i>>)| {
                (Placed::new(span.clone(), key.into_inner()), inner(value))
            };
            DeValue::Table(fields.into_iter().map(field).collect())
        }
        plain => plain,
    }
}

/// Lays `a.b=c` over a table. The value is TOML, or text where it is not TOML.
fn lay_over<'i>(
    table: &mut DeTable<'i>,
    assignment: &'i str,
    span: Range<usize>,
) -> Result<(), String> {
    let (path, value) =
        assignment.split_once('=').ok_or_else(|| "expected `a.b=value`".to_owned())?;
    let value = match DeValue::parse(value.trim()) {
        Ok(value) => placed(value.into_inner(), &span),
        Err(_) => DeValue::String(Cow::Borrowed(value.trim())),
    };
    let mut keys: Vec<&str> = path.trim().split('.').map(str::trim).collect();
    let last = keys.pop().filter(|key| !key.is_empty());
    let last = last.ok_or_else(|| "expected `a.b=value`".to_owned())?;
    let mut table = table;
    for key in keys {
        let new = || Placed::new(span.clone(), DeValue::Table(DeTable::new()));
        let entry = table.entry(Placed::new(span.clone(), Cow::Borrowed(key))).or_insert_with(new);
        table = match entry.get_mut() {
            DeValue::Table(inner) => inner,
            _ => return Err(format!("`{key}` holds a value, not a table")),
        };
    }
    // Insert would keep the old key, and with it a place in the file that is not the value's.
    let key = Placed::new(span.clone(), Cow::Borrowed(last));
    table.remove(&key);
    table.insert(key, Placed::new(span, value));
    Ok(())
}
