//! The file: its tables and fields, as they are written, with their places.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::Error;
use super::engine_table::EngineTable;
use super::locate::Text;
use super::per_iteration::{
    Cap, Choice, Count, Decay, Finite, Level, Limit, Minority, Norm, Part, PerIteration, Positive,
    Rate, Resamples, Seed, Share, Steps, Switch, Temperature, TopP, Window,
};
use super::trainer_table::{AdapterTable, TrainerTable};
use crate::stages::{
    BuiltIn, Cut, DpoLoss, EqualScores, Measure, OmegaScope, OnNoPairs, Order, Schedule, Swap,
    Ties, Which,
};

/// A value with its place, so that a list of the wrong length can be pointed at.
pub(super) type Each<T> = Option<Spanned<PerIteration<T>>>;

/// Arguments of a chat template.
pub(super) type Given = BTreeMap<String, Spanned<toml::Value>>;

/// An experiment's file, read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) root: Root,
    /// The names at the top, with their places.
    pub(super) names: Vec<Spanned<String>>,
    pub(super) text: Text,
}

/// The top of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    pub(super) name: Spanned<String>,
    pub(super) iterations: Option<Spanned<Count>>,
    pub(super) seed: Option<Seed>,
    /// The share of a table's rows that a model may refuse.
    pub(super) max_refused: Option<Share>,
    pub(super) model: Option<Spanned<Model>>,
    pub(super) thinking: Option<ThinkingTable>,
    pub(super) engine: Option<Spanned<EngineTable>>,
    /// Engines by the names that roles call them by.
    #[serde(default)]
    pub(super) engines: BTreeMap<String, EngineTable>,
    pub(super) trainer: Option<Spanned<TrainerTable>>,
    pub(super) adapter: Option<Spanned<AdapterTable>>,
    pub(super) sft: Option<Sft>,
    pub(super) prompts: Option<Prompts>,
    #[serde(default)]
    pub(super) respond: Draws,
    #[serde(default)]
    pub(super) judge: Judge,
    pub(super) meta_judge: Option<MetaJudge>,
    #[serde(default)]
    pub(super) pairs: Pairs,
    #[serde(default)]
    pub(super) train: Train,
    pub(super) evaluate: Option<Spanned<Evaluate>>,
    #[serde(default)]
    pub(super) estimate: BTreeMap<String, Estimate>,
}

/// `[model]`: the model that the experiment begins with, a folder or `[model.init]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[model]`")]
pub(super) struct Model {
    pub(super) path: Option<Spanned<PathBuf>>,
    pub(super) init: Option<Init>,
    /// `[model.template]`
    #[serde(default)]
    pub(super) template: Given,
}

/// `[model.init]`: a folder whose weights, if it has any, are replaced by random ones.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[model.init]`")]
pub(super) struct Init {
    pub(super) path: Spanned<PathBuf>,
    pub(super) seed: Option<Seed>,
}

/// `[thinking]`: what models write between these markers is not part of their answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[thinking]`")]
pub(super) struct ThinkingTable {
    pub(super) begin: Option<Spanned<String>>,
    pub(super) end: Option<Spanned<String>>,
    pub(super) train: Option<Switch>,
}

/// `[sft]`: how M0 is made from it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[sft]`")]
pub(super) struct Sft {
    pub(super) sql: Spanned<PathBuf>,
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) trainer: TrainerKind,
    pub(super) learning_rate: Option<Rate>,
    pub(super) schedule: Option<Schedule>,
    pub(super) schedule_epochs: Option<Spanned<Count>>,
    pub(super) warmup_steps: Option<Steps>,
    pub(super) epochs: Option<Count>,
    pub(super) max_steps: Option<Count>,
    pub(super) batch: Option<Count>,
    pub(super) weight_decay: Option<Rate>,
    pub(super) adam_beta1: Option<Decay>,
    pub(super) adam_beta2: Option<Decay>,
    pub(super) adam_epsilon: Option<Positive>,
    pub(super) max_grad_norm: Option<Norm>,
    pub(super) group_by_length: Option<Switch>,
    pub(super) gradient_checkpointing: Option<Spanned<Switch>>,
}

/// `[prompts]`: where prompts come from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[prompts]`")]
pub(super) struct Prompts {
    pub(super) sql: Spanned<PathBuf>,
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    pub(super) per_iteration: Option<Count>,
}

/// `[respond]`: how the actor draws.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[respond]`")]
pub(super) struct Draws {
    pub(super) engine: Option<Spanned<String>>,
    pub(super) samples: Each<Count>,
    pub(super) temperature: Each<Temperature>,
    pub(super) top_p: Each<TopP>,
    pub(super) max_tokens: Each<Count>,
}

