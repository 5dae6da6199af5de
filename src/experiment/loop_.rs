//! The loop: what all iterations share, where its models come from, and what its nodes are called.

use super::Error;
use super::engines::Engines;
use super::named::Files;
use super::settings::{self, Iteration, Templates};
use super::spanned::Spanned;
use super::toml_file::{File, Prompts, ReferenceModel, StartModel};
use super::values::Values;
use super::verdicts;
use crate::runner::{Input, NodeName, Source};
use crate::stages::{self, Read, Rule, Verb};

/// The loop, with the settings of every iteration.
pub(super) struct Loop<'f> {
    pub(super) values: Values<'f>,
    pub(super) iterations: Vec<Iteration>,
    /// How scores are read.
    pub(super) rule: Rule,
    pub(super) read: Read,
    pub(super) read_winners: Read,
    pub(super) prompt_files: Files,
    pub(super) model_files: Files,
    prompts: &'f Prompts,
    sql: String,
}

impl<'f> Loop<'f> {
    pub(super) fn new(
        file: &'f File,
        model: &Spanned<super::toml_file::Model>,
        prompts: &'f Prompts,
        engines: &'f Engines,
    ) -> Result<Self, Error> {
        let values = Values::of(file, engines)?;
        let sql = file.sql(&prompts.sql)?;
        let prompt_files = file.declared(&prompts.files)?;
        let model_files = file.first_model(model)?;
        let templates = Templates::read(file)?;
        let rule = verdicts::of_judge(file)?;
        let read = Read::scores(rule.clone(), values.thinking());
        let read_winners = Read::winners(verdicts::of_meta_judge(file)?, values.thinking());
        let each = (0..values.iterations).map(|t| Iteration::of(&values, &templates, t));
        let iterations = each.collect::<Result<_, _>>()?;
        Ok(Self {
            values,
            iterations,
            rule,
            read,
            read_winners,
            prompt_files,
            model_files,
            prompts,
            sql,
        })
    }

    /// The file that it is read from.
    pub(super) const fn file(&self) -> &'f File {
        self.values.file
    }

    /// The share of iteration t.
    pub(super) fn prompts(&self, t: usize) -> stages::Prompts {
        settings::prompts(&self.values, &self.sql, self.prompts, t)
    }

    /// Prompts of a share, where the file says.
    pub(super) fn prompts_per_iteration(&self) -> Option<u64> {
        self.prompts.per_iteration.map(|count| count.0)
    }

    /// `M_t`: the model's folder, what fine-tuning made of it, or what the iteration before made.
    pub(super) fn model(&self, t: usize) -> Result<Input, Error> {
        let maker = match t {
            0 if self.file().root.sft.is_none() => return Ok(self.given_model()),
            0 => Verb::Sft,
            _ => Verb::Train,
        };
        Ok(Input { name: "model", ..Input::table(self.name(maker, t, "")?, maker.makes()[0]) })
    }

    /// The folder that the experiment names.
    pub(super) fn given_model(&self) -> Input {
        Input { name: "model", source: Source::Files(self.model_files.clone()) }
    }

    /// The model that training in iteration t starts from.
    pub(super) fn start_model(&self, t: usize) -> Result<Input, Error> {
        match self.file().root.train.start {
            StartModel::Previous => self.model(t),
            StartModel::M0 => self.model(0),
        }
    }

    /// The model that training in iteration t is held to.
    pub(super) fn reference_model(&self, t: usize) -> Result<Input, Error> {
        match self.file().root.train.reference {
            ReferenceModel::Start => self.start_model(t),
            ReferenceModel::M0 => self.model(0),
        }
    }

    /// The node of a stage that works with `M_t`, or makes it.
    pub(super) fn name(&self, verb: Verb, t: usize, part: &str) -> Result<NodeName, Error> {
        self.node(&format!("{}.m{t}{part}", verb.name()))
    }

    pub(super) fn node(&self, name: &str) -> Result<NodeName, Error> {
        name.parse().map_err(|e| self.file().text.error(&(0..0), format!("{e}")))
    }

    /// Held-out prompts: those of [`EVAL`], or of [`VALIDATION`].
    pub(super) fn held_out(&self, part: &str) -> Result<Input, Error> {
        let node = self.node(&format!("{}.{part}", Verb::Prompts.name()))?;
        Ok(Input::table(node, Verb::Prompts.makes()[0]))
    }
}

/// The held-out prompts that every model is asked.
pub(super) const EVAL: &str = "eval";
/// Those that epochs are chosen by, and that no test uses.
pub(super) const VALIDATION: &str = "validation";