/// `[judge]`: how the judge draws.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[judge]`")]
pub(super) struct Judge {
    pub(super) engine: Option<Spanned<String>>,
    pub(super) verdict: Option<Spanned<VerdictTable>>,
    pub(super) decide: Option<Spanned<Decide>>,
    pub(super) template: Option<Spanned<PathBuf>>,
    pub(super) marker: Option<Marker>,
    pub(super) decimals: Option<Spanned<Switch>>,
    pub(super) samples: Each<Count>,
    pub(super) temperature: Each<Temperature>,
    pub(super) top_p: Each<TopP>,
    pub(super) max_tokens: Each<Count>,
}

/// `[judge.verdict]` and its like: how a verdict is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of a rule or a pattern")]
pub(super) struct VerdictTable {
    pub(super) rule: Option<BuiltIn>,
    pub(super) pattern: Option<String>,
    pub(super) field: Option<String>,
    pub(super) min: Option<Finite>,
    pub(super) max: Option<Finite>,
    #[serde(default)]
    pub(super) values: BTreeMap<String, Finite>,
    #[serde(default)]
    pub(super) which: Which,
    pub(super) without: Option<Finite>,
    pub(super) prefix: Option<String>,
}

/// How a verdict comes about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Decide {
    /// A text is written, and read.
    #[default]
    Text,
    /// The probabilities of the few verdicts that there are are read.
    Score,
}

/// What a judge writes before its verdict.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Marker {
    /// `Score: n`, 0 to 5.
    #[default]
    Score,
    /// `[[n]]`, 1 to 10.
    Rating,
}

/// `[meta_judge]`: how the meta-judge draws. Without the table, Self-Rewarding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[meta_judge]`")]
pub(super) struct MetaJudge {
    pub(super) engine: Option<Spanned<String>>,
    pub(super) verdict: Option<Spanned<VerdictTable>>,
    pub(super) decide: Option<Spanned<Decide>>,
    pub(super) enabled: Each<Switch>,
    pub(super) strip_scores: Each<Switch>,
    pub(super) template: Option<Spanned<PathBuf>>,
    pub(super) temperature: Each<Temperature>,
    pub(super) top_p: Each<TopP>,
    pub(super) max_tokens: Each<Count>,
}

/// `[pairs.actor]` and `[pairs.judge]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[pairs]`")]
pub(super) struct Pairs {
    #[serde(default)]
    pub(super) actor: ActorPairs,
    #[serde(default)]
    pub(super) judge: JudgePairs,
}

/// `[pairs.actor]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[pairs.actor]`")]
pub(super) struct ActorPairs {
    pub(super) rho: Each<Share>,
    pub(super) max_chosen_chars: Each<Limit>,
    #[serde(default)]
    pub(super) ties: Ties,
    #[serde(default)]
    pub(super) equal_scores: EqualScores,
    #[serde(default)]
    pub(super) cut: Cut,
}

/// `[pairs.judge]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[pairs.judge]`")]
pub(super) struct JudgePairs {
    pub(super) enabled: Each<Switch>,
    pub(super) prior: Each<Positive>,
    #[serde(default)]
    pub(super) omega: OmegaScope,
    #[serde(default)]
    pub(super) swap: Swap,
    pub(super) max_chosen_chars: Each<Limit>,
    pub(super) max_share: Each<Cap>,
    pub(super) max_share_per_score: Each<Cap>,
}

/// `[train]`: how the next model is made.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[train]`")]
pub(super) struct Train {
    #[serde(default)]
    pub(super) trainer: TrainerKind,
    #[serde(default)]
    pub(super) start: StartModel,
    #[serde(default)]
    pub(super) reference: ReferenceModel,
    pub(super) window: Each<Window>,
    pub(super) keep_epochs: Each<Switch>,
    pub(super) choose: Each<Choice>,
    /// The estimate that the best epoch is chosen by.
    pub(super) choose_by: Option<Spanned<String>>,
    pub(super) on_no_pairs: Option<OnNoPairs>,
    pub(super) loss: Option<DpoLoss>,
    pub(super) beta: Each<Positive>,
    pub(super) label_smoothing: Each<Minority>,
    pub(super) nll_weight: Each<Rate>,
    pub(super) length_normalised: Each<Switch>,
    pub(super) learning_rate: Each<Rate>,
    pub(super) schedule: Option<Schedule>,
    pub(super) schedule_epochs: Each<Count>,
    pub(super) warmup_steps: Each<Steps>,
    pub(super) epochs: Each<Count>,
    pub(super) max_steps: Each<Count>,
    pub(super) batch: Each<Count>,
    pub(super) weight_decay: Each<Rate>,
    pub(super) adam_beta1: Each<Decay>,
    pub(super) adam_beta2: Each<Decay>,
    pub(super) adam_epsilon: Each<Positive>,
    pub(super) max_grad_norm: Each<Norm>,
    pub(super) group_by_length: Each<Switch>,
    pub(super) gradient_checkpointing: Option<Spanned<Switch>>,
}

/// Who trains.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TrainerKind {
    /// This program.
    #[default]
    Local,
    /// TRL, in a program of its own.
    Trl,
    /// Somebody else, whose checkpoint is imported.
    Import,
}

/// Which model training starts from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StartModel {
    /// That of the iteration.
    #[default]
    Previous,
    /// M0, in every iteration.
    M0,
}

/// Which model training is held to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReferenceModel {
    /// The one that it starts from.
    #[default]
    Start,
    /// M0, in every iteration.
    M0,
}

/// `[evaluate]`: what every model is asked, whom it plays, and who decides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[evaluate]`")]
pub(super) struct Evaluate {
    /// What runs the models that answer.
    pub(super) engine: Option<Spanned<String>>,
    pub(super) prompts: Spanned<PathBuf>,
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    /// The share of the prompts that epochs are chosen by, and that no test uses.
    pub(super) validation: Option<Part>,
    pub(super) baseline: Option<Spanned<String>>,
    pub(super) oracle: Option<Spanned<PathBuf>>,
    pub(super) judge: Option<EvaluationJudge>,
    pub(super) samples: Option<Count>,
    pub(super) temperature: Option<Temperature>,
    pub(super) top_p: Option<TopP>,
    pub(super) max_tokens: Option<Count>,
    #[serde(default)]
    pub(super) panel: Panel,
}

/// `[evaluate.judge]`: the model that decides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[evaluate.judge]`")]
pub(super) struct EvaluationJudge {
    pub(super) engine: Option<Spanned<String>>,
    pub(super) verdict: Option<Spanned<VerdictTable>>,
    pub(super) decide: Option<Spanned<Decide>>,
    pub(super) model: Spanned<JudgeModel>,
    pub(super) template: Option<Spanned<PathBuf>>,
    pub(super) marker: Option<Comparison>,
    pub(super) order: Option<Order>,
    /// `[evaluate.judge.chat_template]`
    pub(super) chat_template: Option<Given>,
    pub(super) temperature: Option<Temperature>,
    pub(super) top_p: Option<TopP>,
    pub(super) max_tokens: Option<Count>,
}

/// Which model decides: a folder, `m0`, or one that is served elsewhere.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a folder, `m0`, or a table of `served` and `revision`")]
pub(super) enum JudgeModel {
    Folder(PathBuf),
    Served { served: String, revision: String },
}

impl JudgeModel {
    /// Whether it is the model that the loop begins with.
    pub(super) fn is(&self, model: &str) -> bool {
        matches!(self, Self::Folder(named) if named.as_path() == Path::new(model))
    }
}

/// What it writes before its verdict.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Comparison {
    /// `Winner: Response A`.
    #[default]
    Winner,
    /// `[[A]]`.
    Choice,
}

/// `[evaluate.panel]`: what every iteration's judge is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[evaluate.panel]`")]
pub(super) struct Panel {
    pub(super) samples: Option<Count>,
    #[serde(default)]
    pub(super) probes: BTreeMap<String, Spanned<String>>,
}

/// `[estimate.NAME]`: a number with an interval, over the rows of a query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, `[estimate.NAME]`")]
pub(super) struct Estimate {
    pub(super) measure: Spanned<Measure>,
    pub(super) sql: Spanned<PathBuf>,
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    pub(super) resamples: Option<Resamples>,
    pub(super) level: Option<Level>,
    pub(super) baseline: Option<Spanned<String>>,
    pub(super) prior: Option<Spanned<Rate>>,
    pub(super) order_effect: Option<Spanned<Switch>>,
    pub(super) inverse_penalty: Option<Spanned<Positive>>,
    pub(super) tie: Option<Spanned<String>>,
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
                |key: &Spanned<Cow<'_, str>>| Spanned::new(key.span(), key.as_ref().to_string());
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
        |value: Spanned<DeValue<'i>>| Spanned::new(span.clone(), placed(value.into_inner(), span));
    match value {
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(inner).collect()),
        DeValue::Table(fields) => {
            let field = |(key, value): (Spanned<Cow<'i, str>>, Spanned<DeValue<'i>>)| {
                (Spanned::new(span.clone(), key.into_inner()), inner(value))
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
        let new = || Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
        let entry = table.entry(Spanned::new(span.clone(), Cow::Borrowed(key))).or_insert_with(new);
        table = match entry.get_mut() {
            DeValue::Table(inner) => inner,
            _ => return Err(format!("`{key}` holds a value, not a table")),
        };
    }
    // Insert would keep the old key, and with it a place in the file that is not the value's.
    let key = Spanned::new(span.clone(), Cow::Borrowed(last));
    table.remove(&key);
    table.insert(key, Spanned::new(span, value));
    Ok(())
}
